"""The order of training examples, and resuming at any batch."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from speech2face.config import AudioConfig, AugmentConfig, LoopConfig
from speech2face.data import dataset_info, input_pipeline, record_stream, records
from tests.helpers.batches import batches, clip_ids
from tests.helpers.records import write_voice_dataset

N, N_SHARDS = 37, 5


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voice")
    write_voice_dataset(folder, n=N, n_shards=N_SHARDS, splits=("train", "val"))
    return folder, dataset_info.read(folder)


def test_every_epoch_is_the_whole_set_once_in_another_order(dataset):
    ids = clip_ids(batches(dataset, batch_size=1))
    epochs = [ids[start : start + N] for start in range(0, 3 * N, N)]
    assert all(len(set(epoch)) == N for epoch in epochs) and len(ids) == 3 * N
    assert epochs[0] != epochs[1] != epochs[2] != sorted(epochs[2])


def test_the_order_depends_on_the_seed(dataset):
    assert clip_ids(batches(dataset, seed=1)) == clip_ids(batches(dataset, seed=1))
    assert clip_ids(batches(dataset, seed=1)) != clip_ids(batches(dataset, seed=2))


AUGMENT = AugmentConfig(random_window=True, gain_db=6.0, noise_snr_db=10.0)


@pytest.fixture(scope="module")
def whole_streams(dataset):
    """Number of shards in a group -> all batches."""
    streams = {}
    for group in (1, 2, 16):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(record_stream, "SHARDS_PER_GROUP", group)
            streams[group] = list(batches(dataset, augment=AUGMENT))
    return streams


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(first_step=st.integers(0, 26), group=st.sampled_from([1, 2, 16]))
def test_resuming_gives_the_rest_of_the_same_stream(
    dataset, whole_streams, first_step, group
):
    whole = whole_streams[group]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_stream, "SHARDS_PER_GROUP", group)
        rest = list(batches(dataset, first_step, augment=AUGMENT))
    assert len(whole) == 3 * N // 4 and len(rest) == len(whole) - first_step
    for one, two in zip(whole[first_step:], rest):
        for name in one:
            np.testing.assert_array_equal(one[name], two[name])


def test_audio_is_tiled_then_cut(dataset):
    folder, info = dataset  # its clips are 0.1 s long, asked for as 0.25 s
    parse = input_pipeline.voice_parser(
        info, AudioConfig(clip_secs=0.25), AugmentConfig(), 0
    )
    batch = next(iter(input_pipeline.evaluation_batches(folder, info, "val", 4, parse)))
    for example, waveform in zip(
        records.iterate_voice_examples(folder, "val"), batch["waveform"].numpy()
    ):
        expected = np.concatenate([example.waveform] * 3)[:4000]
        np.testing.assert_array_equal(waveform, expected)


def test_evaluation_sees_every_record_once_in_order(dataset):
    folder, info = dataset
    parse = input_pipeline.voice_parser(info, AudioConfig(), AugmentConfig(), 0)
    stream = input_pipeline.evaluation_batches(folder, info, "val", 8, parse)
    assert clip_ids(stream) == [f"clip{i}".encode() for i in range(N)]


def skip_without_tensorflow_io():
    if not tf.__version__.startswith("2.16."):
        pytest.skip("tensorflow-io decodes FLAC under TensorFlow 2.16 only")


def test_flac_without_tensorflow_io_is_one_clear_line(tmp_path, monkeypatch):
    def missing(*_, **__):
        raise NotImplementedError("unable to open file: libtensorflow_io.so")

    tensorflow_io = pytest.importorskip("tensorflow_io")
    monkeypatch.setattr(tensorflow_io.audio, "decode_flac", missing)
    _, info = write_voice_dataset(tmp_path, encoding="flac")
    with pytest.raises(ValueError, match=r"install TensorFlow 2.16 with tensorflow-io"):
        input_pipeline.voice_parser(info, AudioConfig(), AugmentConfig(), 0)


def test_flac_records_give_the_same_batches(tmp_path):
    skip_without_tensorflow_io()
    for encoding in ("pcm", "flac"):
        write_voice_dataset(tmp_path / encoding, encoding=encoding)
    streams = []
    for encoding in ("pcm", "flac"):
        folder = tmp_path / encoding
        info = dataset_info.read(folder)
        parse = input_pipeline.voice_parser(info, AudioConfig(), AugmentConfig(), 0)
        stream = input_pipeline.evaluation_batches(folder, info, "train", 10, parse)
        streams.append(next(iter(stream))["waveform"].numpy())
    np.testing.assert_array_equal(*streams)


def test_augmentation_changes_level_and_noise_within_its_bounds(dataset):
    plain = next(iter(batches(dataset)))["waveform"].numpy()
    louder = next(iter(batches(dataset, augment=AugmentConfig(gain_db=6.0))))
    ratio = louder["waveform"].numpy().std(1) / plain.std(1)
    assert np.all(ratio <= 10 ** (6 / 20) + 1e-3) and np.all(ratio >= 10 ** (-6 / 20))
    assert len(set(np.round(ratio, 4))) == len(ratio)
    noisy = next(iter(batches(dataset, augment=AugmentConfig(noise_snr_db=20.0))))
    noise = noisy["waveform"].numpy() - plain
    inside = np.abs(noisy["waveform"].numpy()) < 1.0  # not clipped
    snr_db = [
        20 * np.log10(p[i].std() / n[i].std()) for p, n, i in zip(plain, noise, inside)
    ]
    assert min(snr_db) > 17 and max(snr_db) < 43


def test_too_few_examples_for_one_batch_is_an_error(dataset):
    _, info = dataset
    assert input_pipeline.n_iterations(info, LoopConfig(batch_size=8, epochs=3)) == 13
    with pytest.raises(ValueError, match="less than one batch"):
        input_pipeline.n_iterations(info, LoopConfig(batch_size=200, epochs=1))


def test_paper_schedule_is_637500_iterations():
    shard = dataset_info.ShardInfo("train-00000-of-00001.tfrecord", 1_700_000, "")
    info = dataset_info.DatasetInfo(
        "voice",
        dataset_info.RecognizerInfo("vgg_face", 4096, ""),
        {},
        {"train": [shard]},
        dataset_info.FeatureStatistics((0.0,), 1.0, 1.0),
    )
    assert input_pipeline.n_iterations(info, LoopConfig()) == 637_500
