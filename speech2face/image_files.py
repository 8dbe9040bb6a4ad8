"""An image file as an array, whatever its format: Pillow, and one line for what fails.

EXIF rotation is applied, pictures come as RGB.
"""

import os
import warnings

import numpy as np
from PIL import Image, ImageOps

# Longest side of a picture kept for detection: bounds memory (6 MB a frame) and the
# detector's time. Not in the paper; AVSpeech is at most 1280 x 720 in its common form.
MAX_FRAME_PX = 1920


def read_image(path: str, max_px: int = MAX_FRAME_PX) -> np.ndarray:
    """An image file as [height, width, 3] uint8 RGB, upright, at most `max_px` long.

    EXIF rotation is applied; grey, 16-bit, CMYK and palette images are converted; what
    is transparent becomes white.

    Raises:
      FileNotFoundError, ValueError: missing, empty, truncated, not an image, too large.
    """
    require_file(path)
    try:
        with warnings.catch_warnings():
            # Pillow warns at 90 million pixels and refuses at 179: that is enough.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
        with image:
            image.draft("RGB", (max_px, max_px))  # JPEG: decode at reduced size
            upright = ImageOps.exif_transpose(image)
            return np.asarray(limit_size(_to_rgb(upright), max_px))
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not readable as an image ({error})") from error


def limit_size(image, max_px: int):
    """Scales a Pillow image down so that its longer side is at most `max_px`."""
    scale = max_px / max(image.size)
    if scale >= 1:
        return image
    size = [max(1, round(side * scale)) for side in image.size]
    return image.resize(size, Image.Resampling.BOX, reducing_gap=3.0)


def require_file(path: str) -> None:
    """Raises FileNotFoundError or ValueError unless `path` is a file with content."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such file")
    if os.path.getsize(path) == 0:
        raise ValueError(f"{path}: the file is empty")


def _to_rgb(image):
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.asarray(image, np.float64)
        if image.mode != "F" or grey.max() > 255:  # 16-bit samples
            grey = grey / 257.0
        image = Image.fromarray(np.clip(np.round(grey), 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")
