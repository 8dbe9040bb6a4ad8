"""Compares what a config promises with the files of weights, before anything is built.

A `config.json` of a stranger may name widths of 65,536; the network would take
gigabytes before its weights turn out to be missing
(docs/decisions/untrusted-weight-files.md).
"""

import pathlib

from speech2face import npz_files
from speech2face.artifacts import checkpoints
from speech2face.artifacts.decoder_files import CONFIG_FILE, ENCODER_FILE, WEIGHTS_FILE
from speech2face.config import FaceDecoderConfig, VoiceEncoderConfig
from speech2face.errors import UserError
from speech2face.models import weight_counts

_MIN_BYTES = 2  # of a weight: float16
_SLACK_BYTES = 1 << 24  # small networks may be built, whatever their files are
_MAX_LAYERS = 32
_MAX_LANDMARKS = 1024  # builders give 68, and up to 128 on the outline


def check_decoder(
    folder: pathlib.Path,
    config: FaceDecoderConfig,
    feature_dim: int,
    n_landmarks: int,
) -> None:
    """Checks the config of a face decoder.

    Args:
      folder: folder of the decoder.
      config: its widths.
      feature_dim: length of the face feature.
      n_landmarks: points of the mean face.

    Raises:
      UserError: the file of weights is too small for this network.
    """
    n_bytes = npz_files.max_bytes((folder / WEIGHTS_FILE).stat().st_size)
    n_weights = weight_counts.of_face_decoder(config, feature_dim, n_landmarks)
    _check(folder, n_weights, n_bytes, len(config.landmark_units))
    if n_landmarks > _MAX_LANDMARKS:  # the warp inverts a matrix of this size
        raise UserError(
            f"the face decoder in {folder} is damaged: {n_landmarks} landmarks, "
            f"expected at most {_MAX_LANDMARKS}",
            reason="bad_config",
        )


def check_encoder(
    folder: pathlib.Path, config: VoiceEncoderConfig, feature_dim: int
) -> None:
    """Checks the config of a voice encoder.

    Args:
      folder: a bundle or a run folder.
      config: its widths.
      feature_dim: length of the face feature.

    Raises:
      UserError: the files of weights are too small for this network.
    """
    bundled = folder / ENCODER_FILE
    if bundled.is_file():
        n_bytes = npz_files.max_bytes(bundled.stat().st_size)
    elif checkpoints.list_checkpoints(folder):
        parts = (folder / checkpoints.CHECKPOINT_DIR).glob("ckpt-*")
        n_bytes = sum(path.stat().st_size for path in parts) + _SLACK_BYTES
    else:
        raise FileNotFoundError(f"{folder} has no checkpoint yet")
    n_weights = weight_counts.of_voice_encoder(config, feature_dim)
    _check(folder, n_weights, n_bytes, len(config.speaker_hidden_units))


def _check(folder: pathlib.Path, n_weights: int, n_bytes: int, n_layers: int) -> None:
    if n_weights * _MIN_BYTES > n_bytes or n_layers > _MAX_LAYERS:
        raise UserError(
            f"{folder / CONFIG_FILE} describes a network of {n_weights:,} weights and "
            f"{n_layers} hidden layers, which the files beside it cannot hold; one of "
            "them is damaged, or of another model",
            reason="bad_config",
        )
