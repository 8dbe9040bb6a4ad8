"""Writes VGG-Face in every layout in circulation, and runs it there, for the tests.

A writer gets a network in the *source's* own layout; each of `LAYOUTS` also runs that
network in that layout with NumPy and SciPy in float64. None of the code under test is
used.
"""

import collections

import h5py
import numpy as np
import scipy.io
import scipy.signal

from experiments.lib import generated_vgg_face
from speech2face.weights.vgg_face_size import VggFaceSize
from tests.helpers.caffe_writers import write_caffe
from tests.helpers.torch_writers import write_pytorch, write_torch7

# 16 layers as the real one, no two neighbors of equal width, a 2 x 2 x 8 pool5 map.
TINY = VggFaceSize(
    blocks=((4, 3), (5, 4), (6, 5, 4), (5, 6, 7), (6, 5, 8)),
    fc_units=10,
    n_classes=9,
    input_px=64,
)
NAMES = [f"Person {i}" for i in range(TINY.n_classes)]
MEAN_RGB = np.array([129.1863, 104.7624, 93.5940])
BLOCK_LENGTHS = (2, 2, 3, 3, 3)
random_weights = generated_vgg_face.random_weights  # in the layout of an import
LAYER_NAMES = [
    *(f"conv{b}_{i}" for b, n in enumerate(BLOCK_LENGTHS, 1) for i in range(1, n + 1)),
    *("fc6", "fc7", "fc8"),
]


# --- Networks in the layout of their source ------------------------------------------


def hwio_network(size=TINY, seed=0, dense=False):
    """[(name, kernel, bias)]: convolutions HWIO; fc layers convolutions, or dense."""
    generator = np.random.default_rng(seed)
    side = size.input_px // 32
    n_in, layers = 3, []
    channels = [n for block in size.blocks for n in block]
    shapes = []
    for n_out in channels:
        shapes.append((3, 3, n_in, n_out))
        n_in = n_out
    shapes.append((side, side, n_in, size.fc_units))
    shapes.append((1, 1, size.fc_units, size.fc_units))
    shapes.append((1, 1, size.fc_units, size.n_classes))
    for name, shape in zip(LAYER_NAMES, shapes):
        n_inputs = np.prod(shape[:-1])
        kernel = generator.standard_normal(shape) * np.sqrt(2 / n_inputs)
        bias = generator.standard_normal(shape[-1]) * 0.1
        if dense and name.startswith("fc"):
            kernel = kernel.reshape(n_inputs, shape[-1])
        layers.append((name, kernel.astype("f4"), bias.astype("f4")))
    return layers


def oihw_network(size=TINY, seed=0):
    """[(name, kernel, bias)]: convolutions OIHW, fc layers [out, in], fc6 over CHW."""
    layers = []
    for name, hwio, bias in hwio_network(size, seed):
        oihw = np.ascontiguousarray(np.moveaxis(hwio, (3, 2), (0, 1)))
        kernel = oihw.reshape(len(oihw), -1) if name.startswith("fc") else oihw
        layers.append((name, kernel, bias))
    return layers


def relu(values):
    return np.maximum(values, 0)


def _run(layers, x, convolve, pool, dense):
    """Runs the layers; returns fc6, fc7 (both before ReLU) and fc8."""
    position, outputs = 0, {}
    for length in BLOCK_LENGTHS:
        for _, kernel, bias in layers[position : position + length]:
            x = relu(convolve(x, kernel.astype("f8"), bias))
        position += length
        x = pool(x)
    for name, kernel, bias in layers[position:]:
        outputs[name] = dense(x, kernel.astype("f8")) + bias
        x = relu(outputs[name])
    return outputs


