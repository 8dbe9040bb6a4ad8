"""Files that are whole or not there, and images as bytes."""

import contextlib
import hashlib
import io
import os
import pathlib
import shutil
from typing import Iterator

import numpy as np
from PIL import Image, PngImagePlugin


@contextlib.contextmanager
def atomic_path(path: "os.PathLike[str]") -> Iterator[pathlib.Path]:
    """Gives a temporary path beside `path` that takes its name on success.

    Whatever is written there is flushed to the disk before it is renamed; after an
    error (or a full disk) nothing of it is left, and `path` is as it was. Works for a
    file and for a folder.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    remove(temporary)
    try:
        yield temporary
        if temporary.is_file():
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
        else:
            remove(path)
        os.replace(temporary, path)
    finally:
        remove(temporary)


def write_atomically(path: "os.PathLike[str]", content: bytes) -> None:
    """Writes `content` to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def remove(path: pathlib.Path) -> None:
    """Deletes a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sha256(path: "os.PathLike[str]") -> str:
    """Returns the hexadecimal sha256 of a file's content."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def encode_png(image: np.ndarray, description: str = "") -> bytes:
    """Encodes an image [h, w, 3] uint8 without loss; metadata says what it is."""
    metadata = PngImagePlugin.PngInfo()
    if description:
        metadata.add_text("Description", description)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", pnginfo=metadata)
    return buffer.getvalue()


def encode_jpeg(image: np.ndarray, quality: int = 95) -> bytes:
    """Encodes an image [h, w, 3] uint8."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def decode_image(content: bytes) -> np.ndarray:
    """Decodes a PNG or JPEG to [h, w, 3] uint8."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
