"""Paths of object stores, on fsspec's store in memory."""

import pathlib

import numpy as np
import pytest

from speech2face import archives, buckets, files, locks, media_files
from speech2face.buckets import BucketPath
from speech2face.data import dataset_info, records
from speech2face.data.shard_cache import ShardCache
from speech2face.errors import UserError
from speech2face.files import FolderKind, as_path
from tests.helpers.commands import parse
from tests.helpers.object_store import store_in_memory
from tests.helpers.records import write_voice_dataset


@pytest.fixture
def store(monkeypatch):
    with store_in_memory(monkeypatch) as url:
        yield url


@pytest.mark.parametrize(
    "name, expected",
    [
        ("gs://bucket/a/b", True),
        ("s3://bucket", True),
        ("hdfs://host/a", True),
        ("https://host/a", False),
        ("/a/b", False),
        ("gs:/bucket/a", False),
        (pathlib.Path("gs://bucket"), False),
    ],
)
def test_what_is_the_name_of_a_bucket(name, expected):
    assert buckets.is_url(name) == expected


def test_a_local_path_stays_a_pathlib_path(tmp_path):
    assert type(as_path(str(tmp_path))) is type(tmp_path)


def test_parts_of_a_path(store):
    path = as_path(f"{store}/a//b.tar.gz/")
    assert str(path) == f"{store}/a/b.tar.gz"
    assert (path.name, path.stem, path.suffix) == ("b.tar.gz", "b.tar", ".gz")
    assert str(path.with_suffix(".x")) == f"{store}/a/b.tar.x"
    assert str(path.with_name("c")) == str(path.parent / "c") == f"{store}/a/c"
    assert path.relative_to(store).as_posix() == "a/b.tar.gz"
    assert str(as_path(store).parent) == store
    with pytest.raises(ValueError):
        path.relative_to(f"{store}/other")


def test_no_library_takes_it_for_the_name_of_a_file(store):
    with pytest.raises(TypeError):
        pathlib.Path(as_path(store))


def test_reading_writing_listing_and_deleting(store):
    folder = as_path(f"{store}/folder")
    folder.mkdir(parents=True)
    assert not folder.exists() and not folder.is_dir() and folder.glob("*") == []
    assert list(folder.iterdir()) == []
    (folder / "b.txt").write_bytes(b"line\nmore")
    (folder / "deep" / "a.txt").write_bytes(b"")
    assert folder.is_dir() and not folder.is_file()
    assert (folder / "b.txt").is_file() and (folder / "b.txt").stat().st_size == 9
    assert sorted(path.name for path in folder.iterdir()) == ["b.txt", "deep"]
    assert [path.name for path in folder.glob("*.txt")] == ["b.txt"]
    assert [path.name for path in folder.rglob("*")] == ["b.txt", "a.txt"]
    with (folder / "b.txt").open() as file:
        assert file.readline() == "line\n"
    with (folder / "b.txt").open("rb") as file:
        assert file.name == f"{folder}/b.txt"
        assert file.readline(2) == b"li"
    (folder / "b.txt").unlink()
    (folder / "b.txt").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError, match=r"b\.txt does not exist"):
        (folder / "b.txt").read_bytes()
    files.remove(folder)
    assert not folder.exists()


def test_a_file_appears_whole_or_not_at_all(store):
    path = as_path(f"{store}/results/table.json")
    with pytest.raises(RuntimeError):
        with files.atomic_path(str(path)) as temporary:
            temporary.write_bytes(b"half")
            raise RuntimeError
    assert not path.exists()
    files.write_atomically(str(path), b"whole")
    files.write_atomically(str(path), b"newer")  # ours: it may be replaced
    assert path.read_bytes() == b"newer"
    (path.parent / "foreign").write_bytes(b"a stranger's")
    with pytest.raises(UserError, match="this project did not make it"):
        files.write_atomically(str(path.parent / "foreign"), b"")


def test_a_folder_has_its_mark_only_while_it_is_whole(store, monkeypatch):
    kind = FolderKind("a thing", ("a_mark",), ("a_mark", "z"))
    target = as_path(f"{store}/thing")

    def write(text):
        with files.atomic_path(str(target), kind=kind) as temporary:
            temporary.mkdir()
            for name in ("a_mark", "z"):
                (temporary / name).write_text(text)

    write("old")
    upload = BucketPath.upload

    def break_off(path, source):
        if path.name == "a_mark":
            raise OSError("the store is away")
        upload(path, source)

    monkeypatch.setattr(BucketPath, "upload", break_off)
    with pytest.raises(OSError, match="away"):
        write("new")
    assert not (target / "a_mark").exists()
    monkeypatch.undo()
    monkeypatch.setitem(buckets.PACKAGES, "memory", "fsspec")
    (target / "a_mark").write_bytes(b"")
    write("new")
    assert (target / "a_mark").read_text() == (target / "z").read_text() == "new"


