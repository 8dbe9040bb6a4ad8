"""The one place where raw recognizer features become v_f and back.

Records hold features as the recognizer gives them. The face decoder and the voice
encoder work with v_f = (raw - mean) * scale; the paper config does not centre and
scales to a mean norm of 0.2316, the one value that explains both the L2 and the cosine
row of Table 2 (BUILD_NOTES 11). The normaliser is fitted on the training split and
saved with the decoder, hence with every run and every bundle.
"""

import dataclasses

import numpy as np

from speech2face.config import NormalizerConfig
from speech2face.dataset_info import FeatureStatistics


@dataclasses.dataclass(frozen=True)
class FeatureNormalizer:
    """v_f = (raw - mean) * scale, for numpy arrays and tensors [..., d].

    Attributes:
      mean: [d] float32; zeros without centring.
      scale: a positive number.
    """

    mean: np.ndarray
    scale: float

    @classmethod
    def fit(
        cls, statistics: FeatureStatistics, config: NormalizerConfig
    ) -> "FeatureNormalizer":
        """Returns the normaliser that gives training features the configured norm."""
        mean = np.array(statistics.mean, np.float32)
        norm = statistics.mean_norm
        if config.center_features:
            norm = statistics.centred_mean_norm
        else:
            mean = np.zeros_like(mean)
        if not norm > 0:
            raise ValueError(
                "the training features have no spread to normalise: are they all the "
                "same face? Build the data set from several people"
            )
        return cls(mean, config.feature_norm / norm)

    def normalize(self, raw):
        """Returns v_f of raw features."""
        return (raw - self.mean) * self.scale

    def denormalize(self, feature):
        """Returns the raw features of v_f, which is what f_VGG takes."""
        return feature / self.scale + self.mean
