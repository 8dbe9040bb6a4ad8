"""A look at imported VGG-Face weights: does the network recognise faces it knows?

Besides the best classes of every image it reports how sure the network is on average
with the channels as they are and with red and blue exchanged. On people of the
training set the right order is clearly the surer one, so a conversion whose channels
are in another order than its format promises does not stay hidden.
"""

import dataclasses
import pathlib
from typing import Iterator, List, Tuple

import numpy as np
from PIL import Image, ImageOps

from speech2face import vgg_face_file
from speech2face.models import vgg_face

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


@dataclasses.dataclass(frozen=True)
class FaceCheck:
    """What the network makes of one image.

    Attributes:
      image: the file's name.
      top: (class name, probability), best first.
      exchanged_probability: the best class's probability with red and blue exchanged.
    """

    image: str
    top: Tuple[Tuple[str, float], ...]
    exchanged_probability: float


def check_images(weights: str, images_dir: str, n_top: int = 5) -> List[FaceCheck]:
    """Classifies the face crops of a folder with imported weights.

    Args:
      weights: output of `python -m speech2face.import_vgg_face`.
      images_dir: folder of face crops; the central square of each is used.
      n_top: how many classes to name.

    Raises:
      FileNotFoundError: there is no such file, no such folder, or no image in it.
      ValueError: the weights or an image cannot be read.
    """
    paths = _image_paths(images_dir)
    model = vgg_face.load_vgg_face(weights)
    info = vgg_face_file.read_info(weights)
    names = info.class_names or [f"class {i}" for i in range(info.size.n_classes)]
    return [_check(model, path, names, info.size.input_px, n_top) for path in paths]


def report(checks: List[FaceCheck]) -> Iterator[str]:
    """Yields the lines that tell a person what `check_images` found."""
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
            "warning: the network is surer with red and blue exchanged. If these are "
            "faces of people it was trained on, import again with the other "
            "--channel_order."
        )


def _check(model, path: pathlib.Path, names, input_px: int, n_top: int) -> FaceCheck:
    image = _load_image(path, input_px)
    logits = model.predict_on_batch(np.stack([image, image[..., ::-1]]))["fc8"]
    probabilities = _softmax(np.asarray(logits, dtype=np.float64))
    best = np.argsort(-probabilities[0])[:n_top]
    return FaceCheck(
        image=path.name,
        top=tuple((names[i], float(probabilities[0, i])) for i in best),
        exchanged_probability=float(probabilities[1].max()),
    )


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _image_paths(images_dir: str) -> List[pathlib.Path]:
    folder = pathlib.Path(images_dir)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {images_dir}; expected one of face crops")
    paths = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
    if not paths:
        raise FileNotFoundError(f"no images ({', '.join(IMAGE_SUFFIXES)}) in {folder}")
    return sorted(paths)


def _load_image(path: pathlib.Path, input_px: int) -> np.ndarray:
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as an image ({error})") from None
    square = ImageOps.fit(upright, (input_px, input_px), Image.Resampling.BICUBIC)
    return np.asarray(square, dtype=np.float32)
