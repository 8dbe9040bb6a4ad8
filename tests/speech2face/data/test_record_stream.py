"""Readers of parts of the records: whole epochs, one stream, exact resuming."""

import pathlib
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech2face.config import AugmentConfig, LoopConfig
from speech2face.data import dataset_info, record_stream
from speech2face.data.record_stream import BatchShare
from tests.helpers.batches import batches, clip_ids
from tests.helpers.records import write_voice_dataset

pytestmark = pytest.mark.slow

N, N_SHARDS, BATCH = 61, 11, 12
AUGMENT = AugmentConfig(random_window=True, gain_db=6.0, noise_snr_db=10.0)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voice")
    write_voice_dataset(folder, n=N, n_shards=N_SHARDS, splits=("train",))
    return folder, dataset_info.read(folder)


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    monkeypatch.setattr(record_stream, "SHARDS_PER_GROUP", 3)


def of_one_process(dataset, n_readers, **options):
    options = {"epochs": 2.0, "seed": 3, **options}
    return list(batches(dataset, batch_size=BATCH, n_readers=n_readers, **options))


@pytest.mark.parametrize("n_readers", [1, 3, 4])
def test_every_epoch_has_each_record_once(dataset, n_readers):
    ids = clip_ids(of_one_process(dataset, n_readers))
    assert len(ids) == 2 * N // BATCH * BATCH
    first, second = ids[:N], ids[N:]
    assert len(set(first)) == N and len(set(second)) == len(second)
    assert first[: len(second)] != second
    assert first != sorted(first)


def test_the_order_depends_on_the_number_of_readers_and_on_the_seed(dataset):
    streams = [clip_ids(of_one_process(dataset, n)) for n in (1, 2, 4, 4)]
    assert streams[0] != streams[1] != streams[2] == streams[3]
    assert clip_ids(of_one_process(dataset, 4, seed=4)) != streams[2]


# As many processes as readers, fewer, more, and numbers that do not divide each other.
@pytest.mark.parametrize(("n_readers", "n_processes"), [(4, 4), (4, 2), (2, 4), (3, 4)])
def test_processes_together_take_the_batches_of_one(dataset, n_readers, n_processes):
    whole = of_one_process(dataset, n_readers, augment=AUGMENT)
    shares = [
        of_one_process(
            dataset,
            n_readers,
            augment=AUGMENT,
            share=BatchShare(index, n_processes, n_processes),
        )
        for index in range(n_processes)
    ]
    for step, batch in enumerate(whole):
        for name in batch:
            parts = [share[step][name].numpy() for share in shares]
            np.testing.assert_array_equal(np.concatenate(parts), batch[name].numpy())


@settings(max_examples=8, deadline=None)
@given(
    first_step=st.integers(0, 9),
    n_readers=st.sampled_from([2, 4]),
    share=st.sampled_from([BatchShare(), BatchShare(1, 2, 2), BatchShare(3, 4, 4)]),
)
def test_resuming_gives_the_rest_of_the_same_stream(
    dataset, first_step, n_readers, share
):
    whole = of_one_process(dataset, n_readers, augment=AUGMENT, share=share)
    rest = of_one_process(
        dataset, n_readers, augment=AUGMENT, share=share, first_step=first_step
    )
    assert len(rest) == len(whole) - first_step >= 1
    for one, two in zip(whole[first_step:], rest):
        for name in one:
            np.testing.assert_array_equal(one[name], two[name])


def shards_of(dataset, reader, n_readers, epochs):
    folder, info = dataset
    loop = LoopConfig(batch_size=BATCH, epochs=epochs, n_readers=n_readers, seed=3)
    parts = record_stream._parts_of_reader(folder, info, loop, reader)
    return {pathlib.Path(one.path).name for part in parts for one in part.ranges}


def test_a_process_reads_its_own_part_only(dataset, tmp_path):
    folder, info = dataset
    own = shards_of(dataset, reader=1, n_readers=4, epochs=1.0)
    assert len(own) <= 2 + N_SHARDS // 4  # of 11, of two groups
    shutil.copytree(folder, tmp_path / "copy")
    for shard in info.shards("train"):
        if shard.name not in own:
            (tmp_path / "copy" / shard.name).unlink()
    options = {"share": BatchShare(1, 4, 4), "epochs": 1.0}
    expected = clip_ids(of_one_process(dataset, 4, **options))
    found = clip_ids(of_one_process((tmp_path / "copy", info), 4, **options))
    assert found == expected and len(found) == N // BATCH * BATCH // 4


def test_a_resumed_process_does_not_open_finished_groups(dataset, tmp_path):
    folder, info = dataset
    first_step = N // BATCH + 1  # in the second epoch
    share = BatchShare(0, 12, 12)
    expected = of_one_process(dataset, 12, share=share, first_step=first_step)
    loop = LoopConfig(batch_size=BATCH, epochs=2.0, n_readers=12, seed=3)
    *_, second = record_stream._parts_of_reader(folder, info, loop, 0)
    last = {pathlib.Path(one.path).name for one in second.ranges}
    assert len(last) < 4
    shutil.copytree(folder, tmp_path / "copy")
    for shard in info.shards("train"):
        if shard.name not in last:
            (tmp_path / "copy" / shard.name).unlink()
    copy = tmp_path / "copy", info
    found = of_one_process(copy, 12, share=share, first_step=first_step)
    assert clip_ids(found) == clip_ids(expected) and found


def test_readers_that_do_not_divide_a_batch_are_one_clear_line(dataset):
    with pytest.raises(ValueError, match=r"--batch_size=12 cannot .* --n_readers=5"):
        of_one_process(dataset, 5)
