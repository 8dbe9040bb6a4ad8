"""Sets of pictures of the same people, and how the face recognizer reads them.

A set is a folder or the output of a decoder; the supplementary sheet of the face
decoder and Fig. 5 compare such sets.
"""

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import (
    TYPE_CHECKING,
    NamedTuple,
)

import numpy as np
from PIL import Image

from experiments.lib.attributes import AttributeReader, Attributes
from experiments.lib.material import Material
from experiments.lib.results import NotApplicable
from speech2face import paper
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.images import decode_image
from speech2face.metrics import neighbors
from speech2face.metrics.features import unit

if TYPE_CHECKING:
    from speech2face.recognizers.base import Recognizer

# Recall is stated for a gallery of this many faces, so that sets of different sizes
# compare.
GALLERY = 215
F2F = "our F2F"  # decoded from the feature of the face
S2F = "our S2F"  # decoded from the feature that is predicted from the voice
PICTURES_AT_ONCE = 256  # 40 MB
_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclasses.dataclass(frozen=True)
class Retrieval:
    """Similarity of the features of n pictures and those of the true faces.

    Attributes:
      cosine: [n], after both sides are centered.
      recall_1: [n], the probability that the true face is the first of `GALLERY` faces
        drawn from those there are. With fewer faces than that, it is the average over
        galleries drawn with replacement.
      recall_10: [n], likewise that it is among the first ten.
      rank_percent: [n], rank of the true face in percent of all faces.
    """

    cosine: np.ndarray
    recall_1: np.ndarray
    recall_10: np.ndarray
    rank_percent: np.ndarray


class SetReading(NamedTuple):
    """Measurements of a set of n pictures.

    Attributes:
      features: [n, d] raw, of the recognizer.
      variance: mean variance of a pixel about the set's mean picture.
      attributes: n, as a classifier reads them; empty without one.
    """

    features: np.ndarray
    variance: float
    attributes: list[Attributes]


def picture_batches(
    material: Material,
    folders: dict[str, str],
    clips: Sequence[int] | None = None,
) -> dict[str, Iterator[np.ndarray]]:
    """The sets of pictures of the measured clips, [b, 224, 224, 3] uint8 at a time.

    Each set of 5,000 pictures would fill 750 MB.

    Args:
      material: model and clips.
      folders: label -> folder of another method's pictures.
      clips: indices of the clips; by default of all.
    """
    predictions = material.predictions()
    chosen = np.arange(len(predictions.clip_ids)) if clips is None else np.array(clips)
    starts = range(0, len(chosen), PICTURES_AT_ONCE)
    batches = [chosen[start : start + PICTURES_AT_ONCE] for start in starts]

    def decoded(features: np.ndarray) -> Iterator[np.ndarray]:
        return (material.faces(features[batch]).images for batch in batches)

    def read(folder: str) -> Iterator[np.ndarray]:
        clip_ids = predictions.clip_ids
        return (read_folder(folder, [clip_ids[i] for i in batch]) for batch in batches)

    return {
        F2F: decoded(predictions.face_features),
        **{label: read(folder) for label, folder in folders.items()},
        S2F: decoded(predictions.voice_features),
    }


def read_folder(folder: PathLike, clip_ids: Sequence[str]) -> np.ndarray:
    """Reads the picture of each clip, `<clip_id>.png` or `.jpg`.

    Returns:
      [n, 224, 224, 3] uint8.

    Raises:
      FileNotFoundError: a clip has no picture.
      UserError: a file is not a picture.
    """
    return np.stack([_read_picture(pathlib.Path(folder), name) for name in clip_ids])


