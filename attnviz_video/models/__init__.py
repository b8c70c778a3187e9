"""What differs between model families: loading, prompt, layout (one file per rule and a table), token text."""
