"""The spline warp against scipy's interpolators and numerical gradients."""

import keras
import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import interpolate, ndimage

from speech2face.models import elimination, sampling, warp

KERNELS = {1: "linear", 2: "thin_plate_spline"}
ORDERS = sorted(KERNELS)


def face_like_points(rng, batch=2, n_points=20, size_px=64):
    """Points >= 5 px apart in the middle of an image, and moved by about 1 px."""
    lattice = np.stack(np.meshgrid(np.arange(12, 52, 8), np.arange(12, 52, 8)), -1)
    source = lattice.reshape(-1, 2)[:n_points] + rng.uniform(
        -1, 1, (batch, n_points, 2)
    )
    destination = source + rng.normal(0, 1.0, source.shape).clip(-2, 2)
    return source.astype("float32"), destination.astype("float32")


def scipy_displacements(source, destination, size_px, order, per_edge):
    """Dense displacements [h, w, 2] of one image in float64, and the interpolator."""
    height, width = size_px
    border = warp.border_points(height, width, per_edge)
    scale = 1.0 / max(size_px)
    spline = interpolate.RBFInterpolator(
        np.concatenate([destination, border]) * scale - 0.5,
        np.concatenate([source - destination, 0 * border]).astype("float64"),
        kernel=KERNELS[order],
        degree=1,
        smoothing=warp.RIDGE,
    )
    ys, xs = np.mgrid[:height, :width]
    places = np.stack([xs.ravel(), ys.ravel()], axis=-1) * scale - 0.5
    return spline(places).reshape(height, width, 2)


def displacements(*args, **kwargs):
    """Ours, dense, in the order of scipy's: [b, h, w, 2]."""
    return np.moveaxis(np.asarray(warp.dense_displacements(*args, **kwargs)), 1, -1)


def read_bilinearly(dense, points):
    """What `dense` [h, w, c] holds at `points` [k, 2]: [k, c]."""
    ys_xs = points.T[::-1]
    channels = np.moveaxis(dense.astype("float64"), -1, 0)
    return np.stack(
        [ndimage.map_coordinates(c, ys_xs, order=1, mode="nearest") for c in channels],
        axis=-1,
    )


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("per_edge", [1, 4])
@pytest.mark.parametrize("portable", [False, True])
def test_displacements_equal_scipys_spline(order, per_edge, portable):
    """On points at pixel centers: there the dense field is the spline itself."""
    source, destination = np.round(face_like_points(np.random.default_rng(0)))
    size_px = (61, 65)  # border points at pixel centers, too
    dense = displacements(
        source, destination, size_px, order, per_edge, node_step_px=1, portable=portable
    )
    for i in range(len(source)):
        expected = scipy_displacements(
            source[i], destination[i], size_px, order, per_edge
        )
        np.testing.assert_allclose(dense[i], expected, atol=2e-3)


@pytest.mark.parametrize("order", ORDERS)
def test_coarse_nodes_stay_close_to_the_spline(order):
    """Even here, where a node is half way to the next point and each moves its way."""
    source, destination = face_like_points(np.random.default_rng(1))
    dense = displacements(source, destination, (64, 64), order)
    expected = scipy_displacements(source[0], destination[0], (64, 64), order, 4)
    assert np.abs(dense[0] - expected).mean() < 0.2
    assert np.abs(dense[0] - expected).max() < 1.5


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("node_step_px", [1, 2, 4])
def test_points_land_where_they_should(order, node_step_px):
    source, destination = face_like_points(np.random.default_rng(2))
    dense = displacements(
        source, destination, (64, 64), order, node_step_px=node_step_px
    )
    for i in range(len(source)):
        seen = destination[i] + read_bilinearly(dense[i], destination[i])
        np.testing.assert_allclose(seen, source[i], atol=0.1)


@pytest.mark.parametrize("order", ORDERS)
def test_a_painted_spot_moves_with_its_point(order):
    """The image side of the same statement, and of the (x, y) order."""
    ys, xs = np.mgrid[:64, :48].astype("float32")
    image = np.exp(-((xs - 20) ** 2 + (ys - 40) ** 2) / 18)[None, ..., None]
    source = np.float32([[[20, 40], [30, 20], [10, 20]]])
    destination = source + np.float32([[[6, -3], [0, 0], [0, 0]]])
    warped = np.asarray(warp.warp(image, source, destination, order))[0, ..., 0]
    y, x = np.unravel_index(warped.argmax(), warped.shape)
    assert (x, y) == (26, 37)
    assert warped.max() > 0.97


@pytest.mark.parametrize("order", ORDERS)
def test_corners_and_held_border_points_stay(order):
    source, destination = face_like_points(np.random.default_rng(3))
    dense = displacements(source, destination, (64, 64), order)
    for x, y in warp.border_points(64, 64, 4):
        at_border = read_bilinearly(dense[0], np.float32([[x, y]]))
        np.testing.assert_allclose(at_border, 0.0, atol=0.02)


