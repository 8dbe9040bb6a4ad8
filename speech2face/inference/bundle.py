"""The files of a trained model: a bundle, or the newest checkpoint of a run folder.

config.json        VoiceTrainingConfig
voice_encoder.npz  weights of the voice encoder; a run folder has checkpoints instead
decoder/           see speech2face.artifacts.decoder_bundle
"""

import pathlib
import tempfile
from typing import NamedTuple

import keras

from speech2face import files
from speech2face.artifacts import (
    checkpoints,
    decoder_bundle,
    network_size,
    npz_weights,
    run_folder,
)
from speech2face.artifacts.decoder_bundle import DecoderBundle
from speech2face.artifacts.decoder_files import BUNDLE_KIND, DECODER_DIR, ENCODER_FILE
from speech2face.config import InferencePrecision, VoiceTrainingConfig
from speech2face.files import PathLike
from speech2face.json_codec import to_json
from speech2face.models import voice_encoder


class Networks(NamedTuple):
    """Voice encoder, face decoder, and how the encoder was built and trained."""

    encoder: keras.Model
    decoder: DecoderBundle
    config: VoiceTrainingConfig


def read(folder: pathlib.Path, precision: InferencePrecision = "float32") -> Networks:
    """Builds the networks of a folder with its weights.

    Args:
      folder: a bundle or a run folder.
      precision: arithmetic of the voice encoder, in whatever precision it was trained
        (docs/decisions/inference-precision.md).

    Raises:
      FileNotFoundError: `folder` is neither a bundle nor a run folder.
      UserError: a file in it is damaged.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no model at {folder}")
    config = run_folder.read_config(folder, VoiceTrainingConfig)
    decoder = decoder_bundle.load(folder / DECODER_DIR)
    feature_dim = decoder.recognizer.feature_dim
    network_size.check_encoder(folder, config.voice_encoder, feature_dim)
    encoder = voice_encoder.build_voice_encoder(
        config.voice_encoder,
        feature_dim,
        dtype_policy="float32" if precision == "float32" else "mixed_bfloat16",
        embedder_precision=precision,
    )
    if (folder / ENCODER_FILE).is_file():  # a bundle
        npz_weights.load(
            folder / ENCODER_FILE, voice_encoder.learned_variables(encoder)
        )
    else:  # a run folder
        checkpointer = checkpoints.Checkpointer(folder, encoder)
        checkpointer.restore_latest(required=True)
    return Networks(encoder, decoder, config)


def write(folder: PathLike, networks: Networks, half: bool = False) -> None:
    """Writes a bundle, whole or not at all.

    Args:
      folder: a bundle in it is replaced.
      networks: networks to store.
      half: store the weights as float16.

    Raises:
      UserError: `folder` holds something else.
    """
    with files.atomic_path(folder, kind=BUNDLE_KIND) as temporary:
        temporary.mkdir()
        (temporary / run_folder.CONFIG_FILE).write_text(to_json(networks.config))
        learned = voice_encoder.learned_variables(networks.encoder)
        npz_weights.save(temporary / ENCODER_FILE, learned, half)
        networks.decoder.save(temporary / DECODER_DIR, half)


def to_bytes(networks: Networks) -> dict[str, bytes]:
    """Returns the files of a bundle: relative path -> content."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = pathlib.Path(folder, "bundle")
        write(bundle, networks)
        return {
            path.relative_to(bundle).as_posix(): path.read_bytes()
            for path in bundle.rglob("*")
            if path.is_file()
        }


def from_bytes(contents: dict[str, bytes], precision: InferencePrecision) -> Networks:
    """Builds the networks from what `to_bytes` returned, see `read`."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in contents.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return read(pathlib.Path(folder), precision)
