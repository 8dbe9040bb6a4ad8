"""The geometry of boxes, by hand and against TensorFlow's."""

import numpy as np
import tensorflow as tf

from speech2face.faces import boxes


def random_boxes(seed, n=60):
    random = np.random.default_rng(seed)
    corner = random.uniform(0, 100, (n, 2))
    size = random.uniform(10, 50, (n, 2))
    score = random.permutation(n)[:, None] / n  # all different: one order
    return np.concatenate([corner, corner + size, score], axis=1)


def test_overlap_by_hand():
    found = np.array([[0, 0, 10, 10, 1], [5, 0, 15, 10, 1], [10, 10, 20, 20, 1.0]])
    box = np.array([0, 0, 10, 10])
    np.testing.assert_allclose(boxes.overlap(found, box), [1, 50 / 150, 0])


def test_covering_by_hand():
    found = np.array([[0, 0, 10, 10, 1], [5, 0, 15, 10, 2], [10, 10, 20, 20, 3.0]])
    assert boxes.covering(found, 7, 3)[:, 4].tolist() == [1, 2]
    assert boxes.covering(found, 30, 3).shape == (0, 5)


def test_strongest_equals_tensorflows_non_max_suppression():
    for seed in range(5):
        found = random_boxes(seed)
        expected = tf.image.non_max_suppression(
            found[:, [1, 0, 3, 2]], found[:, 4], len(found), iou_threshold=0.3
        )
        kept = boxes.strongest(found, 0.3)
        np.testing.assert_array_equal(kept, found[expected.numpy()])
        assert 1 < len(kept) < len(found)


def test_no_boxes_stay_none():
    assert boxes.strongest(np.zeros([0, 5]), 0.3).shape == (0, 5)