def test_border_points_are_evenly_spread_with_each_corner_once():
    points = warp.border_points(height=9, width=13, per_edge=4)
    top = [(0, 0), (3, 0), (6, 0), (9, 0)]
    right = [(12, 0), (12, 2), (12, 4), (12, 6)]
    bottom = [(12, 8), (9, 8), (6, 8), (3, 8)]
    left = [(0, 8), (0, 6), (0, 4), (0, 2)]
    expected = np.float32([top, right, bottom, left]).reshape(16, 2)
    np.testing.assert_array_equal(points, expected)
    assert warp.border_points(9, 13, 0).shape == (0, 2)


def test_sampling_equals_scipys_bilinear_with_repeated_border():
    rng = np.random.default_rng(4)
    images = rng.random((2, 12, 15, 3)).astype("float32")
    moved = rng.normal(0, 4, (2, 2, 12, 15)).astype("float32")
    sampled = sampling.sample(images, moved)
    ys, xs = np.mgrid[:12, :15]
    for i in range(2):
        places = np.stack([ys + moved[i, 1], xs + moved[i, 0]])
        for c in range(3):
            expected = ndimage.map_coordinates(
                images[i, ..., c], places, order=1, mode="nearest"
            )
            np.testing.assert_allclose(sampled[i, ..., c], expected, atol=1e-5)


