"""Runs the networks under Keras' JAX back end on a card: are they equal, how fast?

    python tools/gpu_check.py --write_reference=reference.npz   # here, on TensorFlow
    python tools/gpu_check.py --reference=reference.npz         # where the card is

The second line needs keras and jax, no TensorFlow. It builds Table 1, the face
decoder and the warp from this repository's files, with weights and inputs that follow
from a seed, and compares their outputs with those that TensorFlow computed on a CPU.
Then it prints examples a second, forward and with the gradient of all weights, in
float32 and in mixed bfloat16, and the share of the card's rate in a matrix product of
the same type. float32 products are exact in the comparison; the timings have JAX's
default, which is TF32 on recent cards. Exits with 1 if an output differs.

It has run under JAX on a CPU, with small sizes, and on no card yet: none was available
(docs/performance.md). On a CPU, give --batch_size=1 --matrix_size=512 and a reference
of --width=0.0625 --frames=298.
"""

import argparse
import functools
import os
import pathlib
import sys
import time
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

ROOT = pathlib.Path(__file__).parents[1]
TOLERANCE = 1e-3  # of the largest value
EVERY_PX = 8  # the reference holds every 8th pixel of a picture: a small file
N_CALLS = 5  # timed, after one that compiles


def prepare(backend: str) -> None:
    """Selects the back end, and makes `speech2face.models` importable under it.

    The package refuses another back end than TensorFlow (docs/decisions/
    keras-settings.md), since trainings and weights need it. These networks do not.
    """
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.path.insert(0, str(ROOT))
    models = types.ModuleType("speech2face.models")
    models.__path__ = [str(ROOT / "speech2face" / "models")]
    sys.modules["speech2face.models"] = models


def build(width: float, policy: str) -> dict[str, "keras.Model"]:
    """Table 1, the face decoder and the warp alone, with weights of a seed.

    Args:
      width: width factor of Table 1; 1 is the paper's.
      policy: arithmetic of the networks.
    """
    import keras

    from speech2face import paper
    from speech2face.config import FaceDecoderConfig, VoiceEncoderConfig
    from speech2face.models import face_decoder, voice_encoder, warp

    encoder = voice_encoder.build_table_1(
        VoiceEncoderConfig(width=width), paper.VGG_FACE_FEATURE_DIM, policy
    )
    points = mean_landmarks()
    decoder = face_decoder.build_face_decoder(
        FaceDecoderConfig(), paper.VGG_FACE_FEATURE_DIM, points, policy
    )
    image = keras.Input((paper.FACE_PX, paper.FACE_PX, 3))
    moved = keras.Input((paper.N_LANDMARKS, 2))
    layer = warp.SplineWarp(points.astype("float32"), 1, name="warp")
    warping = keras.Model([image, moved], {"image": layer((image, moved))})
    for model in (encoder, decoder):
        set_weights(model)
    return {"Table 1": encoder, "face decoder": decoder, "warp": warping}


def mean_landmarks() -> np.ndarray:
    """Points [68, 2] px around the middle of a picture, on an uneven grid.

    Points drawn anywhere come as near as 1 px once they have moved. The spline is then
    ill-conditioned: in float32, TensorFlow and JAX are each 3e-3 px from float64.
    """
    from speech2face import paper

    grid = np.stack(np.meshgrid(np.arange(9), np.arange(8)), axis=-1).reshape(-1, 2)
    jitter = np.random.default_rng(1).uniform(-2, 2, (paper.N_LANDMARKS, 2))
    return 64 + 12 * grid[: paper.N_LANDMARKS] + jitter


def set_weights(model: "keras.Model") -> None:
    """Fills the weights with numbers that keep the maps of one order."""
    random = np.random.default_rng(2)
    for variable in model.weights:
        shape, name = tuple(variable.shape), variable.path.rpartition("/")[2]
        if "int" in str(variable.dtype):  # the state of a seed
            continue
        if name == "kernel":
            # Landmarks stay within a few px of those of the mean face, yet move.
            gain = 0.2 if "landmarks_fc_out" in variable.path else 2**0.5
            fan_in = np.prod(shape[:-1])
            value = random.standard_normal(shape, np.float32) * (gain / fan_in**0.5)
        elif name in ("gamma", "moving_variance"):
            value = random.uniform(0.5, 1.5, shape)
        elif "landmarks_fc_out" in variable.path:
            continue
        else:
            value = random.normal(0, 0.1, shape)
        variable.assign(np.asarray(value, np.float32))


def inputs(batch: int, frames: int) -> dict[str, Any]:
    """Random inputs of each network, by its name."""
    from speech2face import paper

    random = np.random.default_rng(3)
    moved = mean_landmarks() + random.normal(0, 2, (batch, paper.N_LANDMARKS, 2))
    shape = (batch, frames, paper.N_BANDS, 2)
    pictures = (batch, paper.FACE_PX, paper.FACE_PX, 3)
    features = (batch, paper.VGG_FACE_FEATURE_DIM)
    return {
        "Table 1": random.standard_normal(shape, np.float32),
        "face decoder": random.normal(0, 0.3, features).astype("float32"),
        "warp": [
            random.uniform(0, 1, pictures).astype("float32"),
            moved.astype("float32"),
        ],
    }