def run_hwio(layers, image, order):
    """Runs a network of `hwio_network` on one RGB image [h, w, 3]."""
    x = image.astype("f8") - MEAN_RGB
    if order == "bgr":
        x = x[..., [2, 1, 0]]

    def convolve(x, kernel, bias):
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (0, 1))
        return np.einsum("yxcij,ijco->yxo", windows, kernel) + bias

    def pool(x):
        h, w, c = x.shape
        return x.reshape(h // 2, 2, w // 2, 2, c).max(axis=(1, 3))

    def dense(x, kernel):
        if kernel.ndim == 2:
            return x.reshape(-1) @ kernel
        # a convolution as large as its map
        return np.einsum("yxc,yxco->o", x.reshape(kernel.shape[:3]), kernel)

    return _run(layers, x, convolve, pool, dense)


def run_oihw(layers, image, order):
    """Runs a network of `oihw_network` on one RGB image [h, w, 3]."""
    x = (image.astype("f8") - MEAN_RGB).transpose(2, 0, 1)
    if order == "bgr":
        x = x[::-1]

    def convolve(x, kernel, bias):
        maps = [
            sum(scipy.signal.correlate2d(c, f, mode="same") for c, f in zip(x, filters))
            for filters in kernel
        ]
        return np.stack(maps) + bias[:, None, None]

    def pool(x):
        pieces = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        return np.maximum.reduce(pieces)

    return _run(layers, x, convolve, pool, lambda x, kernel: kernel @ x.ravel())


# --- MatConvNet ----------------------------------------------------------------------


def _struct(**fields):
    array = np.empty((1, 1), dtype=[(name, object) for name in fields])
    for name, value in fields.items():
        array[name][0, 0] = value
    return array


def _cell(items, rows=False):
    array = np.empty((len(items), 1) if rows else (1, len(items)), dtype=object)
    for i, item in enumerate(items):
        array.flat[i] = item
    return array


def _matlab_layers(layers, weights_key):
    cells = []
    for i, (name, kernel, bias) in enumerate(layers):
        vector = bias.reshape(-1, 1) if i % 2 else bias.reshape(1, -1)  # both occur
        if weights_key:
            stored = {"weights": _cell([kernel, vector])}
        else:
            stored = {"filters": kernel, "biases": vector}
        cells.append(_struct(name=name, type="conv", **stored, pad=np.ones(4)))
        cells.append(_struct(name=f"relu{name}", type="relu", weights=_cell([])))
        if name.endswith("_2"):
            cells.append(_struct(name="pool", type="pool", method="max"))
    return _cell(cells)


def write_mat_vlfeat(path, layers, compress=True):
    """vgg-face.mat of vlfeat.org: top-level `layers` and `meta`."""
    meta = _struct(
        classes=_struct(description=_cell(NAMES)),
        normalization=_struct(averageImage=MEAN_RGB.reshape(1, 1, 3)),
    )
    variables = {"layers": _matlab_layers(layers, True), "meta": meta}
    scipy.io.savemat(path, variables, do_compression=compress)


def write_mat_authors(path, layers):
    """vgg_face.mat of the authors: everything in a struct `net`."""
    net = _struct(
        layers=_matlab_layers(layers, True),
        classes=_struct(description=_cell(NAMES, rows=True)),
        normalization=_struct(averageImage=MEAN_RGB),
    )
    scipy.io.savemat(path, {"net": net})


def write_mat_old(path, layers):
    """The older layout: `net.layers` with `filters` and `biases`."""
    net = _struct(
        layers=_matlab_layers(layers, False),
        classes=_struct(description=_cell(NAMES)),
    )
    scipy.io.savemat(path, {"net": net})


# --- Keras ---------------------------------------------------------------------------


def _write_keras(path, groups):
    """Model.save_weights of Keras 2: `groups` is [(layer, [(weight, array)])]."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name, _ in groups]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.0.6"
        for name, arrays in groups:
            group = file.require_group(name)
            group.attrs["weight_names"] = np.array([w.encode() for w, _ in arrays], "S")
            for weight, array in arrays:
                group[weight] = array


def write_keras_vggface(path, layers):
    """rcmalli_vggface_tf_vgg16.h5: named layers, dense fc6 to fc8."""
    groups = [("input_1", [])]
    for name, kernel, bias in layers:
        weights = [(f"{name}/kernel:0", kernel), (f"{name}/bias:0", bias)]
        groups.append((name, weights))
        if name.startswith("fc"):
            groups.append((f"{name}/relu", []))
    groups.append(("flatten", []))
    _write_keras(path, groups)


def write_keras_deepface(path, layers):
    """vgg_face_weights.h5: a Sequential of unnamed convolutions."""
    groups = []
    for i, (_, kernel, bias) in enumerate(layers, start=1):
        name = f"conv2d_{i}"
        groups.append((f"zero_padding2d_{i}", []))
        groups.append((name, [(f"{name}/kernel:0", kernel), (f"{name}/bias:0", bias)]))
    groups.append(("flatten_1", []))
    _write_keras(path, groups)


# --- All of them ---------------------------------------------------------------------

Layout = collections.namedtuple("Layout", "write network run order format")


def _layout(write, network, run, order, source_format, **options):
    def write_with_options(path, layers):
        write(str(path), layers, **options)

    return Layout(write_with_options, network, run, order, source_format)


def _dense_network(size=TINY, seed=0):
    return hwio_network(size, seed, dense=True)


_MAT = (hwio_network, run_hwio, "rgb", "MatConvNet")
_CAFFE = (oihw_network, run_oihw, "bgr", "Caffe")
_TORCH7 = (oihw_network, run_oihw, "bgr", "Torch7")
_PYTORCH = (oihw_network, run_oihw, "rgb", "PyTorch")

LAYOUTS = {
    "mat_vlfeat": _layout(write_mat_vlfeat, *_MAT),
    "mat_vlfeat_plain": _layout(write_mat_vlfeat, *_MAT, compress=False),
    "mat_authors": _layout(write_mat_authors, *_MAT),
    "mat_old": _layout(write_mat_old, *_MAT),
    "caffe": _layout(write_caffe, *_CAFFE),
    "caffe_legacy": _layout(write_caffe, *_CAFFE, legacy=True),
    "torch7_matrices": _layout(write_torch7, *_TORCH7),
    "torch7": _layout(write_torch7, *_TORCH7, matrices=False),
    "pytorch": _layout(write_pytorch, *_PYTORCH),
    "pytorch_legacy": _layout(write_pytorch, *_PYTORCH, legacy=True),
    "keras_vggface": _layout(
        write_keras_vggface, _dense_network, run_hwio, "bgr", "Keras (keras-vggface)"
    ),
    "keras_deepface": _layout(
        write_keras_deepface, hwio_network, run_hwio, "bgr", "Keras (deepface)"
    ),
}


def exchange_red_and_blue(layers):
    """The same network for the other channel order: conv1_1's inputs reversed."""
    (name, kernel, bias), *rest = layers
    axis = 2 if kernel.shape[:2] == (3, 3) and kernel.shape[2] == 3 else 1
    return [(name, np.ascontiguousarray(np.flip(kernel, axis)), bias), *rest]
