"""The feature normalizer, in both configs, and what Table 2 says about it."""

import numpy as np
import pytest

from speech2face.config import NormalizerConfig
from speech2face.data.dataset_info import FeatureStatistics
from speech2face.data.normalizer import FeatureNormalizer


def raw_features():
    random = np.random.default_rng(0)
    return (random.normal(size=(500, 40)) * 3 + 2).astype(np.float32)


def test_paper_config_scales_and_does_not_center():
    raw = raw_features()
    statistics = FeatureStatistics.measure(raw)
    normalizer = FeatureNormalizer.fit(statistics, NormalizerConfig())
    normalized = normalizer.normalize(raw)
    ratio = normalized / raw
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-5)
    norms = np.sqrt((normalized.astype(np.float64) ** 2).sum(1))
    np.testing.assert_allclose(norms.mean(), 0.2316, rtol=1e-5)
    short = FeatureStatistics.measure(1e-3 * raw)  # shorter than 1, but not 0
    fitted = FeatureNormalizer.fit(short, NormalizerConfig())
    assert fitted.scale == pytest.approx(1e3 * normalizer.scale)


def test_centering_moves_the_training_mean_to_zero():
    raw = raw_features()
    config = NormalizerConfig(center_features=True, feature_norm=1.0)
    normalizer = FeatureNormalizer.fit(FeatureStatistics.measure(raw), config)
    normalized = normalizer.normalize(raw).astype(np.float64)
    np.testing.assert_allclose(normalized.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(np.sqrt((normalized**2).sum(1)).mean(), 1, rtol=1e-5)
    np.testing.assert_allclose(
        normalizer.denormalize(normalizer.normalize(raw)), raw, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("center_features", [False, True])
def test_the_norm_of_other_features_is_known_from_their_statistics(center_features):
    config = NormalizerConfig(center_features=center_features)
    statistics = FeatureStatistics.measure(raw_features())
    normalizer = FeatureNormalizer.fit(statistics, config)
    others = 0.7 * raw_features()[::-1] + 1
    norms = np.linalg.norm(normalizer.normalize(others), axis=1)
    measured = FeatureStatistics.measure(others)
    assert normalizer.mean_norm(measured) == pytest.approx(norms.mean(), rel=0.02)


@pytest.mark.parametrize("cos_deg, l2", [(48.43, 0.19), (45.75, 0.18)])
def test_one_norm_explains_both_rows_of_table_2(cos_deg, l2):
    """Two vectors of norm 0.2316 at the published angle are the published L2 apart."""
    chord = 2 * 0.2316 * np.sin(np.radians(cos_deg) / 2)
    assert round(chord, 2) == l2


def test_features_that_are_all_alike_are_refused():
    statistics = FeatureStatistics.measure(np.ones((5, 4)))
    config = NormalizerConfig(center_features=True)
    with pytest.raises(ValueError, match="no spread"):
        FeatureNormalizer.fit(statistics, config)
