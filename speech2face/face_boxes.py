"""Where a face is: the geometry of crops and of dlib's two kinds of boxes."""

from typing import List

CROP_PX = 224  # Sec. 3, "resize them to 224 x 224 pixels"
CROP_SCALE = 1.65  # a crop's side in CNN detector boxes: BUILD_NOTES 8

# The landmark model was trained on boxes of dlib's HOG detector. Measured on 229 real
# crops, that box is 1.1 times the CNN detector's, and its centre lies by these shares
# of the CNN's box to the right and below: BUILD_NOTES 45.
HOG_BOX_SCALE = 1.1
HOG_BOX_SHIFT = (0.02, 0.06)


def landmark_box(x: float, y: float, cnn_box_px: float) -> List[int]:
    """Where dlib's 68-point model should start, given the CNN detector's box.

    Args:
      x, y: the middle of the CNN detector's box, pixels.
      cnn_box_px: its side.

    Returns:
      left, top, right, bottom, the last two inclusive, as in a `dlib.rectangle`.
    """
    half = HOG_BOX_SCALE * cnn_box_px / 2
    x, y = (at + shift * cnn_box_px for at, shift in zip((x, y), HOG_BOX_SHIFT))
    return [round(x - half), round(y - half), round(x + half) - 1, round(y + half) - 1]
