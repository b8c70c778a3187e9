"""Which image token is which rectangle of the original image; one file per rule."""