def test_errors_of_a_client_are_one_line(store, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no credentials")

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.info", fail)
    with pytest.raises(OSError, match=f"^{store}/a: no credentials$"):
        as_path(f"{store}/a").stat()


def test_one_process_at_a_time(store, monkeypatch):
    monkeypatch.setattr(locks, "BUCKET_RACE_SECS", 0.0)
    with locks.locked(f"{store}/run"):
        with pytest.raises(UserError, match="is in use: process"):
            with locks.locked(f"{store}/run"):
                pass
    with locks.locked(f"{store}/run"):
        pass
    assert not as_path(f"{store}/run").exists()


def test_a_holder_that_died_leaves_no_lock(store, monkeypatch):
    monkeypatch.setattr(locks, "BUCKET_RACE_SECS", 0.0)
    monkeypatch.setattr(locks, "SILENT_SECS", 0.02)
    lock = as_path(f"{store}/run") / locks.LOCK_FILE
    for host in (locks._me()["host"], "another"):
        lock.write_bytes(f'{{"host": "{host}", "process": 999999999}}'.encode())
        with locks.locked(f"{store}/run"):
            pass


def test_a_data_set_is_read_and_its_shards_are_kept_here(store, tmp_path):
    write_voice_dataset(tmp_path / "data", n=6, n_shards=3)
    buckets.upload_folder(tmp_path / "data", BucketPath(f"{store}/data"), ())
    info = dataset_info.read(f"{store}/data", kind="voice")
    dataset_info.check_content(f"{store}/data", info)
    ids = [e.clip_id for e in records.iterate_voice_examples(f"{store}/data", "train")]
    here = records.iterate_voice_examples(tmp_path / "data", "train")
    assert ids == [example.clip_id for example in here]


def test_only_so_many_shards_are_kept(store):
    cache = ShardCache(n_kept=2)
    names = [f"{store}/{index}" for index in range(3)]
    for name in names:
        BucketPath(name).write_bytes(name.encode())
    copies = [pathlib.Path(cache.local_name(name)) for name in names]
    assert [copy.exists() for copy in copies] == [False, True, True]
    assert pathlib.Path(cache.local_name(names[0])).read_text() == names[0]
    assert cache.local_name("gs://bucket/shard") == "gs://bucket/shard"
    assert cache.local_name("/a/shard") == "/a/shard"


def test_media_and_archives_are_found_and_opened(store, tmp_path):
    import tarfile

    (tmp_path / "a.wav").write_bytes(b"sound")
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        tar.add(tmp_path / "a.wav", "speaker/c.wav")
    (tmp_path / ".hidden.wav").write_bytes(b"")
    buckets.upload_folder(tmp_path, BucketPath(f"{store}/media"), ())
    found = media_files.scan(f"{store}/media")
    assert [file.name for file in found.files] == ["a.wav", "speaker/c.wav"]
    for file in found.files:
        assert archives.is_file(file.path) and archives.n_bytes(file.path) == 5
        with archives.open_binary(file.path) as opened:
            assert opened.read() == b"sound"


@pytest.mark.parametrize(
    "flag, value, message",
    [
        ("data_dir", "az://box/data", "not supported; expected a folder or one of gs:"),
        ("run_dir", "hdfs://host/run", "not supported"),
        ("data_dir", "gs:/bucket/data", "no such file or folder"),
    ],
)
def test_other_stores_are_refused_in_one_line(flag, value, message, tmp_path):
    from speech2face.options import check_paths
    from speech2face.train import TrainPaths

    paths = {"data_dir": tmp_path, "decoder_dir": tmp_path, "run_dir": tmp_path}
    config = parse(
        TrainPaths, *[f"--{k}={v}" for k, v in {**paths, flag: value}.items()]
    )
    with pytest.raises((UserError, FileNotFoundError), match=message):
        check_paths(config)


def test_a_path_that_must_be_local_is_refused_in_one_line(store):
    from data_prep.options import JobOptions
    from speech2face.options import check_paths

    options = JobOptions(output_dir=store, vgg_face_weights=f"{store}/weights")
    with pytest.raises(UserError, match="cannot be in an object store"):
        check_paths(options)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(buckets.PACKAGES, "s3", "no_such_package")
    with pytest.raises(UserError, match="needs the package no_such_package"):
        as_path("s3://bucket/data")


def test_weights_are_read_from_a_store(store, tmp_path):
    import keras

    from speech2face.artifacts import checkpoints, npz_weights

    model = keras.Sequential([keras.Input([2]), keras.layers.Dense(3, name="d")])
    with files.atomic_path(f"{store}/w.npz") as temporary:
        npz_weights.save(temporary, model.variables)
    expected = model.get_weights()
    checkpoints.Checkpointer(f"{store}/run", model).save(5)
    for restore in (
        lambda: npz_weights.load(f"{store}/w.npz", model.variables),
        lambda: checkpoints.Checkpointer(f"{store}/run", model).restore_latest(),
    ):
        model.set_weights([np.zeros_like(value) for value in expected])
        restore()
        for value, before in zip(model.get_weights(), expected):
            np.testing.assert_array_equal(value, before)
    assert checkpoints.newest_step(f"{store}/run") == 5
