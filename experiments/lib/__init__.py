"""Shared by the experiments: inputs, material, results, plots, published numbers."""
