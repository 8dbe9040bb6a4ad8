"""A narrow Table 1 whose weights and statistics are all different."""

import numpy as np

from speech2face.config import VoiceEncoderConfig

TINY = VoiceEncoderConfig(width=0.02)  # 1, 1, 3, 3, 3, 5, 10, 10, 10, 82 channels


def randomize(model, seed):
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        value = generator.normal(0, 1, weight.shape)
        if weight.name == "kernel":
            value *= np.sqrt(2 / np.prod(weight.shape[:-1]))
        elif weight.name in ("gamma", "moving_variance"):
            value = generator.uniform(0.5, 1.5, weight.shape)
        else:
            value *= 0.2
        weight.assign(value)
