"""Differentiable spline warp: moves points of an image to given places.

The face decoder (Cole et al., "Synthesizing Normalized Faces from Facial Identity
Features", CVPR 2017, Fig. 3) draws a face's texture on the mean shape and warps it to
the predicted landmarks. The warp is backward: a polyharmonic spline,
centered on the *destination* points, says for every output pixel how far away its
color lies in the input; at a destination point it is exactly the matching source
point. Points on the image border are held where they are, so the frame stays.

Conventions, those of `tfa.image.sparse_image_warp`: points are (x, y) in pixels, the
center of the top left pixel is (0, 0); order 1 is the spline r, order 2 the thin
plate spline r^2 log r, both with an affine part; colors are sampled bilinearly and
the image continues beyond its border with its border's colors.

Written in `keras.ops` with static shapes: it runs on every backend, under XLA, and
(with `portable=True`) on TFLite and ONNX runtimes, which know no linear solver.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from speech2face.models.elimination import solve_by_elimination
from speech2face.models.sampling import sample

BORDER_POINTS_PER_EDGE = 4  # not in the paper: docs/decisions/warp.md
NODE_STEP_PX = 4  # docs/decisions/warp-speed.md
# Points of a fixed shape closer than this move as one: a pixel of error between them
# would fold the image over. In the mean face these are upper and lower lip.
# Not in the paper: docs/decisions/warp.md.
MOVE_TOGETHER_PX = 2.0

# Coordinates are divided by the image's longer side before the spline is fitted. The
# ridge then costs < 0.01 px at the landmarks of a face and keeps the system solvable
# where points coincide. Not in the paper: docs/decisions/warp.md.
RIDGE = 1e-5
# Added to squared distances: the root and the logarithm have no gradient at 0.
MIN_SQUARED_DISTANCE = 1e-12


def warp(
    images: keras.KerasTensor,
    source_points: keras.KerasTensor,
    destination_points: keras.KerasTensor,
    order: int = 1,
    border_points_per_edge: int = BORDER_POINTS_PER_EDGE,
    node_step_px: int = NODE_STEP_PX,
    portable: bool = False,
) -> keras.KerasTensor:
    """Warps `images` so that `source_points` land on `destination_points`.

    Args:
      images: [batch, height, width, channels] float, static height and width.
      source_points: [batch, n_points, 2] float, (x, y) in pixels of the input.
      destination_points: the same shape, where those points will be in the output.
      order: order of the spline; 1 (r: local, Cole et al.'s) or 2 (r^2 log r:
        smoother).
      border_points_per_edge: points held fixed on each edge of the image, its first
        corner among them; 0 holds nothing and lets the frame move too.
      node_step_px: the spline is evaluated on every n-th pixel and interpolated
        linearly between; the points land on their destinations at any step.
      portable: solves the spline's linear system by elimination in plain operations,
        for runtimes without `ops.solve`.

    Returns:
      [batch, height, width, channels] float, differentiable in all three inputs.

    Raises:
      ValueError: order is neither 1 nor 2.
    """
    _, height, width, _ = images.shape
    displacements = dense_displacements(
        source_points,
        destination_points,
        (height, width),
        order,
        border_points_per_edge,
        node_step_px,
        portable,
    )
    return sample(images, displacements)


def dense_displacements(
    source_points: keras.KerasTensor,
    destination_points: keras.KerasTensor,
    size_px: tuple[int, int],
    order: int = 1,
    border_points_per_edge: int = BORDER_POINTS_PER_EDGE,
    node_step_px: int = NODE_STEP_PX,
    portable: bool = False,
) -> keras.KerasTensor:
    """Returns how far from each output pixel its color lies in the input.

    Args:
      source_points: as in `warp`.
      destination_points: as in `warp`.
      size_px: (height, width) of the image.
      order: as in `warp`.
      border_points_per_edge: as in `warp`.
      node_step_px: as in `warp`.
      portable: as in `warp`.

    Returns:
      [batch, 2, height, width] float, x then y, in pixels.
    """
    if order not in (1, 2):
        raise ValueError(f"the warp's order must be 1 or 2, not {order}")
    height, width = size_px
    scale = 1.0 / max(height, width)
    border = border_points(height, width, border_points_per_edge)
    centers = _with_fixed(destination_points, border) * scale - 0.5
    displacements = source_points - destination_points
    # Border points stay: their displacement is 0.
    displacements = ops.pad(displacements, [(0, 0), (0, len(border)), (0, 0)])
    node_xs, column_mix = _nodes(width, node_step_px)
    node_ys, row_mix = _nodes(height, node_step_px)
    node_xs, node_ys = node_xs * scale - 0.5, node_ys * scale - 0.5
    kernel = _interpolated_kernel(centers, node_xs, node_ys, order)
    solve = solve_by_elimination if portable else ops.solve
    kernel_weights, affine_weights = _fit_spline(
        kernel, centers, displacements, order, solve
    )
    nodes = _evaluate_spline(
        node_xs, node_ys, centers, kernel_weights, affine_weights, order
    )  # [b, 2, node_rows, node_columns]
    # Linear between the nodes as two small matrix products, which every runtime has
    # and which, unlike an image resize, keep the border pixels where they are.
    return ops.matmul(ops.matmul(row_mix, nodes), column_mix.T)


def border_points(height: int, width: int, per_edge: int) -> np.ndarray:
    """Returns the points held fixed: `per_edge` on each edge, corners once each.

    Args:
      height: height of the image, px.
      width: width of the image, px.
      per_edge: points on each edge, its first corner among them.

    Returns:
      [4 * per_edge, 2] float32, (x, y) in pixels, evenly spaced around the image.
    """
    steps = np.arange(per_edge, dtype="float32")[:, None] / max(per_edge, 1)
    last_x, last_y = width - 1, height - 1
    corners = np.array([(0, 0), (last_x, 0), (last_x, last_y), (0, last_y)], "float32")
    edges = zip(corners, np.roll(corners, -1, axis=0))
    return np.concatenate([start + steps * (end - start) for start, end in edges])


def group_means(points: np.ndarray, closer_than_px: float) -> np.ndarray:
    """Returns the matrix that replaces close points by the means of their groups.

    Points belong to one group if steps of less than `closer_than_px` join them.

    Args:
      points: [n, 2].
      closer_than_px: 0 leaves every point alone.

    Returns:
      [n_groups, n] float32, each row the weights of one group's mean.
    """
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    joined = (distances < closer_than_px) | np.eye(len(points), dtype=bool)
    for _ in range(len(points).bit_length()):  # each time twice as many steps
        joined = joined @ joined
    groups = np.unique(joined, axis=0)[::-1].astype("float32")
    return groups / groups.sum(axis=1, keepdims=True)


@keras.saving.register_keras_serializable("speech2face")
class SplineWarp(keras.layers.Layer):
    """`warp` from fixed source points, as a layer: [texture, landmarks] -> image.

    Source points closer than `move_together_px` move by the mean of their
    displacements. Computes in float32 whatever the policy: half precision has 11 bits,
    and a place in a 224-pixel image to a tenth of a pixel needs as many.
    """

    def __init__(
        self,
        source_points: np.ndarray,
        order: int = 1,
        portable: bool = False,
        name: str | None = None,
        move_together_px: float = MOVE_TOGETHER_PX,
        node_step_px: int = NODE_STEP_PX,
    ):
        """Creates the layer.

        Args:
          source_points: [k, 2] (x, y) px.
          order: order of the spline, see `warp`.
          portable: see `warp`.
          name: name of the layer.
          move_together_px: distance of source points that move as one.
          node_step_px: see `warp`.
        """
        super().__init__(name=name, dtype="float32", trainable=False)
        self.source_points = np.asarray(source_points, "float32")
        self._group_means = group_means(self.source_points, move_together_px)
        self._move_together_px = move_together_px
        self._node_step_px = node_step_px
        self.order = order
        self.portable = portable

    def call(self, inputs: tuple[Any, Any]) -> Any:
        """Warps `inputs` = (texture [b, h, w, c], landmarks [b, k, 2] px)."""
        texture, landmarks = inputs
        destination = ops.matmul(self._group_means, landmarks)
        source = self._group_means @ self.source_points
        source = ops.zeros_like(destination) + source
        return warp(
            texture,
            source,
            destination,
            self.order,
            node_step_px=self._node_step_px,
            portable=self.portable,
        )

    def compute_output_shape(self, input_shape: tuple[Any, Any]) -> Any:
        """Returns the texture's shape."""
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs."""
        return {
            "name": self.name,
            "source_points": self.source_points.tolist(),
            "order": self.order,
            "portable": self.portable,
            "move_together_px": self._move_together_px,
            "node_step_px": self._node_step_px,
        }


def _interpolated_kernel(
    centers: Any, node_xs: np.ndarray, node_ys: np.ndarray, order: int
) -> Any:
    """The kernel of every center at every center, read off the nodes: [b, n, n].

    The spline is known on the nodes and linear between them. It is fitted to the
    interpolated values, not to its own values at the centers. So the points land on
    their destinations at any node step, although r has a kink at each of them.
    """
    x, y = ops.split(centers, 2, axis=-1)  # [b, n, 1]
    left, right, right_share = _squared_distances(x, node_xs)
    upper, lower, lower_share = _squared_distances(y, node_ys)

    def mix(first: Any, second: Any, share: Any) -> Any:
        return first + (second - first) * share

    def mix_of_row(row: Any) -> Any:
        return mix(_kernel(left, row, order), _kernel(right, row, order), right_share)

    return mix(mix_of_row(upper), mix_of_row(lower), lower_share)


def _squared_distances(places: Any, nodes: np.ndarray) -> tuple[Any, Any, Any]:
    """From the two nodes around each place to all places, and the second one's share.

    Returns:
      [b, n, n] twice, and [b, n, 1], for `places` [b, n, 1] and `nodes` [m].
    """
    step = nodes[1] - nodes[0]
    first = ops.floor((places - nodes[0]) / step)
    first = nodes[0] + step * ops.stop_gradient(ops.clip(first, 0, len(nodes) - 2))
    distance = first - _transposed(places)
    return ops.square(distance), ops.square(distance + step), (places - first) / step


def _fit_spline(
    kernel: Any, centers: Any, values: Any, order: int, solve: Callable[[Any, Any], Any]
) -> tuple[Any, Any]:
    """Returns the kernel weights [b, n, 2] and affine weights [b, 3, 2].

    Solves [[K - ridge, P], [P^T, 0]] [w; a] = [values; 0], with the kernel K [b, n, n]
    between the centers [b, n, 2] and P = [1, x, y] of each. The ridge has the sign that
    regularizes: r is conditionally negative, r^2 log r conditionally positive.
    """
    n_points = centers.shape[1]
    ridge = -RIDGE if order == 1 else 2 * RIDGE
    kernel = kernel + ridge * np.eye(n_points, dtype="float32")
    affine = ops.concatenate([ops.ones_like(centers[..., :1]), centers], axis=-1)
    side_conditions = ops.transpose(affine, (0, 2, 1))
    system = ops.concatenate(
        [
            ops.concatenate([kernel, affine], axis=-1),
            ops.pad(side_conditions, [(0, 0), (0, 0), (0, 3)]),
        ],
        axis=1,
    )
    solution = solve(system, ops.pad(values, [(0, 0), (0, 3), (0, 0)]))
    return solution[:, :n_points], solution[:, n_points:]


def _evaluate_spline(
    xs: np.ndarray,
    ys: np.ndarray,
    centers: Any,
    kernel_weights: Any,
    affine_weights: Any,
    order: int,
) -> Any:
    """Evaluates the spline on the grid of `xs` [m] and `ys` [l]: [b, 2, l, m]."""
    x, y = ops.split(centers, 2, axis=-1)  # [b, n, 1]
    squared_x = ops.square(xs - x)  # [b, n, m]
    squared_y = ops.square(ys - y)  # [b, n, l]
    kernel = _kernel(squared_x[:, :, None], squared_y[..., None], order)
    # [b, n, l, m] -> [b, n, l * m]
    kernel = ops.reshape(kernel, (-1, centers.shape[1], len(ys) * len(xs)))
    grid = np.stack(np.broadcast_arrays(1.0, xs, ys[:, None])).astype("float32")
    affine = ops.matmul(_transposed(affine_weights), grid.reshape(3, -1))
    values = ops.matmul(_transposed(kernel_weights), kernel) + affine
    return ops.reshape(values, (-1, 2, len(ys), len(xs)))


def _kernel(squared_x: Any, squared_y: Any, order: int) -> Any:
    """r or r^2 log r^2 of the two parts of r^2, in as few passes as possible."""
    squared_distance = (squared_x + MIN_SQUARED_DISTANCE) + squared_y
    if order == 1:
        return ops.sqrt(squared_distance)
    return squared_distance * ops.log(squared_distance)


def _transposed(matrices: Any) -> Any:
    return ops.transpose(matrices, (0, 2, 1))


def _with_fixed(points: Any, fixed: np.ndarray) -> Any:
    """Appends the fixed points [m, 2] to `points` [b, n, 2]: [b, n + m, 2]."""
    fixed = ops.zeros_like(points[:, :1]) + fixed
    return ops.concatenate([points, fixed], axis=1)


def _nodes(size_px: int, step_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the nodes [m] along an axis and the linear mix [size, m] between them."""
    n_nodes = max(2, -(-(size_px - 1) // step_px) + 1)
    nodes = np.linspace(0.0, size_px - 1.0, n_nodes)
    place = np.arange(size_px) * (n_nodes - 1) / (size_px - 1)
    mix = np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(n_nodes)))
    return nodes.astype("float32"), mix.astype("float32")
