"""Small voice and face records, and a data set of them."""

import numpy as np

from speech2face import images
from speech2face.data import dataset_info, records

DIM = 8


def voice_example(index=0, n_samples=1600):
    random = np.random.default_rng(index)
    samples = random.integers(-32768, 32768, n_samples)
    return records.VoiceExample(
        clip_id=f"clip{index}",
        speaker_id=f"speaker{index // 2}",
        waveform=(samples / 32768.0).astype(np.float32),
        face_feature=random.normal(size=DIM).astype(np.float32),
        face_jpeg=images.encode_jpeg(np.full((224, 224, 3), 90, np.uint8)),
        labels={"gender": "female"},
    )


def face_example(index=0):
    random = np.random.default_rng(index)
    return records.FaceExample(
        clip_id=f"face{index}",
        speaker_id=f"speaker{index}",
        face_feature=random.normal(size=DIM).astype(np.float32),
        landmarks=random.uniform(0, 224, (68, 2)).astype(np.float32),
        texture=random.integers(0, 256, (224, 224, 3), np.uint8),
        normalized=random.integers(0, 256, (224, 224, 3), np.uint8),
        face_jpeg=images.encode_jpeg(np.full((224, 224, 3), 90, np.uint8)),
        labels={},
    )


def write_voice_dataset(folder, n=10, n_shards=3, encoding="pcm", splits=("train",)):
    examples = [voice_example(index) for index in range(n)]
    serialized = [records.encode_voice_example(e, encoding) for e in examples]
    info = dataset_info.DatasetInfo(
        kind="voice",
        recognizer=dataset_info.RecognizerInfo("dlib", DIM, "0" * 64),
        config={"audio_encoding": encoding},
        splits={
            s: records.write_shards(folder, s, serialized, n_shards) for s in splits
        },
        feature_statistics=dataset_info.FeatureStatistics.measure(
            np.stack([e.face_feature for e in examples])
        ),
    )
    dataset_info.write(folder, info)
    return examples, info