@pytest.mark.parametrize("order", ORDERS)
def test_equal_points_give_the_image_back(order):
    rng = np.random.default_rng(5)
    images = rng.random((2, 64, 64, 3)).astype("float32")
    source, _ = face_like_points(rng)
    unmoved = warp.warp(images, source, source, order)
    np.testing.assert_allclose(unmoved, images, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("portable", [False, True])
def test_gradients_equal_finite_differences(order, portable):
    """In all three inputs, through a smooth image; differences in float32."""
    rng = np.random.default_rng(6)
    ys, xs = np.mgrid[:64, :64].astype("float32")
    image = np.stack([np.sin(xs / 9) + np.cos(ys / 7), np.sin((xs + ys) / 11)], -1)
    source, destination = face_like_points(rng, batch=1, n_points=12)
    mask = rng.normal(size=(1, 64, 64, 2)).astype("float32")
    mask = ndimage.gaussian_filter(mask, (0, 6, 6, 0)) * 10
    inputs = [image[None].astype("float32"), source, destination]

    @tf.function
    def value(images, source, destination):
        warped = warp.warp(images, source, destination, order, portable=portable)
        return tf.reduce_sum(tf.cast(warped, "float64") * mask)

    variables = [tf.Variable(x) for x in inputs]
    with tf.GradientTape() as tape:
        loss = value(*variables)
    gradients = tape.gradient(loss, variables)
    for i, step in ((0, 1.0), (1, 0.05), (2, 0.05)):
        for _ in range(3):
            direction = rng.normal(size=inputs[i].shape).astype("float32")
            ahead, behind = list(inputs), list(inputs)
            ahead[i] = inputs[i] + step * direction
            behind[i] = inputs[i] - step * direction
            expected = float(value(*ahead) - value(*behind)) / (2 * step)
            found = float(np.sum(gradients[i].numpy() * direction))
            norm = float(np.linalg.norm(gradients[i]))
            assert found == pytest.approx(expected, abs=0.03 * norm)


@tf.function
def _warped_with_gradients(images, source, destination, order, portable):
    with tf.GradientTape() as tape:
        tape.watch([images, source, destination])
        warped = warp.warp(images, source, destination, order, portable=portable)
    gradients = tape.gradient(warped, [images, source, destination])
    return warped, [tf.convert_to_tensor(gradient) for gradient in gradients]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("portable", [False, True])
@settings(max_examples=15, deadline=None)
@given(
    points=hnp.arrays("float32", (2, 1, 9, 2), elements=st.floats(-64, 128, width=32)),
    n_coincident=st.integers(0, 9),
)
def test_any_points_give_finite_images_and_gradients(
    order, portable, points, n_coincident
):
    """Coincident, outside the image, on a line, on a held border point."""
    source, destination = points.copy()
    destination[:, :n_coincident] = destination[:, :1]
    image = np.random.default_rng(0).random((1, 32, 32, 1)).astype("float32")
    warped, gradients = _warped_with_gradients(
        image, source, destination, order, portable
    )
    for gradient in gradients:
        assert np.isfinite(gradient).all()
    assert np.isfinite(warped).all()
    assert np.min(warped) >= -1e-4
    assert np.max(warped) <= 1 + 1e-4


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("portable", [False, True])
def test_compiled_equals_eager(order, portable):
    rng = np.random.default_rng(7)
    images = rng.random((2, 64, 64, 3)).astype("float32")
    source, destination = face_like_points(rng)

    @tf.function(jit_compile=True)
    def compiled(images, source, destination):
        return warp.warp(images, source, destination, order, portable=portable)

    np.testing.assert_allclose(
        compiled(images, source, destination),
        warp.warp(images, source, destination, order),
        atol=2e-3,
    )


def test_elimination_solves_what_needs_pivots():
    rng = np.random.default_rng(8)
    matrices = rng.normal(size=(3, 17, 17)).astype("float32")
    matrices[:, np.arange(17), np.arange(17)] = 0.0
    right_sides = rng.normal(size=(3, 17, 2)).astype("float32")
    np.testing.assert_allclose(
        elimination.solve_by_elimination(matrices, right_sides),
        np.linalg.solve(matrices.astype("float64"), right_sides),
        rtol=1e-3,
        atol=1e-4,
    )


def test_elimination_is_refined_to_what_float32_has():
    """Splines of 84 points, some nearly together: nearer than LAPACK in float32."""
    rng = np.random.default_rng(8)
    points = rng.uniform(-0.5, 0.5, (12, 84, 2))
    points[:, 1::12] = points[:, ::12] + 2e-3  # nearly together, as lips are
    kernels = np.linalg.norm(points[:, :, None] - points[:, None], axis=-1)
    matrices = (kernels + warp.RIDGE * np.eye(84)).astype("float32")
    values = rng.normal(size=(12, 84, 2)).astype("float32")
    exact = np.linalg.solve(matrices.astype("float64"), values)
    factors = map(scipy.linalg.lu_factor, matrices)
    lapack = np.array([scipy.linalg.lu_solve(f, v) for f, v in zip(factors, values)])
    assert lapack.dtype == np.float32
    ours, theirs = (
        np.median(np.abs(solutions - exact).max((1, 2)))
        for solutions in (elimination.solve_by_elimination(matrices, values), lapack)
    )
    assert ours < 0.75 * theirs


def test_layer_keeps_float32_under_half_precision_and_survives_a_round_trip(tmp_path):
    source, destination = face_like_points(np.random.default_rng(9))
    images = np.random.default_rng(9).random((2, 64, 64, 3)).astype("float32")
    texture = keras.Input((64, 64, 3))
    landmarks = keras.Input((20, 2))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        warped = warp.SplineWarp(source[0])((texture, landmarks))
    finally:
        keras.config.set_dtype_policy("float32")
    model = keras.Model([texture, landmarks], warped)
    model.save(tmp_path / "warp.keras")
    restored = keras.saving.load_model(tmp_path / "warp.keras")
    same_source = np.repeat(source[:1], 2, axis=0)
    expected = warp.warp(images, same_source, destination)
    assert warped.dtype == "float32"
    np.testing.assert_allclose(restored([images, destination]), expected, atol=1e-5)


def test_groups_are_points_joined_by_short_steps():
    points = np.float32([[0, 0], [10, 0], [1.5, 0], [3, 0], [10, 1.9], [30, 30]])
    means = warp.group_means(points, closer_than_px=2)
    assert means.shape == (3, 6)
    expected = {(1.5, 0.0), (10.0, 0.95), (30.0, 30.0)}
    assert {tuple(np.round(p.astype(float), 4)) for p in means @ points} == expected
    assert warp.group_means(points, closer_than_px=0).shape == (6, 6)


def test_lips_that_cross_do_not_fold_the_image():
    """Two points 1 px apart, predicted to change places."""
    source = np.float32([[30, 30], [30, 31], [15, 15], [48, 15], [15, 48], [48, 48]])
    crossed = source + np.float32([[0, 1.5], [0, -1.5], *[[0, 0]] * 4])
    ys, xs = np.mgrid[:64, :64].astype("float32")
    ramp = np.stack([xs, ys], axis=-1)[None]

    def folds(warped):
        """Whether somewhere down the image its content goes up."""
        return (np.diff(np.asarray(warped)[0, ..., 1], axis=0) < 0).any()

    assert folds(warp.warp(ramp, source[None], crossed[None]))
    assert not folds(warp.SplineWarp(source)((ramp, crossed[None])))


def test_wrong_order_is_refused():
    points = np.zeros((1, 3, 2), "float32")
    with pytest.raises(ValueError, match="order must be 1 or 2, not 3"):
        warp.warp(np.zeros((1, 8, 8, 1), "float32"), points, points, order=3)


def test_benchmark_times_the_same_warp_with_either_solver():
    from experiments.benchmarks import warp as benchmark

    operations = benchmark.operations(batch_size=1)
    solved = operations["warp, order 1"]().numpy()
    eliminated = operations["warp, order 1, portable"]().numpy()
    assert np.std(solved) > 0.1
    assert np.mean(np.abs(solved - eliminated)) < 5e-3  # of noise
    resized = [operations[name]() for name in ("tf.image.resize", "resize by gathers")]
    inside = [np.asarray(image)[:, 1:-1, 1:-1] for image in resized]
    np.testing.assert_allclose(*inside, atol=1e-4)
