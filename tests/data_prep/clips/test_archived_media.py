"""Media in folders and in archives: which are found, and how they are read."""

import io
import zipfile

import numpy as np
import pytest

from speech2face import archives, images, media_files
from speech2face.audio import decoding
from tests.helpers.published_folders import (
    clips_in,
    png,
    touch,
    wav,
    write_tar,
    write_zip,
)


@pytest.mark.parametrize("kind", ["tar", "stored", "deflated"])
def test_members_are_read_as_the_files_themselves(tmp_path, kind):
    files = {"a/ünï.wav": wav(), "b/face.png": png(90), "notes.txt": b"hello"}
    path = tmp_path / ("x.tar" if kind == "tar" else "x.zip")
    if kind == "tar":
        write_tar(path, files)
    else:
        stored = kind == "stored"
        method = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
        write_zip(path, files, method)
    found = {name: member for member, name in archives.members(path)}
    assert list(found) == list(files)
    for name, content in files.items():
        with archives.open_binary(found[name]) as file:
            assert file.read() == content
            assert file.seek(-3, io.SEEK_END) == len(content) - 3
            assert file.read() == content[-3:]
        assert archives.is_file(found[name])
    (tmp_path / "a.wav").write_bytes(files["a/ünï.wav"])
    np.testing.assert_array_equal(
        decoding.load_waveform(found["a/ünï.wav"], start_secs=0.25),
        decoding.load_waveform(tmp_path / "a.wav", start_secs=0.25),
    )
    assert (images.read_image(found["b/face.png"]) == 90).all()


def test_damaged_archives_and_members(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"no archive" * 99)
    (tmp_path / "a.zip").write_bytes(b"no archive" * 99)
    for name in ("a.tar", "a.zip"):
        with pytest.raises(ValueError, match=f"{name} is not readable as an archive"):
            list(archives.members(tmp_path / name))
    write_zip(tmp_path / "b.zip", {"a.wav": wav()})
    content = bytearray((tmp_path / "b.zip").read_bytes())
    ((member, _),) = archives.members(tmp_path / "b.zip")
    content[2000:2400] = bytes(400)
    (tmp_path / "b.zip").write_bytes(content)
    with pytest.raises(ValueError, match=r"b.zip.*(damaged|unreadable)"):
        decoding.load_waveform(member)
    with pytest.raises(FileNotFoundError):
        decoding.load_waveform(tmp_path / "none.tar::512+99::a.wav")


def test_a_file_whose_name_looks_like_a_member_is_a_file(tmp_path):
    path = tmp_path / "x.tar::512+99::a.wav"
    path.write_bytes(wav())
    assert len(decoding.load_waveform(path)) == 16_000


def test_what_is_left_out_and_what_is_counted(tmp_path, capsys):
    touch(
        tmp_path / "m",
        *("anna/1.flv", "anna/._1.flv", "__MACOSX/anna/2.mp4", "anna/@eaDir/3.mp4"),
        *(".hidden/4.mp4", "ben/5.TS", "readme.txt", "lists/6.json", "lists/7.json"),
        *("lonely.wav", "part.tar.gz"),
    )
    write_tar(tmp_path / "m" / "carl.tar", {"8.mkv": b"x", "._8.mkv": b"x", "9": b"x"})
    clips = clips_in("folder", tmp_path / "m")
    assert [(clip.clip_id, clip.speaker_id) for clip in clips] == [
        ("anna/1.flv", "anna"),
        ("ben/5.TS", "ben"),
        ("carl/8.mkv", "carl"),
    ]
    lines = capsys.readouterr().out.splitlines()
    assert "sounds not taken: 1 (lonely.wav)" in lines
    assert "files of other kinds: 4 (.json 2, no ending 1, .txt 1)" in lines
    assert any("archives not read: 1 (part.tar.gz)" in line for line in lines)


def test_one_walk(tmp_path):
    """Links are followed once, and a gallery sees what a data set sees."""
    touch(tmp_path / "a", "1.jpg", "b/2.jpg", "b/.3.jpg", "@eaDir/4.jpg")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    touch(tmp_path / "outside", "5.jpg")
    (tmp_path / "a" / "out").symlink_to(tmp_path / "outside")
    names = [path[len(f"{tmp_path}/a/") :] for path in media_files.walk(tmp_path / "a")]
    assert names == ["1.jpg", "b/2.jpg", "out/5.jpg"]
