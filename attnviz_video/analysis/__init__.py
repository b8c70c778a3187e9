"""Rows to scores: heads, sinks, scale. Numpy only; one idea per file, its formula and source in the docstring."""
