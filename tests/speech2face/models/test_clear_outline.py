"""The outline stays clear of jaw and frame: no face is folded over beside its ears."""

import keras
import numpy as np
import pytest
from keras import ops

from speech2face.models import clear_outline, warp
from speech2face.models.outline import MIDDLE_PX
from speech2face.paper import FACE_PX, N_LANDMARKS
from tests.helpers.paths import REPOSITORY

ENDS = [68, 69, 70, 91, 92, 93]  # of the outline, beside the jaw


@pytest.fixture(scope="module")
def mean():
    assets = REPOSITORY / "speech2face/pretrained/compact/decoder/assets.npz"
    with np.load(assets) as arrays:
        return arrays["mean_landmarks"].astype("float32")


@pytest.fixture(scope="module")
def layer(mean):
    return clear_outline.ClearOutline(mean)


def with_moved_outline(mean, inward_px):
    """The mean face with hair that ends inside it, or, below 0, beyond the picture."""
    landmarks = mean.copy()
    rays = landmarks[ENDS] - MIDDLE_PX
    landmarks[ENDS] -= inward_px * rays / np.linalg.norm(rays, axis=1, keepdims=True)
    return landmarks


def smallest_area(mean, landmarks):
    """The smallest area, of 1, of a pixel in the texture; below 0 it is folded."""
    points = [ops.convert_to_tensor(p[None]) for p in (mean, landmarks)]
    dx, dy = np.asarray(warp.dense_displacements(*points, (FACE_PX, FACE_PX)))[0]
    (x_by_y, x_by_x), (y_by_y, y_by_x) = np.gradient(dx), np.gradient(dy)
    return np.min((1 + x_by_x) * (1 + y_by_y) - x_by_y * y_by_x)


def test_a_face_with_hair_beside_it_is_left_as_it_is(mean, layer):
    faces = np.stack([mean, with_moved_outline(mean, -12), mean + np.float32([3, -2])])
    np.testing.assert_allclose(layer(faces.astype("float32")), faces, atol=1e-4)


def test_points_inside_the_jaw_move_outward_along_their_rays(mean, layer):
    faces = np.stack([with_moved_outline(mean, px) for px in (15, 25, 40)])
    moved = np.asarray(layer(faces))
    np.testing.assert_array_equal(moved[:, :N_LANDMARKS], faces[:, :N_LANDMARKS])
    steps = moved[:, ENDS] - faces[:, ENDS]
    rays = mean[ENDS] - MIDDLE_PX
    across = steps[..., 0] * rays[:, 1] - steps[..., 1] * rays[:, 0]
    np.testing.assert_allclose(across, 0, atol=0.01)
    assert (np.sum(steps * rays, axis=-1) >= 0).all()
    assert (np.linalg.norm(steps[2], axis=-1) > 10).all()


@pytest.mark.parametrize("inward_px", [40, 25, -40, -60])
def test_no_face_is_folded(mean, layer, inward_px):
    face = with_moved_outline(mean, inward_px)
    assert smallest_area(mean, face) < 0
    assert smallest_area(mean, np.asarray(layer(face[None]))[0]) > 0


def test_the_rest_of_the_face_may_move(mean, layer):
    """A wide jaw pushes the outline, too."""
    wide = mean.copy()
    jaw_x = wide[: clear_outline.N_JAW_POINTS, 0]
    jaw_x[:] = 112 + 1.4 * (jaw_x - 112)
    assert smallest_area(mean, np.asarray(layer(wide[None]))[0]) > 0


def test_the_layer_is_stored_by_its_mean_landmarks(mean, layer):
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    faces = with_moved_outline(mean, 30)[None]
    np.testing.assert_array_equal(again(faces), layer(faces))
