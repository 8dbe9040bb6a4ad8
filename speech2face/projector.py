"""Features for TensorBoard's projector: voices and faces in one space, to turn around.

Beside the events of a run lie `projector_config.pbtxt`, `features.tsv` (one feature a
line), `metadata.tsv` (its kind, the number of its clip, and what the manifest says of
the speaker) and `faces.png` (each feature decoded). No clip and no person is named, and
no photograph is shown.
"""

import math
import os
import pathlib
from typing import Dict, List, Sequence

import numpy as np
from PIL import Image

from speech2face import files

# Of the manifest's labels; others might be names.
LABELS = ("gender", "age", "ethnicity", "language")
FACE_PX = 64

_CONFIG = """\
embeddings {{
  tensor_name: "face features and voice features"
  tensor_path: "features.tsv"
  metadata_path: "metadata.tsv"
  sprite {{
    image_path: "faces.png"
    single_image_dim: {px}
    single_image_dim: {px}
  }}
}}
"""


def write(
    folder: os.PathLike,
    features: Dict[str, np.ndarray],
    images: Dict[str, np.ndarray],
    labels: Sequence[Dict[str, str]],
) -> None:
    """Writes the projector's files into a folder of TensorBoard events.

    Args:
      folder: exists.
      features: by kind, [n, d] float32 each; row k is of clip k.
      images: likewise, [n, h, w, 3] uint8.
      labels: of the n clips; only `LABELS` are written.
    """
    folder = pathlib.Path(folder)
    lines = [_tsv_line(row) for rows in features.values() for row in rows]
    pages = [image for kind in features for image in images[kind]]
    sprite = _sprite([_thumbnail(image) for image in pages])
    files.write_atomically(folder / "features.tsv", "".join(lines).encode())
    files.write_atomically(
        folder / "metadata.tsv", _metadata(list(features), labels).encode()
    )
    files.write_atomically(folder / "faces.png", files.encode_png(sprite))
    config = _CONFIG.format(px=FACE_PX)
    files.write_atomically(folder / "projector_config.pbtxt", config.encode())


def _tsv_line(feature: np.ndarray) -> str:
    return "\t".join(f"{value:.5g}" for value in feature) + "\n"


def _metadata(kinds: List[str], labels: Sequence[Dict[str, str]]) -> str:
    present = [name for name in LABELS if any(name in one for one in labels)]
    rows = [["kind", "clip", *present]]
    for kind in kinds:
        for index, one in enumerate(labels):
            rows.append([kind, str(index), *(one.get(name, "") for name in present)])
    return "".join("\t".join(map(_cell, row)) + "\n" for row in rows)


def _cell(text: str) -> str:
    return " ".join(text.split())  # no tab, no line break


def _thumbnail(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((FACE_PX, FACE_PX), Image.BOX))


def _sprite(thumbnails: List[np.ndarray]) -> np.ndarray:
    """Thumbnails row by row on a square page, as the projector cuts it up again."""
    n_columns = math.ceil(math.sqrt(len(thumbnails)))
    page = np.zeros([n_columns * FACE_PX, n_columns * FACE_PX, 3], np.uint8)
    for index, thumbnail in enumerate(thumbnails):
        y, x = (FACE_PX * place for place in divmod(index, n_columns))
        page[y : y + FACE_PX, x : x + FACE_PX] = thumbnail
    return page
