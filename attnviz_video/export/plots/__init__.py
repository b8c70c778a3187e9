"""Plots for papers: matrices, grids of heads, overviews and curves of a trace, as PDF, SVG or PNG (extra `plots`)."""
