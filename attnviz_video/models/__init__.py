"""What differs between model families: loading, prompt, layout (one file per family and a table of strings), token text."""
