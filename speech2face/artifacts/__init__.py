"""What a training writes: run folder, checkpoints, decoder bundle, environment."""
