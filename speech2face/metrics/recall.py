"""Face retrieval: how often the true face is near the top of a gallery (Table 3).

Retrieval is reported twice. `recall_strict` at K is the share of queries whose true
face is among the K nearest of the gallery. `recall_percent` at K, the paper's protocol
(Table 3: its random row reads 1, 2, 5 and 10 %), is the share whose true face is among
the nearest K percent of the gallery; that is the first floor(K n / 100) of n, and at
least the first one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from speech2face.metrics.neighbors import ranks

KS = (1, 2, 5, 10)  # Table 3


def retrieval(
    queries: np.ndarray,
    gallery: np.ndarray,
    true_index: np.ndarray,
    metric: str = "cos",
    ks: Sequence[int] = KS,
) -> dict[str, Any]:
    """Measures how often the true face is near the top of the gallery, as in Table 3.

    Args:
      queries: voice features [q, d].
      gallery: face features [n, d].
      true_index: [q], where in the gallery the face of each query is.
      metric: 'cos', 'l2' or 'l1'.
      ks: the K of recall at K.

    Returns:
      'n' (size of the gallery), 'n_queries', 'recall_strict' and 'recall_percent' (see
      the module) as fractions at str(K), 'median_rank' (1 is best), and 'chance', which
      holds the same three for a random order of the gallery.

    Raises:
      UserError: as `neighbors.ranks`.
    """
    rank = ranks(queries, gallery, true_index, metric)
    n = len(gallery)
    strict = {str(k): min(k, n) for k in ks}
    percent = {str(k): percent_rank(k, n) for k in ks}
    return {
        "n": n,
        "n_queries": len(rank),
        "recall_strict": {k: float(np.mean(rank <= cut)) for k, cut in strict.items()},
        "recall_percent": {
            k: float(np.mean(rank <= cut)) for k, cut in percent.items()
        },
        "median_rank": float(np.median(rank)),
        "chance": {
            "recall_strict": {k: cut / n for k, cut in strict.items()},
            "recall_percent": {k: cut / n for k, cut in percent.items()},
            "median_rank": (n + 1) / 2,
        },
    }


def percent_rank(k: int, n: int) -> int:
    """Returns the last rank within the nearest K percent of n faces."""
    return max(1, k * n // 100)  # below 100 / K faces it would be none
