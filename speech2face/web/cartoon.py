"""Faces as cartoons with OpenCV: flat colors and dark lines (Fig. 12).

The paper re-rendered its faces with Gboard, whose method is not published.
"""

import numpy as np

N_COLORS = 8
LINE_COLOR = (45, 35, 35)  # a warm black, softer on a face than (0, 0, 0)

_SCALE = 3  # drawn larger, so that lines are thinner than the face's features
_LINE_WINDOW_PX = 51  # of the enlarged picture: about the width of an eye
_LINE_DEPTH = 14.0  # gray levels below the neighborhood; shading varies by less
_CLUSTERED_PIXELS = 20_000  # enough to find the colors, in a tenth of the time


def cartoonize(image: np.ndarray) -> np.ndarray:
    """Draws a face as a cartoon.

    Edge-preserving smoothing, the eight most frequent colors (k-means in Lab), and a
    dark line wherever the picture is darker than its neighborhood.

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
    flat = _few_colors(smooth)
    flat[_lines(large)] = LINE_COLOR
    return flat


def _few_colors(image: np.ndarray) -> np.ndarray:
    """The image in `N_COLORS` colors."""
    import cv2

    # In Lab, distances between colors are those that people see.
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2Lab).reshape(-1, 3).astype(np.float32)
    sample = pixels[:: max(1, len(pixels) // _CLUSTERED_PIXELS)]
    n_colors = min(N_COLORS, len(np.unique(sample, axis=0)))
    cv2.setRNGSeed(0)  # k-means starts at random
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 30, 0.5)
    _, _, centers = cv2.kmeans(
        sample, n_colors, None, criteria, 3, cv2.KMEANS_PP_CENTERS
    )
    distances = ((pixels[:, np.newaxis] - centers) ** 2).sum(-1)  # [pixels, colors]
    palette = np.clip(np.round(centers), 0, 255).astype(np.uint8)[np.newaxis]
    palette = cv2.cvtColor(palette, cv2.COLOR_Lab2RGB)[0]
    return palette[distances.argmin(1)].reshape(image.shape)


def _lines(image: np.ndarray) -> np.ndarray:
    """Returns where an image [h, w, 3] is darker than its neighborhood: [h, w] bool."""
    import cv2

    gray = cv2.medianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 5)
    dark = cv2.adaptiveThreshold(
        gray,
        255,
        cv2.ADAPTIVE_THRESH_GAUSSIAN_C,
        cv2.THRESH_BINARY_INV,
        _LINE_WINDOW_PX,
        _LINE_DEPTH,
    )
    return cv2.medianBlur(dark, 5) > 0  # without specks
