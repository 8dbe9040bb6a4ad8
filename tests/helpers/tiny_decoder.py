"""A face decoder of a few units, for tests of its layers."""

import numpy as np

from speech2face.config import FaceDecoderConfig

TINY = FaceDecoderConfig(
    decoder_units=12, landmark_units=(10, 9), texture_channels=(5, 4, 4, 3, 3)
)
# Without landmark units of its own, as the trainings of the tests have it.
TINY_TRAINED = FaceDecoderConfig(
    decoder_units=16, landmark_units=(), texture_channels=(6, 6, 4, 4, 4)
)
MEAN_LANDMARKS = np.float32(
    [(64 + 12 * column, 70 + 12 * row) for row in range(8) for column in range(9)][:68]
)
