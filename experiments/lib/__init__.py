"""What the experiments share: inputs, material, results, plots, published numbers."""
