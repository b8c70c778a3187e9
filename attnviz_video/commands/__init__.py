"""One file per command: what it understands, and what it does. Only these and `cli` print or exit."""
