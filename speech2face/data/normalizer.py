"""Raw recognizer features <-> v_f, in one place.

Records hold features as the recognizer gives them. The face decoder and the voice
encoder work with v_f = (raw - mean) * scale. The paper's configuration does not center
and scales to a mean norm of 0.2316, the one value that explains both the L2 and the
cosine row of Table 2 (docs/decisions/feature-normalizer.md). The normalizer is fitted
on the training split and saved with the decoder, hence with every run and bundle.
"""

import dataclasses
from typing import Any

import numpy as np

from speech2face.config import NormalizerConfig
from speech2face.data.dataset_info import FeatureStatistics
from speech2face.errors import UserError


@dataclasses.dataclass(frozen=True)
class FeatureNormalizer:
    """v_f = (raw - mean) * scale, for numpy arrays and tensors [..., d].

    Attributes:
      mean: [d] float32; zeros without centering.
      scale: a positive number.
    """

    mean: np.ndarray
    scale: float

    @classmethod
    def fit(
        cls, statistics: FeatureStatistics, config: NormalizerConfig
    ) -> "FeatureNormalizer":
        """Fits the normalizer that gives training features the configured norm.

        Raises:
          UserError: all training features are equal.
        """
        mean = np.array(statistics.mean, np.float32)
        # The norm of what is scaled: of v itself, or of v - mean.
        norm = statistics.mean_norm
        if config.center_features:
            norm = statistics.centred_mean_norm
        else:
            mean = np.zeros_like(mean)
        if not norm > 0:
            raise UserError(
                "the training features have no spread to normalize: are they all the "
                "same face? Build the data set from several people"
            )
        return cls(mean, config.feature_norm / norm)

    def mean_norm(self, statistics: FeatureStatistics) -> float:
        """Returns about the mean |v_f| of the raw features of `statistics`."""
        offset = np.array(statistics.mean) - self.mean
        # Exact for the root of the mean square.
        return self.scale * float(
            np.hypot(statistics.centred_mean_norm, np.linalg.norm(offset))
        )

    def normalize(self, raw: Any) -> Any:
        """Returns v_f [..., d] of raw features [..., d]."""
        return (raw - self.mean) * self.scale

    def denormalize(self, feature: Any) -> Any:
        """Returns the raw features [..., d] of v_f [..., d]; f_VGG takes them."""
        return feature / self.scale + self.mean
