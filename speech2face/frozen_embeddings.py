"""Embeds the clips of a training once instead of once an epoch.

The embedders of the voice encoder `speaker_embedding` are frozen, and so is Table 1 but
for its last layer with `--last_layer_only`. Where nothing changes the waveforms from
epoch to epoch their output is the same each time. Sixty epochs of a linear head then
take a minute instead of an hour.
"""

import os
from typing import Callable, Dict, Tuple

import keras
import numpy as np
import tensorflow as tf

from speech2face import input_pipeline
from speech2face.config import AugmentConfig, VoiceTrainingConfig
from speech2face.dataset_info import DatasetInfo
from speech2face.input_pipeline import ParseFn
from speech2face.models import speaker_encoder, voice_encoder

BATCH_SIZE = 16


def is_possible(config: VoiceTrainingConfig) -> bool:
    """Whether each clip has one embedding throughout the training of `config`."""
    frozen = _has_embedders(config) or config.optimizer.last_layer_only
    return frozen and config.augment == AugmentConfig()


def split(
    encoder: keras.Model, config: VoiceTrainingConfig
) -> Tuple[keras.Model, keras.Model]:
    """Splits a voice encoder for which `is_possible`; the parts share its weights.

    Returns:
      (waveform [b, n] -> embedding [b, units], embedding -> voice feature [b, d]).
    """
    if _has_embedders(config):
        return speaker_encoder.split_behind_embedders(encoder)
    return voice_encoder.split_behind_convolutions(encoder)


def _has_embedders(config: VoiceTrainingConfig) -> bool:
    return config.voice_encoder.encoder == "speaker_embedding"


def embedding_parser(
    data_dir: os.PathLike,
    info: DatasetInfo,
    split: str,
    parse: ParseFn,
    embed: keras.Model,
    skip_corrupt: bool = False,
) -> ParseFn:
    """Returns a parser like `parse` whose examples hold embeddings.

    Args:
      data_dir: the voice data set.
      info: its `dataset.json`.
      split: whose clips are embedded, now.
      parse: parser of its records, which changes no waveform.
      embed: waveform [b, n] -> embedding [b, units] float32.
      skip_corrupt: leaves out clips that cannot be read.

    Returns:
      A parser with `embedding` [units] in the place of `waveform`.
    """
    embeddings = _embed_all(data_dir, info, split, parse, embed, skip_corrupt)
    names = list(embeddings)
    rows = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(names, tf.range(len(names))), -1
    )
    table = tf.constant(np.stack(list(embeddings.values())))

    def parse_embedding(record: tf.Tensor, position: tf.Tensor) -> Dict[str, tf.Tensor]:
        example = parse(record, position)
        del example["waveform"]
        example["embedding"] = table[rows.lookup(example["clip_id"])]
        return example

    return parse_embedding


def _embed_all(
    data_dir, info, split, parse, embed, skip_corrupt
) -> Dict[bytes, np.ndarray]:
    predict: Callable = tf.function(
        lambda waveform: embed(waveform, training=False),
        [tf.TensorSpec([None, None], tf.float32)],
    )
    embeddings = {}
    for batch in input_pipeline.evaluation_batches(
        data_dir, info, split, BATCH_SIZE, parse, skip_corrupt
    ):
        vectors = predict(batch["waveform"]).numpy()
        embeddings.update(zip(batch["clip_id"].numpy().tolist(), vectors))
    return embeddings
