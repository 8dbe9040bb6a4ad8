"""Rows and notes that several figures of faces have in common."""

from collections.abc import Sequence

import numpy as np

from experiments.lib.results import Row, interval
from speech2face.images import LABEL


def mean_angle_row(title: str, angles: np.ndarray, speaker_ids: Sequence[str]) -> Row:
    """The row of a mean angle, with its interval over speakers.

    Args:
      title: what the angles are between.
      angles: [n] degrees.
      speaker_ids: n names.
    """
    return Row(
        {"angle (deg)": title},
        ours=float(angles.mean()),
        sd=float(angles.std()),
        ci95=interval(angles, speaker_ids),
        n=len(angles),
    )


def face_sheet_notes(drawn: bool = True) -> list[str]:
    """Returns the notes below a sheet of faces.

    Args:
      drawn: whether the clips are a random draw and not named by the user.
    """
    notes = [f"S2F and F2F: each a {LABEL}"]
    if drawn:
        notes.append("clips: a seeded draw, one of each speaker")
    return notes
