"""Inputs of the benchmarks: random sound and records, a face decoder of paper size."""

import dataclasses
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from speech2face import paper
from speech2face.config import FaceDecoderConfig, NormalizerConfig
from speech2face.data.normalizer import FeatureNormalizer

if TYPE_CHECKING:
    from speech2face.artifacts.decoder_bundle import DecoderBundle
    from speech2face.data.dataset_info import DatasetInfo
    from speech2face.data.records import VoiceExample

CLIP_SAMPLES = round(paper.CLIP_SECS * paper.SAMPLE_RATE_HZ)
N_RECORDS = 64
N_SHARDS = 16  # a whole group of the input pipeline: all are read at once


def noise(n_clips: int) -> np.ndarray:
    """Random sound of 6 s, [n_clips, 96,000] float32."""
    # About as loud as speech; not one sample in a trillion is clipped.
    sound = np.random.default_rng(0).normal(0, 0.1, (n_clips, CLIP_SAMPLES))
    return sound.astype(np.float32)


def mean_landmarks() -> np.ndarray:
    """Random points in the middle of a face, [68, 2] float32 pixels."""
    random = np.random.default_rng(0)
    # Not all in one place: the warp's spline could not be solved.
    return random.uniform(60, 160, (paper.N_LANDMARKS, 2)).astype(np.float32)


def decoder(feature_dim: int) -> "DecoderBundle":
    """An untrained face decoder with a head of as many classes as VGG-Face has."""
    from speech2face.artifacts import decoder_bundle
    from speech2face.data.dataset_info import RecognizerInfo
    from speech2face.models import face_decoder
    from speech2face.recognizers.base import RecognizerHead

    n_classes = paper.VGG_FACE_IDENTITIES
    random = np.random.default_rng(0)
    # Logits of about 1, whatever the dimension of the features.
    weights = random.normal(0, feature_dim**-0.5, (feature_dim, n_classes))
    config, landmarks = FaceDecoderConfig(), mean_landmarks()
    # Raw features of `examples` are standard normal: their norm is sqrt(feature_dim).
    scale = NormalizerConfig().feature_norm / feature_dim**0.5
    return decoder_bundle.DecoderBundle(
        model=face_decoder.build_face_decoder(config, feature_dim, landmarks),
        config=config,
        normalizer=FeatureNormalizer(np.zeros(feature_dim, np.float32), scale),
        head=RecognizerHead(weights, np.zeros(n_classes, np.float32), True),
        mean_landmarks=landmarks,
        mean_feature=np.zeros(feature_dim, np.float32),
        recognizer=RecognizerInfo("vgg_face", feature_dim, "0" * 64),
    )


def examples(feature_dim: int, n: int = N_RECORDS) -> "list[VoiceExample]":
    """`n` clips of noise with random features."""
    from speech2face.data.records import VoiceExample

    random = np.random.default_rng(1)
    return [
        VoiceExample(
            clip_id=f"clip{index}",
            speaker_id=f"speaker{index}",
            waveform=random.normal(0, 0.1, CLIP_SAMPLES).astype(np.float32),
            face_feature=random.normal(size=feature_dim).astype(np.float32),
            face_jpeg=b"",
            labels={},
        )
        for index in range(n)
    ]


def write_records(
    folder: pathlib.Path, feature_dim: int, n: int = N_RECORDS
) -> "DatasetInfo":
    """Writes `examples` as a data set.

    Args:
      folder: where to write.
      feature_dim: length of the face feature.
      n: how many records, in 16 shards.

    Returns:
      The data set's description.
    """
    return _write(folder, examples(feature_dim, n))


def write_tiny_records(folder: pathlib.Path, n: int) -> "DatasetInfo":
    """Writes n records: a tenth of a second, a feature of 8 values, a face crop."""
    from speech2face import images

    feature = np.random.default_rng(1).normal(size=8).astype(np.float32)
    crop = np.zeros([paper.FACE_PX, paper.FACE_PX, 3], np.uint8)
    (one,) = examples(8, 1)
    one = dataclasses.replace(one, waveform=one.waveform[:1600], face_feature=feature)
    one = dataclasses.replace(one, face_jpeg=images.encode_jpeg(crop))
    names = [f"{index:07d}" for index in range(n)]
    return _write(
        folder,
        [dataclasses.replace(one, clip_id=name, speaker_id=name) for name in names],
    )


def _write(folder: pathlib.Path, clips: "list[VoiceExample]") -> "DatasetInfo":
    """Writes clips as a data set of one split."""
    from speech2face.data import dataset_info, records

    serialized = list(map(records.encode_voice_example, clips))
    features = np.stack([clip.face_feature for clip in clips])
    feature_dim = features.shape[1]
    info = dataset_info.DatasetInfo(
        kind="voice",
        recognizer=dataset_info.RecognizerInfo("vgg_face", feature_dim, "0" * 64),
        config={},
        splits={"train": records.write_shards(folder, "train", serialized, N_SHARDS)},
        feature_statistics=dataset_info.FeatureStatistics.measure(features),
    )
    dataset_info.write(folder, info)
    return info
