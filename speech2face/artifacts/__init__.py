"""Output of a training: run folder, checkpoints, decoder bundle, environment."""
