"""Planted traces and tiny checkpoints for tests; imported by no product module."""
