"""Training data: TFRecord schema, dataset.json, input pipeline, normalizer."""
