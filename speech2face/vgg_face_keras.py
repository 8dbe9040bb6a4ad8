"""VGG-Face as Keras stores it: HDF5 files of `save_weights`.

Two conversions are in circulation, told apart by their arrays: keras-vggface
(rcmalli_vggface_tf_vgg16.h5) ends in dense layers named fc6 to fc8, deepface
(vgg_face_weights.h5) in convolutions 7 x 7, 1 x 1, 1 x 1 without telling names.

Both packages feed BGR, and so both are read. keras-vggface was converted from Caffe;
the author of deepface describes a conversion from the MatConvNet file, whose channels
are RGB. `import_vgg_face --check_images` shows which order a file has, and
`--channel_order=rgb` overrules this one.
"""

from typing import List

import h5py
import numpy as np

from speech2face import vgg_face_file
from speech2face.vgg_face_layout import SourceLayer, SourceNetwork

_MAX_LAYERS = 1000
_MAX_NUMBERS = 2**28  # VGG-Face has 145 million


def read_keras(path: str) -> SourceNetwork:
    """Returns the network of a Keras weights file.

    Raises ValueError where the file is truncated, or is no such file.
    """
    try:
        with h5py.File(path, "r") as file:
            if vgg_face_file.is_imported_file(file):
                raise ValueError(
                    f"{path} is already an imported VGG-Face file: use it as it is"
                )
            layers = _layers(file, path)
    except (OSError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is truncated or corrupt ({error})") from None
    is_deepface = bool(layers) and layers[-1].kernel.ndim == 4
    return SourceNetwork(
        "Keras (deepface)" if is_deepface else "Keras (keras-vggface)",
        layers,
        kernel_layout="hwio",
        channel_order="bgr",
    )


def _layers(file: h5py.File, path: str) -> List[SourceLayer]:
    root = file
    if "layer_names" not in root.attrs and "model_weights" in root:
        root = _hard_linked(root, "model_weights", path)  # a whole saved model
    if "layer_names" not in root.attrs:
        raise ValueError(
            f"{path} is an HDF5 file, but not the weights of a Keras model: it has no "
            "layer_names"
        )
    names = [_text(name) for name in root.attrs["layer_names"]]
    if len(names) > _MAX_LAYERS:
        raise ValueError(f"{path} is corrupt: it declares {len(names)} layers")
    layers: List[SourceLayer] = []
    n_numbers = 0
    for name in names:
        group = _hard_linked(root, name, path)
        weight_names = [_text(weight) for weight in group.attrs["weight_names"]]
        if not weight_names:
            continue
        datasets = [_hard_linked(group, weight, path) for weight in weight_names]
        n_numbers += sum(_n_stored_numbers(dataset, path) for dataset in datasets)
        if len(datasets) != 2 or n_numbers > _MAX_NUMBERS:
            raise ValueError(
                f"{path} (Keras) is not VGG-Face: layer {name!r} has arrays of "
                f"{[list(dataset.shape) for dataset in datasets][:6]}, expected one "
                "kernel and one bias; is it VGGFace2's ResNet-50 or SENet-50?"
            )
        layers.append(SourceLayer(name, datasets[0][()], datasets[1][()]))
    return layers


def _hard_linked(group: h5py.Group, name: str, path: str):
    """Returns a member of `group` that lies in this file and nowhere else."""
    for part in name.strip("/").split("/"):
        link = group.get(part, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{path} is corrupt: {name!r} is not stored in the file")
        group = group[part]
    return group


def _n_stored_numbers(dataset: h5py.Dataset, path: str) -> int:
    """Returns a dataset's size; ValueError unless the file itself holds it all."""
    is_numeric = isinstance(dataset, h5py.Dataset) and dataset.dtype.kind == "f"
    if not is_numeric or dataset.is_virtual or dataset.external:
        raise ValueError(f"{path} is corrupt: {dataset.name!r} is no array of numbers")
    if dataset.chunks is None and dataset.id.get_storage_size() != dataset.nbytes:
        raise ValueError(
            f"{path} is corrupt: {dataset.name!r} declares {dataset.shape}"
        )
    return int(np.prod(dataset.shape, dtype=object))


def _text(value) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
