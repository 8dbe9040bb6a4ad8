"""Keras models, written with keras.layers and keras.ops only."""
