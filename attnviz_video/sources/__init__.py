"""Dataset files and image files to `Sample`s and pictures."""