def outputs(models: dict[str, "keras.Model"], frames: int) -> dict[str, np.ndarray]:
    """What the networks make of two examples; every 8th pixel of a picture."""
    import keras

    given, results = inputs(2, frames), {}
    for name, model in models.items():
        found = model(given[name], training=False)
        for key, value in (found if isinstance(found, dict) else {"": found}).items():
            array = np.asarray(keras.ops.convert_to_numpy(value), np.float32)
            if array.ndim == 4:
                array = array[:, ::EVERY_PX, ::EVERY_PX]
            results[f"{name} {key}".strip()] = array
    return results


def compare(reference: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> bool:
    """Prints the largest difference of each output; returns whether all are small.

    Outputs that are constant would agree, too, so their standard deviation is printed.
    """
    print("| output | largest difference / largest value | standard deviation |")
    print("|---|---|---|")
    is_equal = set(reference) == set(found)
    for name, expected in reference.items():
        error = np.abs(found[name] - expected).max() / np.abs(expected).max()
        print(f"| {name} | {error:.1e} | {expected.std():.3g} |")
        is_equal &= bool(error <= TOLERANCE)
    return is_equal


def seconds(call: Callable[[], Any]) -> float:
    """Returns the seconds of the fastest of `N_CALLS` calls, after a first one."""
    import jax

    jax.block_until_ready(call())
    times = []
    for _ in range(N_CALLS):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return min(times)


def matrix_rate(n: int, dtype: str) -> float:
    """Returns the floating-point operations a second of an n x n matrix product."""
    import jax

    one = jax.random.normal(jax.random.key(0), (n, n), dtype)
    product = jax.jit(lambda a: a @ a)
    return 2 * n**3 / seconds(lambda: product(one))


def time_model(
    name: str, model: "keras.Model", given: Any, batch: int, rate: float
) -> list[str]:
    """Two rows: forward, and forward with the gradient of all weights.

    Args:
      name: name of the network and its arithmetic.
      model: the network.
      given: its input.
      batch: examples in it.
      rate: operations a second of a matrix product.
    """
    import jax
    import jax.numpy as jnp

    trained = [v.value for v in model.trainable_variables]
    others = [v.value for v in model.non_trainable_variables]
    given = jax.tree.map(jnp.asarray, given)

    def loss(trained: Any, given: Any) -> Any:
        found, _ = model.stateless_call(trained, others, given, training=False)
        return sum(jnp.mean(leaf**2) for leaf in jax.tree.leaves(found))

    # The warp has no weights: its gradient is that of its inputs.
    gradient = jax.value_and_grad(loss, argnums=0 if trained else 1)
    rows = []
    for title, function in (("forward", loss), ("and backward", gradient)):
        compiled = jax.jit(function)
        analysis = compiled.lower(trained, given).cost_analysis() or {}
        secs = seconds(functools.partial(compiled, trained, given))
        share = analysis.get("flops", float("nan")) / secs / rate
        rows.append(f"| {name} | {title} | {batch / secs:,.1f} | {share:.2f} |")
    return rows


def check(arguments: argparse.Namespace) -> bool:
    """Compares and times under JAX; returns whether all outputs are equal."""
    import jax
    import keras

    with np.load(arguments.reference) as file:
        reference = dict(file)
    width, frames = float(reference.pop("width")), int(reference.pop("frames"))
    device = jax.devices()[0]
    print(f"{device.device_kind}, jax {jax.__version__}, keras {keras.__version__}\n")
    models = build(width, "float32")
    with jax.default_matmul_precision("highest"):
        is_equal = compare(reference, outputs(models, frames))
    given = inputs(arguments.batch_size, frames)
    print("\n| network | | examples/s | share of the matrix rate |\n|---|---|---|---|")
    for policy, dtype in (("float32", "float32"), ("mixed_bfloat16", "bfloat16")):
        rate = matrix_rate(arguments.matrix_size, dtype)
        if policy != "float32":
            models = build(width, policy)
            del models["warp"]  # float32 in every training
        for name, model in models.items():
            title = f"{name}, {policy}"
            rows = time_model(title, model, given[name], arguments.batch_size, rate)
            print("\n".join(rows), flush=True)
        print(f"| matrix product, {dtype} | {rate / 1e12:,.2f} TFLOP/s | | 1 |")
    return is_equal


def main() -> int:
    """Writes the reference on TensorFlow, or checks against it on JAX."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--write_reference", help="file to write, on TensorFlow")
    parser.add_argument("--reference", help="file to compare with, on JAX")
    parser.add_argument("--width", type=float, default=1.0, help="of Table 1")
    parser.add_argument("--frames", type=int, default=598, help="of a spectrogram")
    parser.add_argument("--batch_size", type=int, default=8, help="of the timings")
    parser.add_argument("--matrix_size", type=int, default=8192, help="of the product")
    arguments = parser.parse_args()
    if bool(arguments.write_reference) == bool(arguments.reference):
        parser.error("give either --write_reference or --reference")
    if arguments.reference:
        prepare("jax")
        return 0 if check(arguments) else 1
    prepare("tensorflow")
    found = outputs(build(arguments.width, "float32"), arguments.frames)
    sizes = {"width": arguments.width, "frames": arguments.frames}
    np.savez_compressed(arguments.write_reference, **found, **sizes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
