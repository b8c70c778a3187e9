"""One tiny random checkpoint per model family, for the tests that every family must pass; listed in `table.py`."""
