"""Walks between faces: principal directions against scikit-learn."""

import numpy as np
from sklearn.decomposition import PCA

from experiments.lib.face_walks import principal_directions


def test_principal_directions_equal_scikit_learns():
    features = np.random.default_rng(1).normal(size=(40, 6)) * [5, 3, 1, 1, 1, 1] + 2
    directions, spread = principal_directions(features, 2)
    pca = PCA(2).fit(features)
    np.testing.assert_allclose(
        np.abs(directions @ pca.components_.T), np.eye(2), atol=1e-6
    )
    np.testing.assert_allclose(spread**2, pca.explained_variance_)
