"""Models for other runtimes: SavedModel, TFLite (LiteRT), ONNX."""
