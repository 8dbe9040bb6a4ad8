"""Measures of SF2F's protocol on generated faces: distances to people, recall, score.

Bai et al., "Speech Fusion to Face", 2022, as in the code that they released;
docs/decisions/sf2f-protocol.md says what differs here.
"""

from typing import NamedTuple

import numpy as np

from speech2face.metrics.features import unit

KS = (1, 5, 10)
N_PARTS = 5  # of the VGGFace score


class Distances(NamedTuple):
    """Of n generated faces to the mean embeddings of m people, [n, m] each."""

    cosine: np.ndarray
    l1: np.ndarray


class OwnAndOthers(NamedTuple):
    """A measure for each of m people.

    Attributes:
      own: [m], between a person's generated faces and that person.
      others: the mean between generated faces and all other people.
    """

    own: np.ndarray
    others: float


def compute_means(embeddings: np.ndarray, person: np.ndarray) -> np.ndarray:
    """The mean of the embeddings of each person, which SF2F does not scale again.

    Args:
      embeddings: [p, d] of photographs; scaled to norm 1 here.
      person: [p], 0 to m - 1.

    Returns:
      [m, d].
    """
    sums = np.zeros((person.max() + 1, embeddings.shape[1]))
    np.add.at(sums, person, unit(embeddings.astype(np.float64)))
    return sums / np.bincount(person)[:, np.newaxis]


def compute_distances(embeddings: np.ndarray, means: np.ndarray) -> Distances:
    """Compares every generated face [n, d] with every person [m, d]."""
    from scipy.spatial.distance import cdist

    faces = unit(embeddings.astype(np.float64))
    return Distances(faces @ unit(means).T, cdist(faces, means, "cityblock"))


def compute_own_and_others(values: np.ndarray, person: np.ndarray) -> OwnAndOthers:
    """Splits distances [n, m] into those to the speaker and those to others.

    Args:
      values: [n, m], between n generated faces and m > 1 people.
      person: [n], index of who speaks.
    """
    n, m = values.shape
    own = values[np.arange(n), person]
    by_person = np.bincount(person, own, minlength=m) / np.bincount(person, minlength=m)
    return OwnAndOthers(by_person, float((values.sum() - own.sum()) / (n * (m - 1))))


def compute_recalls(
    cosine: np.ndarray, person: np.ndarray, size: int, n_galleries: int, seed: int
) -> dict[int, np.ndarray]:
    """Recall@K in galleries of random people, each asked for by one random clip.

    Args:
      cosine: [n, m], of generated faces and people.
      person: [n], who speaks; each of the m people does.
      size: people in a gallery, at most m.
      n_galleries: how many are drawn.
      seed: seed of the draws.

    Returns:
      By K, the recall in percent in each gallery. Ties count half.
    """
    generator = np.random.default_rng([seed, size])
    ends = np.bincount(person).cumsum()[:-1]
    clips_of = np.split(np.argsort(person, kind="stable"), ends)
    recalls = np.zeros((len(KS), n_galleries))
    for gallery in range(n_galleries):
        people = generator.choice(len(clips_of), size, replace=False)
        clips = [clips_of[p][generator.integers(len(clips_of[p]))] for p in people]
        similarity = cosine[np.ix_(clips, people)]
        true = np.diagonal(similarity)[:, np.newaxis]
        ties = np.sum(similarity == true, 1) - 1
        ranks = 1 + np.sum(similarity > true, 1) + ties / 2
        recalls[:, gallery] = [100.0 * np.mean(ranks <= k) for k in KS]
    return dict(zip(KS, recalls))


def compute_vggface_score(logits: np.ndarray, seed: int) -> tuple[float, float]:
    """The inception score (Salimans et al., 2016) of a face classifier.

    Args:
      logits: [n, c] of n >= 5 pictures.
      seed: seed of the order in which pictures come to the five parts.

    Returns:
      Mean and standard deviation over the parts of exp(KL(p(c | picture) || p(c))).
    """
    from scipy.special import log_softmax

    order = np.random.default_rng(seed).permutation(len(logits))
    scores = []
    for part in np.array_split(order, N_PARTS):
        log_p = log_softmax(logits[part].astype(np.float64), axis=1)
        p = np.exp(log_p)
        # Where p is 0 its term is 0, whatever the logarithm of the mean.
        log_mean = np.log(np.maximum(p.mean(0), np.finfo(np.float64).tiny))
        scores.append(np.exp(np.mean(np.sum(p * (log_p - log_mean), 1))))
    return float(np.mean(scores)), float(np.std(scores))
