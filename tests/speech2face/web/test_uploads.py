"""Uploads: in memory, each used once, bounded together."""

import pytest

from speech2face.errors import UserError
from speech2face.web.limits import Limits
from speech2face.web.uploads import Uploads

LIMITS = Limits(max_mb=1, max_secs=4.0, max_uploads=3, n_full_uploads=2)
MB = bytes(1 << 20)


def sent(uploads, content=b"sound", visitor="A", name="voice.wav"):
    with uploads.receiving(visitor) as receiver:
        receiver.write(content)
        return receiver.keep(name)


def test_an_upload_is_taken_once():
    uploads = Uploads(LIMITS)
    key = sent(uploads)
    assert uploads.belongs_to(key, "A") and not uploads.belongs_to(key, "B")
    taken = uploads.take(key)
    assert taken.content.getvalue() == b"sound" and taken.name == "voice.wav"
    assert not uploads.belongs_to(key, "A") and uploads.n_bytes == 0
    with pytest.raises(UserError, match="used already"):
        uploads.take(key)


def test_equal_files_are_apart():
    uploads = Uploads(LIMITS)
    first, second = sent(uploads), sent(uploads)
    assert first != second
    uploads.take(first)
    assert uploads.take(second).content.getvalue() == b"sound"


def test_a_broken_upload_takes_no_memory():
    uploads = Uploads(LIMITS)
    with pytest.raises(KeyError), uploads.receiving("A") as receiver:
        receiver.write(MB)
        assert uploads.n_bytes == 1 << 20
        raise KeyError
    assert uploads.n_bytes == 0


def test_sizes_and_numbers_are_bounded():
    uploads = Uploads(LIMITS)
    with pytest.raises(UserError, match="up to 1 MB"):
        sent(uploads, MB + b"x")
    assert uploads.n_bytes == 0
    keys = [sent(uploads, MB), sent(uploads, MB, "B")]
    with pytest.raises(UserError, match="Many people"):
        sent(uploads, b"x", "C")
    uploads.take(keys[0])
    for _ in range(3):
        sent(uploads, b"x")
    with pytest.raises(UserError, match="wait until they were used"):
        sent(uploads, b"x")


def test_what_nobody_uses_is_forgotten():
    uploads = Uploads(Limits(max_mb=1, max_secs=4.0, keep_secs=-1.0))
    key = sent(uploads)
    assert uploads.n_bytes == 5
    uploads.forget_old()
    assert uploads.n_bytes == 0
    with pytest.raises(UserError):
        uploads.take(key)


@pytest.mark.parametrize(
    "name, shown",
    [
        ("../../a.wav", "a.wav"),
        ("C:\\voices\\a.wav", "a.wav"),
        ("a\n\0\u202eb.wav", "ab.wav"),
        ("", "the recording"),
        ("/", "the recording"),
        ("x" * 5000 + ".wav", "x" * 96 + ".wav"),
    ],
)
def test_a_name_is_one_short_line(name, shown):
    uploads = Uploads(LIMITS)
    assert uploads.take(sent(uploads, name=name)).name == shown
