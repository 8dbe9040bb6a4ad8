"""Readers of other people's weight files, safe on files from strangers."""
