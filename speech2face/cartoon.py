"""Faces as cartoons, by OpenCV: flat colours and dark lines (Fig. 12)."""

import numpy as np

N_COLOURS = 8
LINE_COLOUR = (45, 35, 35)

_SCALE = 3  # drawn larger, so that lines are thinner than the face's features
_LINE_WINDOW_PX = 51
_LINE_DEPTH = 14.0  # grey levels below the neighbourhood


def cartoonize(image: np.ndarray) -> np.ndarray:
    """Draws a face as a cartoon.

    Edge-preserving smoothing, the eight commonest colours (k-means in Lab), and a dark
    line wherever the picture is darker than its neighbourhood.

    Args:
      image: [h, w, 3] uint8 RGB.

    Returns:
      [3 h, 3 w, 3] uint8 RGB; the same for the same image.
    """
    import cv2

    size = (image.shape[1] * _SCALE, image.shape[0] * _SCALE)
    large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    smooth = cv2.edgePreservingFilter(
        large, flags=cv2.RECURS_FILTER, sigma_s=20, sigma_r=0.3
    )
    flat = _few_colours(smooth)
    flat[_lines(large)] = LINE_COLOUR
    return flat


def _few_colours(image: np.ndarray) -> np.ndarray:
    import cv2

    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2Lab).reshape(-1, 3).astype(np.float32)
    every = max(1, len(pixels) // 20_000)  # enough to find the colours
    n_colours = min(N_COLOURS, len(np.unique(pixels[::every], axis=0)))
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 30, 0.5)
    _, _, centres = cv2.kmeans(
        pixels[::every], n_colours, None, criteria, 3, cv2.KMEANS_PP_CENTERS
    )
    distances = ((pixels[:, np.newaxis] - centres) ** 2).sum(-1)  # [pixels, colours]
    palette = np.clip(np.round(centres), 0, 255).astype(np.uint8)[np.newaxis]
    palette = cv2.cvtColor(palette, cv2.COLOR_Lab2RGB)[0]
    return palette[distances.argmin(1)].reshape(image.shape)


def _lines(image: np.ndarray) -> np.ndarray:
    import cv2

    grey = cv2.medianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 5)
    dark = cv2.adaptiveThreshold(
        grey,
        255,
        cv2.ADAPTIVE_THRESH_GAUSSIAN_C,
        cv2.THRESH_BINARY_INV,
        _LINE_WINDOW_PX,
        _LINE_DEPTH,
    )
    return cv2.medianBlur(dark, 5) > 0
