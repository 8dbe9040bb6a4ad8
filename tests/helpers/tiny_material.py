"""A tiny model and data set for the tests of the experiments."""

import dataclasses
import functools
import pathlib
import tempfile

import numpy as np

from experiments.lib.inputs import Inputs
from experiments.lib.material import Material
from speech2face import images
from speech2face.data import dataset_info, records
from tests.helpers.records import DIM, voice_example
from tests.helpers.tiny_models import make_model

N_CLIPS = 8


def labeled_example(index):
    """Two clips a speaker; a voice of 3 s, a photograph of its own color."""
    random = np.random.default_rng(index)
    gender = ("female", "male")[index // 2 % 2]
    crop = np.full((224, 224, 3), (40 + 20 * index, 120, 200), np.uint8)
    return dataclasses.replace(
        voice_example(index),
        waveform=(random.normal(size=48_000) * 0.1).astype(np.float32),
        face_jpeg=images.encode_jpeg(crop),
        labels={
            "gender": gender,
            "age": str(20 + 6 * index),
            "language": ("english", "german")[index % 2],
        },
    )


def write_dataset(folder, n=N_CLIPS, splits=("train", "test")):
    examples = [labeled_example(index) for index in range(n)]
    serialized = [records.encode_voice_example(e) for e in examples]
    features = np.stack([e.face_feature for e in examples])
    info = dataset_info.DatasetInfo(
        kind="voice",
        recognizer=dataset_info.RecognizerInfo("dlib", DIM, "0" * 64),
        config={"audio_encoding": "pcm"},
        splits={s: records.write_shards(folder, s, serialized, 2) for s in splits},
        feature_statistics=dataset_info.FeatureStatistics.measure(features),
    )
    dataset_info.write(folder, info)
    return examples


def make_material(folder, **inputs):
    """Material of a tiny bundle and `write_dataset` in a folder."""
    write_dataset(folder / "voices")
    make_model().save(folder / "bundle")
    return Material(
        Inputs(
            data_dir=str(folder / "voices"),
            run_dir=str(folder / "bundle"),
            output_dir=str(folder / "results"),
            **inputs,
        )
    )


@functools.cache
def _shared_folder():
    return tempfile.TemporaryDirectory(prefix="tiny_material")  # removed at exit


@functools.cache
def shared_material():
    """One material for all tests that only read it."""
    return make_material(pathlib.Path(_shared_folder().name))
