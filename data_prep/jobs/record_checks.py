"""Record in; a sentence for each of its faults out."""

from collections.abc import Iterator

import numpy as np

from speech2face.audio import loudness
from speech2face.data import records
from speech2face.errors import UserError
from speech2face.images import decode_image
from speech2face.paper import FACE_PX

CROP_SHAPE = (FACE_PX, FACE_PX, 3)

Example = records.VoiceExample | records.FaceExample


class RecordChecks:
    """Checks records one by one, and remembers what two records must not share."""

    def __init__(self, feature_dim: int):
        """Takes the dimension of the recognizer's features."""
        self._feature_dim = feature_dim
        self._clip_ids: set[str] = set()
        self._split_of: dict[str, str] = {}  # speaker -> split

    def problems_of(self, split: str, example: Example) -> Iterator[str]:
        """Yields a sentence for each fault of a record.

        Args:
          split: that the record is in.
          example: its content.
        """
        yield from self._problems_between_records(split, example)
        yield from self._problems_of_feature(example.face_feature)
        yield from _problems_of_crop(example.face_jpeg)
        if isinstance(example, records.VoiceExample):
            yield from _problems_of_sound(example.waveform)
        else:
            yield from _problems_of_face(example)

    def _problems_between_records(self, split: str, example: Example) -> Iterator[str]:
        if example.clip_id in self._clip_ids:
            yield "its clip_id occurs twice"
        self._clip_ids.add(example.clip_id)
        other = self._split_of.setdefault(example.speaker_id, split)
        if other != split:
            yield f"its speaker is in the split {other} too"

    def _problems_of_feature(self, feature: np.ndarray) -> Iterator[str]:
        dim = self._feature_dim
        if feature.shape != (dim,):
            yield f"its feature has the shape {feature.shape}, not ({dim},)"
        if not np.isfinite(feature).all():
            yield "its feature is not finite"
        elif not feature.any():
            yield "its feature is all zero"


def _problems_of_crop(face_jpeg: bytes) -> Iterator[str]:
    try:
        shape = decode_image(face_jpeg).shape
    except (OSError, ValueError):
        yield "its crop is not an image"
        return
    if shape != CROP_SHAPE:
        yield f"its crop has the shape {shape}"


def _problems_of_sound(waveform: np.ndarray) -> Iterator[str]:
    try:
        loudness.check_waveform(waveform, "its sound")
    except UserError as error:
        yield str(error)


def _problems_of_face(example: records.FaceExample) -> Iterator[str]:
    for name in ("normalized", "texture"):
        shape = getattr(example, name).shape
        if shape != CROP_SHAPE:
            yield f"its {name} has the shape {shape}"
    low, high = example.landmarks.min(), example.landmarks.max()
    # A chin may lie outside the picture, but not by more than half of its side.
    margin_px = FACE_PX / 2
    if not (low >= -margin_px and high <= FACE_PX + margin_px):  # also catches NaN
        yield f"its landmarks reach from {low:.3g} to {high:.3g} px"
