"""The recorder: attention rows of a running generation; yields Steps, knows no file."""
