"""Scores and layout to frames; Pillow and numpy only."""
