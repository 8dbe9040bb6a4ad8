"""Atomic writes: whole or not at all, and never over what somebody else made."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from speech2face import files
from speech2face.errors import UserError
from speech2face.exports import request
from speech2face.files import FolderKind
from tests.helpers.paths import REPOSITORY

KIND = FolderKind("a house", ("door.txt",), ("door.txt", "rooms/*.txt"))


def write_house(path, text="new"):
    with files.atomic_path(path, kind=KIND) as temporary:
        (temporary / "rooms").mkdir(parents=True)
        (temporary / "door.txt").write_text(text)
        (temporary / "rooms" / "kitchen.txt").write_text(text)


def snapshot(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_folder_of_the_same_kind_is_replaced(tmp_path):
    write_house(tmp_path / "house", "old")
    write_house(tmp_path / "house")
    (tmp_path / "empty").mkdir()
    write_house(tmp_path / "empty")
    for name in ("house", "empty"):
        assert (tmp_path / name / "door.txt").read_text() == "new"


@pytest.mark.parametrize("name", ["notes.md", "rooms/cat.png", "door.txt.bak", ".git"])
def test_a_folder_with_a_file_of_the_user_stays(tmp_path, name):
    write_house(tmp_path / "house", "old")
    (tmp_path / "house" / name).write_text("mine")
    before = snapshot(tmp_path)
    with pytest.raises(UserError, match="is not empty and not a") as error:
        write_house(tmp_path / "house")
    assert str(tmp_path / "house" / name) in str(error.value)
    assert error.value.reason == "foreign_files"
    assert snapshot(tmp_path) == before


def test_a_folder_without_the_mark_stays(tmp_path):
    (tmp_path / "house" / "rooms").mkdir(parents=True)
    (tmp_path / "house" / "rooms" / "my.txt").write_text("mine")
    with pytest.raises(UserError, match=r"not a house.*my\.txt"):
        write_house(tmp_path / "house")


@pytest.mark.parametrize("is_ours", [False, True])
def test_files_and_folders_do_not_replace_each_other(tmp_path, is_ours):
    (tmp_path / "thesis.txt").write_text("ten years of work")
    with pytest.raises(UserError, match=r"thesis\.txt exists and this project did not"):
        write_house(tmp_path / "thesis.txt")
    with pytest.raises(UserError, match="is a file, and a folder is to be written"):
        with files.atomic_path(tmp_path / "thesis.txt", is_ours=True) as temporary:
            temporary.mkdir()
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="is a folder, and a file is to be written"):
        files.write_atomically(tmp_path / "folder", b"", is_ours=is_ours)
    (tmp_path / "folder" / "mine").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        files.write_atomically(tmp_path / "folder", b"", is_ours=is_ours)
    assert snapshot(tmp_path) == {
        "thesis.txt": b"ten years of work",
        "folder/mine": b"mine",
    }


def test_a_file_of_ours_is_replaced_and_another_stays(tmp_path):
    files.write_atomically(tmp_path / "results.json", b"1")
    files.write_atomically(tmp_path / "results.json", b"2")
    (tmp_path / "metrics.json").write_text("mine")
    with pytest.raises(UserError, match=r"metrics\.json exists and this project did"):
        files.write_atomically(tmp_path / "metrics.json", b"3")
    assert (tmp_path / "results.json").read_bytes() == b"2"
    assert (tmp_path / "metrics.json").read_text() == "mine"
    assert files.is_made_here(tmp_path / "results.json")
    assert not files.is_made_here(tmp_path / "metrics.json")


def test_a_link_is_never_replaced_and_a_linked_folder_stays_one(tmp_path):
    write_house(tmp_path / "house", "old")
    (tmp_path / "link").symlink_to(tmp_path / "house")
    write_house(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "house" / "door.txt").read_text() == "new"
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="broken exists"):
        files.write_atomically(tmp_path / "broken", b"")


def test_a_file_that_appears_meanwhile_stays(tmp_path):
    with pytest.raises(UserError, match="exists"):
        with files.atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("ours")
            (tmp_path / "a.txt").write_text("mine")
    assert (tmp_path / "a.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("name", ["thesis.txt", "earlier/diary.md", "mine/x.onnx"])
def test_an_export_refuses_what_it_did_not_make(tmp_path, name):
    """`export --output_dir=thesis.txt`, and one's own file beside an export."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    if name.startswith("earlier"):
        (path.parent / request.TABLE_FILE).write_text("an earlier export")
    output_dir = tmp_path / name.split("/")[0]
    run = subprocess.run(
        [
            sys.executable, "-m", "speech2face.export", "--formats=tflite",
            f"--output_dir={output_dir}",
        ],
        cwd=REPOSITORY, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 1
    assert run.stderr.startswith("error: ") and str(path) in run.stderr
    assert path.read_text() == "mine"


def test_names_of_255_bytes_and_threads(tmp_path):
    name = "ä" * 127 + "x"
    files.write_atomically(tmp_path / name, b"1")
    assert (tmp_path / name).read_bytes() == b"1"
    contents = [bytes([65 + k]) * 100_000 for k in range(8)]
    threads = [
        threading.Thread(
            target=files.write_atomically,
            args=(tmp_path / "shared", content),
            kwargs={"is_ours": True},
        )
        for content in contents
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "shared").read_bytes() in contents
    assert not list(tmp_path.glob(".*.tmp"))


HANG = """
import sys, time
from speech2face import files
with files.atomic_path(sys.argv[1]) as path:
    path.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_what_killed_processes_leave_is_removed_at_the_next_start(tmp_path):
    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", HANG, str(tmp_path / "a.txt")],
            cwd=REPOSITORY, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout.readline() == "writing\n"
        return process

    killed, alive = start(), start()
    try:
        assert len(list(tmp_path.glob(".*.tmp"))) == 2
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        (tmp_path / ".report.2024.tmp").write_text("of somebody else")
        files.write_atomically(tmp_path / "b.txt", b"")
        (left,) = tmp_path.glob(".a.txt*.tmp")
        assert str(alive.pid) in left.name
        assert (tmp_path / ".report.2024.tmp").is_file()
    finally:
        alive.kill()
        alive.wait()
    files.sweep(tmp_path)
    assert not list(tmp_path.glob(".a.txt*.tmp"))
    # In a folder of ours, the names of earlier versions are swept too.
    (tmp_path / f".run.json.{killed.pid}.tmp").write_text("half")
    (tmp_path / f".run.json.{os.getpid()}.tmp").write_text("being written")
    files.sweep(tmp_path, is_ours=True)
    assert not (tmp_path / f".run.json.{killed.pid}.tmp").exists()
    assert (tmp_path / f".run.json.{os.getpid()}.tmp").exists()


KILLED_WHILE_IT_DELETES = """
import os, pathlib, signal, sys
from speech2face import files
unlink = os.unlink
def unlink_one(*args, **kwargs):
    unlink(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
os.unlink = unlink_one
house = pathlib.Path(sys.argv[1])
if sys.argv[2] == "remove":
    files.remove(house)
kind = files.FolderKind("a house", ("door.txt",), ("door.txt", "rooms/*.txt"))
with files.atomic_path(house, kind=kind) as temporary:
    temporary.mkdir()
    (temporary / "door.txt").write_text("new")
"""


@pytest.mark.parametrize("way", ["replace", "remove"])
def test_a_kill_while_a_folder_is_deleted_leaves_no_part_of_it(tmp_path, way):
    """A training that was killed there refused its own folder from then on."""
    house = tmp_path / "house"
    write_house(house, "old")
    run = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_IT_DELETES, str(house), way],
        cwd=REPOSITORY,
        check=False,
    )
    assert run.returncode == -signal.SIGKILL
    left = [path.name for path in tmp_path.iterdir() if path.suffix != ".tmp"]
    assert left == (["house"] if way == "replace" else [])
    assert snapshot(house) == ({"door.txt": b"new"} if left else {})
    files.sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == len(left)
    write_house(house, "newest")
    assert set(snapshot(house).values()) == {b"newest"}


def test_an_empty_path_is_not_the_current_folder():
    with pytest.raises(UserError, match="the path is empty"):
        files.as_path("")
