"""Checks imported VGG-Face weights: does the network recognize faces that it knows?

Besides the best classes of every image it reports the mean probability of the best
class, with the channels as they are and with red and blue exchanged. On people of the
training set the right order gives clearly higher probabilities. This reveals a
conversion whose channel order differs from what its format promises.
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

import keras
import numpy as np
from PIL import Image, ImageOps

from speech2face import images
from speech2face.files import PathLike
from speech2face.models import vgg_face
from speech2face.weights import vgg_face_file

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


@dataclasses.dataclass(frozen=True)
class FaceCheck:
    """The network's answer for one image.

    Attributes:
      image: the file's name.
      top: (class name, probability), best first.
      exchanged_probability: the best class's probability with red and blue exchanged.
    """

    image: str
    top: tuple[tuple[str, float], ...]
    exchanged_probability: float


def check_images(
    weights: PathLike, images_dir: PathLike, n_top: int = 5
) -> list[FaceCheck]:
    """Classifies the face crops of a folder with imported weights.

    Args:
      weights: output of `python -m speech2face.import_vgg_face`.
      images_dir: folder of face crops; the central square of each is used.
      n_top: how many classes to name.

    Raises:
      FileNotFoundError: there is no such file, no such folder, or no image in it.
      UserError: the weights or an image cannot be read.
    """
    paths = _image_paths(images_dir)
    model = vgg_face.load_vgg_face(weights)
    info = vgg_face_file.read_info(weights)
    names = info.class_names or [f"class {i}" for i in range(info.size.n_classes)]
    return [_check(model, path, names, info.size.input_px, n_top) for path in paths]


def report(checks: list[FaceCheck]) -> Iterator[str]:
    """Yields the lines that report what `check_images` found."""
    for check in checks:
        best = ", ".join(f"{name} {p:.3f}" for name, p in check.top)
        yield f"{check.image}: {best}"
    mean = np.mean([check.top[0][1] for check in checks])
    exchanged = np.mean([check.exchanged_probability for check in checks])
    yield (
        f"mean probability of the best class: {mean:.3f}; with red and blue exchanged: "
        f"{exchanged:.3f}"
    )
    if exchanged > mean:
        yield (
            "warning: the probabilities are higher with red and blue exchanged. If "
            "these are faces of people the network was trained on, import again with "
            "the other --channel_order."
        )


def _check(
    model: keras.Model,
    path: pathlib.Path,
    names: Sequence[str],
    input_px: int,
    n_top: int,
) -> FaceCheck:
    image = _load_image(path, input_px)
    # The second image has red and blue exchanged.
    logits = model.predict_on_batch(np.stack([image, image[..., ::-1]]))["fc8"]
    probabilities = _softmax(np.asarray(logits, dtype=np.float64))
    best = np.argsort(-probabilities[0])[:n_top]
    return FaceCheck(
        image=path.name,
        top=tuple((names[i], float(probabilities[0, i])) for i in best),
        exchanged_probability=float(probabilities[1].max()),
    )


def _softmax(logits: np.ndarray) -> np.ndarray:
    # Without the maximum, large logits would overflow.
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _image_paths(images_dir: PathLike) -> list[pathlib.Path]:
    folder = pathlib.Path(images_dir)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {images_dir} with face crops")
    paths = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
    if not paths:
        raise FileNotFoundError(f"no images ({', '.join(IMAGE_SUFFIXES)}) in {folder}")
    return sorted(paths)


def _load_image(path: pathlib.Path, input_px: int) -> np.ndarray:
    picture = Image.fromarray(images.read_image(path))
    square = ImageOps.fit(picture, (input_px, input_px), Image.Resampling.BICUBIC)
    return np.asarray(square, dtype=np.float32)
