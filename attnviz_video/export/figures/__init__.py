"""Figures for papers: one step of a trace, or a filmstrip of some, as PDF, SVG or PNG (extra `plots`)."""
