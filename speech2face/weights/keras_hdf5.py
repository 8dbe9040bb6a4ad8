"""VGG-Face as Keras stores it: HDF5 files of `save_weights`.

Two conversions are in circulation, told apart by their arrays: keras-vggface
(rcmalli_vggface_tf_vgg16.h5) ends in dense layers named fc6 to fc8, deepface
(vgg_face_weights.h5) in convolutions 7 x 7, 1 x 1, 1 x 1 without telling names.

Both packages feed BGR, so both are read as BGR. keras-vggface was converted from Caffe;
the author of deepface describes a conversion from the MatConvNet file, whose channels
are RGB (docs/decisions/deepface-channel-order.md). `import_vgg_face --check_images`
shows which order a file has, and `--channel_order=rgb` overrules this one.
"""

from typing import Any

import h5py

from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.weights import hdf5_arrays, vgg_face_file
from speech2face.weights.vgg_face_layout import (
    SourceLayer,
    SourceNetwork,
    has_original_names,
)

_MAX_LAYERS = 1000
_MAX_NUMBERS = 2**28  # VGG-Face has 145 million


def read_keras(path: PathLike) -> SourceNetwork:
    """Returns the network of a Keras weights file.

    Raises:
      UserError: the file is truncated, or is not the weights of a Keras model.
    """
    with hdf5_arrays.errors_of(path), h5py.File(path, "r") as file:
        if vgg_face_file.is_imported_file(file):
            raise UserError(
                f"{path} is already an imported VGG-Face file: use it as it is"
            )
        layers = _layers(file, path)
    is_deepface = bool(layers) and layers[-1].kernel.ndim == 4
    return SourceNetwork(
        "Keras (deepface)" if is_deepface else "Keras (keras-vggface)",
        layers,
        kernel_layout="hwio",
        channel_order="bgr" if is_deepface or has_original_names(layers) else "",
    )


def _layers(file: h5py.File, path: PathLike) -> list[SourceLayer]:
    arrays = hdf5_arrays.ArrayReader(path)
    root = file
    if "layer_names" not in root.attrs and "model_weights" in root:
        root = arrays.member(root, "model_weights")  # a whole saved model
    if "layer_names" not in root.attrs:
        raise UserError(
            f"{path} is an HDF5 file, but not the weights of a Keras model: it has no "
            "layer_names"
        )
    names = [_text(name) for name in root.attrs["layer_names"]]
    if len(names) > _MAX_LAYERS:
        raise UserError(f"{path} is corrupt: it declares {len(names)} layers")
    layers: list[SourceLayer] = []
    n_numbers = 0
    for name in names:
        group = arrays.member(root, name)
        weight_names = [_text(weight) for weight in group.attrs["weight_names"]]
        if not weight_names:
            continue
        datasets = [arrays.member(group, weight) for weight in weight_names]
        n_numbers += sum(arrays.declare(dataset) for dataset in datasets)
        if len(datasets) != 2 or n_numbers > _MAX_NUMBERS:
            raise UserError(
                f"{path} (Keras) is not VGG-Face: layer {name!r} has arrays of "
                f"{[list(dataset.shape) for dataset in datasets][:6]}, expected one "
                "kernel and one bias; is it VGGFace2's ResNet-50 or SENet-50?"
            )
        layers.append(SourceLayer(name, datasets[0][()], datasets[1][()]))
    return layers


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