def read_pairs(
    one_dir: PathLike, other_dir: PathLike
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Reads the pictures of two folders whose files have the same stem.

    Returns:
      The n stems, and the pictures of both folders, each [n, 224, 224, 3] uint8.

    Raises:
      FileNotFoundError: a folder is missing.
      UserError: the folders have no stem in common, or a file is not a picture.
    """
    one, other = _paths_by_stem(one_dir), _paths_by_stem(other_dir)
    stems = sorted(set(one) & set(other))
    if not stems:
        raise UserError(f"{one_dir} and {other_dir} have no file name in common")
    sharp = Image.Resampling.LANCZOS
    return (
        stems,
        np.stack([_read_resized(one[stem], sharp) for stem in stems]),
        np.stack([_read_resized(other[stem], sharp) for stem in stems]),
    )


def parse_folders(compared_dirs: Sequence[str]) -> dict[str, str]:
    """{label: folder} of entries 'label=folder'.

    Raises:
      FileNotFoundError: a folder is missing.
      UserError: an entry has no label.
    """
    folders = {}
    for entry in compared_dirs:
        label, _, folder = entry.partition("=")
        if not label or not folder:
            raise UserError(f"--compared_dirs: {entry!r} is not label=folder")
        if not pathlib.Path(folder).is_dir():
            raise FileNotFoundError(f"--compared_dirs: there is no folder {folder}")
        folders[label] = folder
    return folders


def recognizer_of(material: Material, vgg_face_weights: PathLike = "") -> "Recognizer":
    """The recognizer whose features the model takes.

    Args:
      material: model and clips.
      vgg_face_weights: what speech2face.import_vgg_face wrote; needed only for a model
        of VGG-Face's features.

    Raises:
      NotApplicable: its weights are not given.
      UserError: the weights given are of another recognizer.
    """
    from speech2face.recognizers.loading import load_recognizer

    wanted = material.model.decoder.recognizer
    weights = "" if wanted.name == "dlib" else vgg_face_weights
    if wanted.name != "dlib" and not weights:
        raise NotApplicable(
            f"the model takes features of {wanted.name} ({wanted.checksum[:8]}): "
            "--vgg_face_weights must name its weights to read pictures back"
        )
    recognizer = load_recognizer(wanted.name, weights)
    if recognizer.checksum != wanted.checksum:
        raise UserError(
            f"the model takes features of {wanted.name} ({wanted.checksum[:8]}); the "
            f"weights {weights or 'of the package'} are {recognizer.checksum[:8]}",
            reason="another_recognizer",
        )
    return recognizer


def read_set(
    batches: Iterable[np.ndarray],
    recognizer: "Recognizer | None" = None,
    classifier: AttributeReader | None = None,
) -> SetReading:
    """Reads a set of pictures, a batch in memory at a time.

    Args:
      batches: [b, 224, 224, 3] uint8 each.
      recognizer: computes the features, if given.
      classifier: reads the attributes, if given.
    """
    features: list[np.ndarray] = []
    attributes: list[Attributes] = []
    n, total, squares = 0, np.zeros(()), np.zeros(())
    for images in batches:
        if recognizer:
            features.append(recognizer.features(images))
        if classifier:
            attributes += classifier.attributes(images)
        # Sums of whole numbers below 2^53: exact, also where the variance is small.
        for image in images:
            pixels = image.astype(np.float64)
            total, squares = total + pixels, squares + pixels**2
        n += len(images)
    variance = float((squares / n - (total / n) ** 2).mean())
    return SetReading(
        np.concatenate(features) if features else np.zeros((n, 0)), variance, attributes
    )


def retrieval(
    features: np.ndarray, true: np.ndarray, gallery: np.ndarray | None = None
) -> Retrieval:
    """Compares centered features [n, d] with those of the true faces [n, d].

    Args:
      features: features of the pictures, [n, d].
      true: features of the clips' true faces, [n, d].
      gallery: the distinct faces [m, d] to search, those of the n clips first; by
        default those of `true`.
    """
    import scipy.stats

    from speech2face.inference.evaluation import gallery as distinct_faces

    faces, true_index = distinct_faces(true if gallery is None else gallery)
    cosine = np.sum(unit(features) * unit(true), axis=1)
    rank = neighbors.ranks(features, faces, true_index[: len(features)], "cos")
    # The probability that a random other face is nearer than the true one. Of the 214
    # others in a drawn gallery, the number of nearer ones is then binomial.
    nearer = (rank - 1) / max(len(faces) - 1, 1)
    return Retrieval(
        cosine=cosine,
        recall_1=scipy.stats.binom.cdf(0, GALLERY - 1, nearer),
        recall_10=scipy.stats.binom.cdf(9, GALLERY - 1, nearer),
        rank_percent=100 * rank / len(faces),
    )


def _read_picture(folder: pathlib.Path, clip_id: str) -> np.ndarray:
    paths = [folder / f"{clip_id}{suffix}" for suffix in _SUFFIXES]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise FileNotFoundError(f"{folder} has no picture of clip {clip_id}")
    return _read_resized(path, Image.Resampling.BICUBIC)


def _paths_by_stem(folder: PathLike) -> dict[str, pathlib.Path]:
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    paths = sorted(folder.iterdir())
    return {path.stem: path for path in paths if path.suffix.lower() in _SUFFIXES}


def _read_resized(path: pathlib.Path, resampling: Image.Resampling) -> np.ndarray:
    try:
        image = Image.fromarray(decode_image(path.read_bytes()))
    except (UserError, OSError) as error:
        raise UserError(f"cannot read the image {path}: {error}") from None
    size = (paper.FACE_PX, paper.FACE_PX)
    return np.asarray(image if image.size == size else image.resize(size, resampling))
