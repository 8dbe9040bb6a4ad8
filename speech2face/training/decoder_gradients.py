"""The gradient of each loss of the face decoder at the ends of its two branches.

Every loss depends on the network through the texture and the landmarks only. The chain
rule is therefore cut there: the gradients of the terms with respect to these two are
computed once. Their norms go to the log, and their weighted sum is the gradient from
which the network learns. Logging costs no second pass through the recognizer.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from speech2face.training.trainer import Terms

TEXTURE, LANDMARKS = "texture", "landmarks"
# (term of the loss, branch that it pulls)
PULLS = (
    ("texture", TEXTURE),
    ("identity", TEXTURE),
    ("landmarks", LANDMARKS),
    ("identity", LANDMARKS),
)


class Branches(NamedTuple):
    """The ends of the decoder's branches.

    Attributes:
      texture: [b, 224, 224, 3] in [0, 1].
      landmarks: [b, k, 2] px.
    """

    texture: tf.Tensor
    landmarks: tf.Tensor


TermsFn = Callable[[Branches], Terms]  # -> the terms of `losses.decoder_losses`


def log_name(term: str, branch: str) -> str:
    """Returns the name in the log of the norm of a term's gradient at a branch."""
    return f"gradient/{_name(term, branch)}"


def weights_by_branch(weights: dict[str, float]) -> list[dict[str, float]]:
    """Returns, for each branch, the weight of each pull, by its name in the log."""
    return [
        {_name(term, at): weights[term] for term, at in PULLS if at == branch}
        for branch in (TEXTURE, LANDMARKS)
    ]


def _name(term: str, branch: str) -> str:
    return term if term == branch else f"{term}_at_{branch}"


def with_norms(terms_of: TermsFn, weights: dict[str, float], ends: Branches) -> Terms:
    """Returns the loss terms and the norms of their gradients.

    Args:
      terms_of: computes the terms; 'total' is their sum with these weights.
      weights: weight of each term.
      ends: what the network computes.

    Returns:
      The terms, and for each of `PULLS` its `log_name`: |d term / d branch|_2 of each
      example, without the weight; [b] float32 each. Only 'total' carries a gradient:
      the exact one, into both branches.
    """
    terms, gradients = _differentiate(terms_of, ends)
    total = tf.stop_gradient(terms["total"])
    for (term, branch), gradient in gradients.items():
        end = getattr(ends, branch)
        # Zero, with the gradient's values as its derivative.
        linear = tf.stop_gradient(gradient) * (end - tf.stop_gradient(end))
        total += weights[term] * _sum_per_example(linear)
    norms = {
        log_name(*pull): tf.sqrt(_sum_per_example(tf.square(gradient)))
        for pull, gradient in gradients.items()
    }
    return {**terms, "total": total, **norms}


def _differentiate(
    terms_of: TermsFn, ends: Branches
) -> tuple[Terms, dict[tuple[str, str], tf.Tensor]]:
    """Returns the terms, and the gradient of each of `PULLS` whose term there is."""
    cut = Branches(tf.stop_gradient(ends.texture), tf.stop_gradient(ends.landmarks))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(cut)
        terms = terms_of(cut)
    gradients: dict[tuple[str, str], tf.Tensor] = {}
    for term in terms:
        branches = [branch for name, branch in PULLS if name == term]
        if not branches:  # the total
            continue
        # Of all branches at once: one pass through the recognizer.
        of_term = tape.gradient(terms[term], [getattr(cut, name) for name in branches])
        gradients.update({(term, name): g for name, g in zip(branches, of_term)})
    return terms, {pull: gradients[pull] for pull in PULLS if pull in gradients}


def _sum_per_example(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(values, axis=list(range(1, len(values.shape))))
