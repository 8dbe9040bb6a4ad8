"""Pictures of the same people by several makers, read back by the face recognizer."""

import dataclasses
import pathlib
from typing import Dict, List, Optional, Sequence

import numpy as np
import scipy.stats
from PIL import Image

from experiments.common import NotApplicable
from experiments.material import Material
from speech2face import evaluation, files, recognizers, search

GALLERY = 215  # faces: the size of gallery in which recall is stated
SIZE_PX = 224
_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclasses.dataclass(frozen=True)
class Retrieval:
    """How near the features of n pictures are to those of the true faces.

    Attributes:
      cosine: [n], after both sides are centred.
      recall_1, recall_10: [n], the probability that the true face is the first, or
        among the first ten, of `GALLERY` faces drawn from those there are. Of fewer
        faces it is what galleries of that size give on average.
      rank_percent: [n], rank of the true face in percent of all faces.
    """

    cosine: np.ndarray
    recall_1: np.ndarray
    recall_10: np.ndarray
    rank_percent: np.ndarray


def read_folder(folder: str, clip_ids: Sequence[str]) -> np.ndarray:
    """The picture of each clip, `<clip_id>.png` or `.jpg`: [n, 224, 224, 3] uint8.

    Raises:
      FileNotFoundError: a clip has none.
      ValueError: a file is no picture.
    """
    return np.stack([_read_picture(pathlib.Path(folder), name) for name in clip_ids])


def parse_folders(compared_dirs: Sequence[str]) -> Dict[str, str]:
    """{label: folder} of entries 'label=folder'.

    Raises:
      ValueError: an entry has no label.
    """
    parted = [entry.partition("=") for entry in compared_dirs]
    for entry, (label, _, folder) in zip(compared_dirs, parted):
        if not label or not folder:
            raise ValueError(f"--compared_dirs: {entry!r} is not label=folder")
    return {label: folder for label, _, folder in parted}


def recognizer_of(material: Material) -> recognizers.Recognizer:
    """The recognizer whose features the model takes.

    Raises:
      NotApplicable: its weights are not here.
    """
    wanted = material.model.decoder.recognizer
    recognizer = recognizers.load_recognizer("dlib")
    if (wanted.name, wanted.checksum) != (recognizer.name, recognizer.checksum):
        raise NotApplicable(
            "pictures are read back by dlib's network; this model takes features of "
            f"{wanted.name} ({wanted.checksum[:8]})"
        )
    return recognizer


def retrieval(
    found: np.ndarray, true: np.ndarray, gallery: Optional[np.ndarray] = None
) -> Retrieval:
    """Compares centred features [n, d] with those of the true faces [n, d].

    Args:
      found: of the pictures.
      true: of the clips' faces.
      gallery: the distinct faces to search; by default those of `true`.
    """
    faces, own = evaluation.gallery(true if gallery is None else gallery)
    cosine = np.sum(_unit(found) * _unit(true), axis=1)
    rank = search.ranks(found, faces, own[: len(found)], "cos")
    above = (rank - 1) / max(len(faces) - 1, 1)  # how likely another face is nearer
    return Retrieval(
        cosine=cosine,
        recall_1=scipy.stats.binom.cdf(0, GALLERY - 1, above),
        recall_10=scipy.stats.binom.cdf(9, GALLERY - 1, above),
        rank_percent=100 * rank / len(faces),
    )


def pixel_variance(images: np.ndarray) -> float:
    """Mean variance of a pixel of [n, h, w, 3] uint8 about the set's mean face."""
    return float(np.asarray(images, np.float64).var(axis=0).mean())


def _read_picture(folder: pathlib.Path, clip_id: str) -> np.ndarray:
    paths: List[pathlib.Path] = [folder / f"{clip_id}{end}" for end in _SUFFIXES]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise FileNotFoundError(f"{folder} has no picture of clip {clip_id}")
    image = Image.fromarray(files.decode_image(path.read_bytes()))
    return np.asarray(image.resize((SIZE_PX, SIZE_PX), Image.Resampling.BICUBIC))


def _unit(vectors: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(norm, 1e-12)
