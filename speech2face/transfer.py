"""What a pretraining has taught Table 1, as the start of the training of Sec. 3."""

import os

import keras

from speech2face import checkpoints
from speech2face.config import PretrainingConfig, VoiceEncoderConfig
from speech2face.models import speaker_embedding, voice_encoder
from speech2face.precision import dtype_policy


def build_student(config: VoiceEncoderConfig, precision: str) -> keras.Model:
    """Builds Table 1 with an embedding for its output: what a pretraining trains."""
    n_units = speaker_embedding.EMBEDDING_DIM * len(config.speaker_embedders)
    return voice_encoder.build_voice_encoder(config, n_units, dtype_policy(precision))


def start_from(run_dir: os.PathLike, encoder: keras.Model) -> None:
    """Starts a voice encoder with what a pretraining run has learned.

    All layers of Table 1 but the last take the weights of the run's newest checkpoint.

    Raises:
      FileNotFoundError: there is no such run.
      ValueError: its network is another one.
    """
    config = checkpoints.read_config(run_dir, PretrainingConfig)
    student = build_student(config.voice_encoder, config.loop.precision)
    checkpoints.Checkpointer(run_dir, student).restore_latest(required=True)
    taught = {layer.name: layer for layer in voice_encoder.table_1_layers(student)}
    for layer in voice_encoder.table_1_layers(encoder):
        if not layer.weights or layer.name == voice_encoder.LAST_LAYER:
            continue
        shapes = [
            [tuple(w.shape) for w in one.weights]
            for one in (layer, taught.get(layer.name, layer))
        ]
        if layer.name not in taught or shapes[0] != shapes[1]:
            raise ValueError(
                f"--init_dir={run_dir} has another network: its {layer.name} differs; "
                "give both trainings the same --width, --padding and --batch_norm"
            )
        layer.set_weights(taught[layer.name].get_weights())
