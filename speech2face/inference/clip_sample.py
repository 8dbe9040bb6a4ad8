"""Draws the clips of a split to measure; refuses a measurement that is too large.

Tables 2 and 3 measure 5,000 random clips. The cost of the whole of a large split grows
with its square: docs/decisions/clip-sample.md.
"""

import sys

import numpy as np

from speech2face.errors import UserError

MAX_UNASKED = 20_000  # 2 GB and half a core hour of L1 for VGG-Face's features

# Measured at 5,000 clips of 4096 dimensions, docs/decisions/clip-sample.md: both
# features in float32 and the float64 copies that the metrics make of them; one absolute
# difference of L1.
_BYTES_PER_NUMBER = 50
_L1_PER_SEC = 1.5e9


def sample_positions(n: int, n_examples: int = 0, seed: int = 0) -> list[int]:
    """Returns the positions of the records to take, in ascending order.

    Args:
      n: number of records.
      n_examples: number of random ones to take; 0 takes all.
      seed: determines which.
    """
    if not n_examples or n_examples >= n:
        return list(range(n))
    generator = np.random.default_rng(seed)
    return sorted(generator.choice(n, n_examples, replace=False).tolist())


def check_size(
    n: int,
    n_examples: int,
    dim: int,
    *,
    is_allowed: bool = False,
    may_ask: bool = False,
) -> None:
    """Asks about a measurement of more than `MAX_UNASKED` clips, or refuses it.

    Args:
      n: number of records in the split.
      n_examples: how many of them are measured; 0 for all.
      dim: dimension of the features.
      is_allowed: the user wants it, whatever it costs.
      may_ask: ask where there is a terminal.

    Raises:
      UserError: it is too large, and not allowed.
    """
    n_measured = min(n, n_examples or n)
    if n_measured <= MAX_UNASKED or is_allowed:
        return
    cost = (
        f"{n_measured:,} clips of {dim:,} dimensions need about "
        f"{n_measured * dim * _BYTES_PER_NUMBER / 1e9:.0f} GB of memory and, for L1 "
        f"alone, {n_measured**2 * dim / _L1_PER_SEC / 3600:.0f} core hours"
    )
    if may_ask and sys.stdin.isatty() and _agrees(f"{cost}. Measure them all? [y/N] "):
        return
    raise UserError(
        f"{cost}; take fewer with --n_examples (Tables 2 and 3: 5,000), or add "
        "--allow_large",
        reason="too_many_clips",
    )


def _agrees(question: str) -> bool:
    return input(question).strip().lower() in ("y", "yes")
