"""Generated clips and a face decoder of paper size, for benchmarks of training."""

import pathlib
from typing import TYPE_CHECKING, List

if TYPE_CHECKING:  # --help is quick
    from speech2face.dataset_info import DatasetInfo
    from speech2face.decoder_bundle import DecoderBundle
    from speech2face.records import VoiceExample

CLIP_SECS = 6
N_CLASSES = 2622  # of VGG-Face
N_RECORDS = 64
N_SHARDS = 16


def decoder(feature_dim: int) -> "DecoderBundle":
    """A face decoder that has learned nothing, with as many classes as VGG-Face."""
    import numpy as np

    from speech2face import dataset_info, decoder_bundle
    from speech2face.config import FaceDecoderConfig
    from speech2face.models import face_decoder
    from speech2face.normalizer import FeatureNormalizer
    from speech2face.recognizers import RecognizerHead

    random = np.random.default_rng(0)
    mean_landmarks = random.uniform(60, 160, (68, 2)).astype(np.float32)
    weights = random.normal(0, feature_dim**-0.5, (feature_dim, N_CLASSES))
    config = FaceDecoderConfig()
    scale = 0.2316 / feature_dim**0.5
    return decoder_bundle.DecoderBundle(
        model=face_decoder.build_face_decoder(config, feature_dim, mean_landmarks),
        config=config,
        normalizer=FeatureNormalizer(np.zeros(feature_dim, np.float32), scale),
        head=RecognizerHead(weights, np.zeros(N_CLASSES, np.float32), True),
        mean_landmarks=mean_landmarks,
        mean_feature=np.zeros(feature_dim, np.float32),
        recognizer=dataset_info.RecognizerInfo("vgg_face", feature_dim, "0" * 64),
    )


def examples(feature_dim: int, n: int = N_RECORDS) -> "List[VoiceExample]":
    """Clips of noise with random features."""
    import numpy as np

    from speech2face import records

    random = np.random.default_rng(1)
    n_samples = CLIP_SECS * records.SAMPLE_RATE_HZ
    return [
        records.VoiceExample(
            clip_id=f"clip{index}",
            speaker_id=f"speaker{index}",
            waveform=random.normal(0, 0.1, n_samples).astype(np.float32),
            face_feature=random.normal(size=feature_dim).astype(np.float32),
            face_jpeg=b"",
            labels={},
        )
        for index in range(n)
    ]


def write_records(
    folder: pathlib.Path, feature_dim: int, n: int = N_RECORDS
) -> "DatasetInfo":
    """Writes `examples` as a data set."""
    import numpy as np

    from speech2face import dataset_info, records

    clips = examples(feature_dim, n)
    serialized = list(map(records.encode_voice_example, clips))
    features = np.stack([clip.face_feature for clip in clips])
    info = dataset_info.DatasetInfo(
        kind="voice",
        recognizer=dataset_info.RecognizerInfo("vgg_face", feature_dim, "0" * 64),
        config={},
        splits={"train": records.write_shards(folder, "train", serialized, N_SHARDS)},
        feature_statistics=dataset_info.FeatureStatistics.measure(features),
    )
    dataset_info.write(folder, info)
    return info
