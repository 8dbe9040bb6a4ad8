"""A classifier for recognizers that have none: prototypes of training features.

VGG-Face has 2622 classes of its own (Sec. 3). dlib's network has none, so Eq. 1's
distillation term compares faces with prototypes (docs/decisions/prototype-classes.md).
"""

from collections.abc import Sequence

import numpy as np
from sklearn import cluster

from speech2face.errors import UserError
from speech2face.recognizers.base import RecognizerHead

# People that a k-means prototype must be the mean of: the mean of one face is that
# face, and prototypes ship with the model.
MIN_MEMBERS = 3


def prototype_head(
    features: np.ndarray,
    speaker_ids: Sequence[str],
    n_prototypes: int = 0,
    sharpness: float = 100.0,
) -> RecognizerHead:
    """Makes a head whose classes are prototypes p_k of training features.

    With weights a p_k and biases -a/2 |p_k|^2, softmax(logits) equals
    softmax_k(-a/2 |v - p_k|^2): the posterior of a mixture of equal Gaussians with
    variance 1/a in each dimension.

    Args:
      features: [n, feature_dim] raw face features of the training set.
      speaker_ids: n identities.
      n_prototypes: 0 for one per speaker, the mean of the speaker's features, in the
        sorted order of the ids; else this many k-means centroids of the features,
        without those of fewer than three people.
      sharpness: a. Not in the paper: docs/decisions/prototype-classes.md. For dlib's
        features 100 is the maximum-likelihood value for finding a face by its
        normalized picture among 752 real faces (70 to 140 within 0.07 nats): the
        softmax is then about the probability of being that person. Two pictures of one
        person lay 0.34 +- 0.09 apart, two people 0.80 +- 0.09 (dlib's threshold: 0.6).

    Raises:
      UserError: there are no features, the number of ids differs, there are fewer
        distinct faces than prototypes, or `sharpness` is not positive.
    """
    features = np.asarray(features, np.float64)
    ids = np.asarray(speaker_ids)
    if features.ndim != 2 or not len(features) or len(ids) != len(features):
        raise UserError(
            f"prototypes need [n, d] features and n speaker ids; got {features.shape} "
            f"and {len(ids)}"
        )
    if sharpness <= 0:
        raise UserError(f"prototype sharpness must be positive; got {sharpness}")
    if n_prototypes:
        prototypes = _centroids(features, ids, n_prototypes)
    else:
        prototypes = np.stack([features[ids == i].mean(0) for i in np.unique(ids)])
    return RecognizerHead(
        sharpness * prototypes.T,
        -0.5 * sharpness * np.sum(prototypes**2, axis=1),
        relu_input=False,
    )


def _centroids(features: np.ndarray, ids: np.ndarray, n: int) -> np.ndarray:
    """Returns k-means centroids of at least MIN_MEMBERS people, [m, d] -> [<= n, d]."""
    n_distinct = len(np.unique(features, axis=0))
    if not 0 < n <= n_distinct:
        raise UserError(
            f"--n_prototypes={n}: the training set has {n_distinct} different face "
            "features; ask for at most as many"
        )
    # A fixed seed: the same data give the same decoder.
    fitted = cluster.KMeans(n, n_init=4, random_state=0).fit(features)
    n_members = [len(np.unique(ids[fitted.labels_ == label])) for label in range(n)]
    kept = np.array(n_members) >= MIN_MEMBERS
    if not kept.any():
        raise UserError(
            f"--n_prototypes={n}: none of them has {MIN_MEMBERS} people; ask for fewer"
        )
    return fitted.cluster_centers_[kept]
