"""Embeds the clips of a training once instead of once an epoch.

The speaker recognizer of the voice encoder `speaker_embedding` is frozen. Where no
augmentation changes the waveforms, its output is the same in every epoch, and all
epochs of a linear head then take seconds.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from speech2face.config import AugmentConfig, VoiceTrainingConfig
from speech2face.data import input_pipeline, parsing
from speech2face.data.dataset_info import DatasetInfo
from speech2face.data.input_pipeline import ParseFn
from speech2face.files import PathLike

BATCH_SIZE = 8  # clips embedded at once: about 0.4 GB


def is_possible(config: VoiceTrainingConfig) -> bool:
    """Returns whether each clip has the same embedding in every epoch of a training."""
    is_frozen = config.voice_encoder.encoder == "speaker_embedding"
    return is_frozen and config.augment == AugmentConfig()


@dataclasses.dataclass(frozen=True)
class EmbeddedClips:
    """The clips of a split, embedded.

    Attributes:
      ids: n clip_ids.
      vectors: [n, units] float32 voice vectors.
      face_features: [n, d] float32, raw.
      speakers: n speaker_ids; the clip_id where a clip has none.
    """

    ids: list[bytes]
    vectors: np.ndarray
    face_features: np.ndarray
    speakers: list[str]


def embed_split(
    data_dir: PathLike,
    info: DatasetInfo,
    split: str,
    parse: ParseFn,
    embed: keras.Model,
    skip_corrupt: bool = False,
) -> EmbeddedClips:
    """Embeds all clips of a split.

    Args:
      data_dir: the voice data set.
      info: its `dataset.json`.
      split: which clips.
      parse: parser of its records.
      embed: waveform [b, n] -> voice vector [b, units] float32.
      skip_corrupt: leaves out clips that cannot be read.
    """
    predict = tf.function(
        lambda waveform: embed(waveform, training=False),
        [tf.TensorSpec([None, None], tf.float32)],
        autograph=False,
    )

    def parse_with_speaker(
        record: tf.Tensor, position: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        speaker = parsing.parse_speaker_id(record)
        return {**parse(record, position), "speaker_id": speaker}

    ids: list[bytes] = []
    vectors, features, speakers = [], [], []
    for batch in input_pipeline.evaluation_batches(
        data_dir, info, split, BATCH_SIZE, parse_with_speaker, skip_corrupt
    ):
        vectors.append(predict(batch["waveform"]).numpy())
        features.append(batch["face_feature"].numpy())
        clips = batch["clip_id"].numpy().tolist()
        ids += clips
        speakers += [
            (speaker or clip).decode()
            for speaker, clip in zip(batch["speaker_id"].numpy().tolist(), clips)
        ]
    return EmbeddedClips(
        ids, np.concatenate(vectors), np.concatenate(features), speakers
    )


def embedding_parser(clips: EmbeddedClips, parse: ParseFn) -> ParseFn:
    """Returns a parser like `parse` whose examples hold voice vectors.

    Args:
      clips: all clips of the split.
      parse: parser of its records, which changes no waveform.

    Returns:
      A parser with `embedding` [units] float32 in the place of `waveform`.
    """
    rows = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(clips.ids, tf.range(len(clips.ids))), -1
    )
    table = tf.constant(clips.vectors)

    def parse_embedding(record: tf.Tensor, position: tf.Tensor) -> dict[str, tf.Tensor]:
        example = parse(record, position)
        del example["waveform"]
        example["embedding"] = table[rows.lookup(example["clip_id"])]
        return example

    return parse_embedding
