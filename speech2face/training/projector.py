"""Writes features for TensorBoard's projector: voices and faces in one space.

Beside the events of a run lie `features.tsv` (one feature a line), `metadata.tsv` (its
kind, the number of its clip, and the speaker's labels from the manifest), `faces.png`
(each feature decoded), and the projector's own `projector_config.pbtxt`. No clip and no
person is named, and no photograph is shown (docs/decisions/projector-privacy.md).
"""

import math
from collections.abc import Sequence

import numpy as np
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins import projector

from speech2face.files import PathLike, as_path, write_atomically
from speech2face.images import encode_png

# Labels of the manifest that are shown; others might be names.
LABELS = ("gender", "age", "ethnicity", "language")
THUMBNAIL_PX = 64  # side of a face in the sprite


def write(
    folder: PathLike,
    features: dict[str, np.ndarray],
    images: dict[str, np.ndarray],
    labels: Sequence[dict[str, str]],
) -> None:
    """Writes the projector's files into a folder of TensorBoard events.

    Args:
      folder: exists.
      features: kind -> [n, d] float32; row k is of clip k.
      images: kind -> [n, h, w, 3] uint8.
      labels: labels of each of the n clips; only `LABELS` are written.
    """
    folder = as_path(folder)
    lines = [_tsv_line(row) for rows in features.values() for row in rows]
    thumbnails = [_thumbnail(image) for kind in features for image in images[kind]]
    metadata = _metadata(list(features), labels)
    features_tsv = "".join(lines).encode()
    write_atomically(folder / "features.tsv", features_tsv, is_ours=True)
    write_atomically(folder / "metadata.tsv", metadata.encode(), is_ours=True)
    sprite = encode_png(_sprite(thumbnails))
    write_atomically(folder / "faces.png", sprite, is_ours=True)
    config = projector.ProjectorConfig()
    embedding = config.embeddings.add()
    embedding.tensor_name = "face features and voice features"
    embedding.tensor_path = "features.tsv"
    embedding.metadata_path = "metadata.tsv"
    embedding.sprite.image_path = "faces.png"
    embedding.sprite.single_image_dim.extend([THUMBNAIL_PX, THUMBNAIL_PX])
    # As `projector.visualize_embeddings`, which writes to folders alone.
    text = text_format.MessageToString(config).encode()
    write_atomically(folder / "projector_config.pbtxt", text, is_ours=True)


def _tsv_line(feature: np.ndarray) -> str:
    return "\t".join(f"{value:.5g}" for value in feature) + "\n"


def _metadata(kinds: list[str], labels: Sequence[dict[str, str]]) -> str:
    present = [name for name in LABELS if any(name in clip for clip in labels)]
    rows = [["kind", "clip", *present]]
    for kind in kinds:
        for index, clip in enumerate(labels):
            rows.append([kind, str(index), *(clip.get(name, "") for name in present)])
    return "".join("\t".join(map(_cell, row)) + "\n" for row in rows)


def _cell(text: str) -> str:
    return " ".join(text.split())  # tabs and line breaks would end the cell


def _thumbnail(image: np.ndarray) -> np.ndarray:
    size = (THUMBNAIL_PX, THUMBNAIL_PX)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def _sprite(thumbnails: list[np.ndarray]) -> np.ndarray:
    """Arranges thumbnails row by row on a square page, as the projector expects."""
    n_columns = math.ceil(math.sqrt(len(thumbnails)))
    page_px = n_columns * THUMBNAIL_PX
    page = np.zeros([page_px, page_px, 3], np.uint8)
    for index, thumbnail in enumerate(thumbnails):
        row, column = divmod(index, n_columns)
        top, left = row * THUMBNAIL_PX, column * THUMBNAIL_PX
        page[top : top + THUMBNAIL_PX, left : left + THUMBNAIL_PX] = thumbnail
    return page
