"""Boxes of faces: crops, dlib's two kinds of boxes, and their overlaps.

Boxes [n, 5] are left, top, right, bottom (exclusive) in px, and the detector's score.
"""

import numpy as np

# Side of a crop in sides of the CNN detector's box, measured on crops that the authors
# released. Not in the paper: docs/decisions/face-crop.md.
CROP_SCALE = 1.65

# dlib's landmark model was trained on boxes of its HOG detector. On 229 real crops,
# such a box is 1.1 times the CNN detector's, and its center lies by these fractions of
# the CNN's box to the right and below: docs/decisions/landmark-start-box.md.
HOG_BOX_SCALE = 1.1
HOG_BOX_SHIFT = (0.02, 0.06)


def landmark_box(x: float, y: float, cnn_box_px: float) -> list[int]:
    """Returns the box from which dlib's 68-point model should start.

    Args:
      x: center of the CNN detector's box, px.
      y: the same, downwards.
      cnn_box_px: its side.

    Returns:
      left, top, right, bottom in px, the last two inclusive, as in a `dlib.rectangle`.
    """
    half = HOG_BOX_SCALE * cnn_box_px / 2
    x += HOG_BOX_SHIFT[0] * cnn_box_px
    y += HOG_BOX_SHIFT[1] * cnn_box_px
    return [round(x - half), round(y - half), round(x + half) - 1, round(y + half) - 1]


def overlap(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Returns the intersection over union of boxes [n, >= 4] and one box, [n]."""
    first = np.maximum(boxes[:, :2], box[:2])
    last = np.minimum(boxes[:, 2:4], box[2:4])
    shared = np.prod(np.maximum(last - first, 0), axis=1)
    areas = np.prod(boxes[:, 2:4] - boxes[:, :2], axis=1)
    return shared / (areas + np.prod(box[2:4] - box[:2]) - shared)


def covering(boxes: np.ndarray, x: float, y: float) -> np.ndarray:
    """Returns those of the boxes [n, 5] that cover a point, in the same order.

    Args:
      boxes: [n, 5].
      x: x of the point, px.
      y: y of the point, px, downward.
    """
    left, top, right, bottom, _ = boxes.T
    return boxes[(left <= x) & (x <= right) & (top <= y) & (y <= bottom)]


def strongest(boxes: np.ndarray, max_overlap: float) -> np.ndarray:
    """Non-maximum suppression: drops boxes that a stronger one overlaps.

    Args:
      boxes: [n, 5].
      max_overlap: intersection over union up to which both of two boxes stay.

    Returns:
      [m, 5], the highest score first.
    """
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    kept = []
    while len(boxes):
        kept.append(boxes[0])
        boxes = boxes[overlap(boxes, boxes[0]) <= max_overlap]
    return np.stack(kept) if kept else boxes
