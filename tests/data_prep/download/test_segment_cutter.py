"""Cutting: what a segment's bytes may depend on."""

import errno
import hashlib
import os
import subprocess
import sys

import av
import numpy as np
import pytest

from data_prep.download import job as download_job
from data_prep.download import segment_cutter
from experiments.benchmarks import scenes
from speech2face.errors import UserError
from tests.helpers.damaged_media import write_clip
from tests.helpers.downloads import options_for, reason_of
from tests.helpers.paths import REPOSITORY

_CUT = """
import sys
from data_prep.download import segment_cutter
segment_cutter.cut([sys.argv[1]], 0.5, 2.5, sys.argv[2], 480)
"""


@pytest.mark.parametrize("fill", ["1", "170"])
def test_bytes_do_not_depend_on_what_memory_held(tmp_path, fill):
    """glibc fills new memory: whoever reads it before writing gives other bytes.

    x264's macroblock tree did, with AVX-512, so that a resumed download differed.
    """
    clip = tmp_path / "clip.mp4"
    write_clip(clip, [scenes.draw(240, 320, 95, 2).picture], secs=3)
    segment_cutter.cut([str(clip)], 0.5, 2.5, tmp_path / "here.mp4", 480)
    subprocess.run(
        [sys.executable, "-c", _CUT, clip, tmp_path / "filled.mp4"],
        cwd=REPOSITORY,
        env={**os.environ, "MALLOC_PERTURB_": fill},
        check=True,
    )
    here, filled = (
        hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        for name in ("here.mp4", "filled.mp4")
    )
    assert here == filled


def test_what_cannot_be_encoded_is_said_in_words(tmp_path, monkeypatch):
    clip = tmp_path / "clip.mp4"
    write_clip(clip, [scenes.draw(240, 320, 95, 2).picture], secs=3)

    def error_of(picture):
        frames = [(picture, 0.5)]
        monkeypatch.setattr(
            segment_cutter.media, "frames_between", lambda *args: iter(frames)
        )
        with pytest.raises(UserError) as error:
            segment_cutter.cut([str(clip)], 0.5, 2.5, tmp_path / "out.mp4", 480)
        assert not (tmp_path / "out.mp4").exists()
        return error.value.reason

    assert error_of(np.zeros([64, 1, 3], np.uint8)) == "too_small"
    too_wide = np.zeros([2, 1 << 15, 3], np.uint8)  # x264 encodes up to 16,384 px
    assert error_of(too_wide) == "not_encodable"


def test_a_full_disk_is_no_fault_of_the_media():
    with pytest.raises(OSError) as error, segment_cutter._encoding():
        raise av.error.classes[errno.ENOSPC](errno.ENOSPC, "No space left on device")
    assert error.value.errno == errno.ENOSPC


def test_a_value_error_of_a_bug_is_logged_and_ends_only_its_segment(
    site, tmp_path, monkeypatch, caplog
):
    def cut(*args):
        np.zeros(3) + np.zeros(4)

    monkeypatch.setattr(download_job.segment_cutter, "cut", cut)
    reason = reason_of(options_for(site, tmp_path, "good"))
    assert reason.startswith("unexpected_error: ValueError in test_segment_cutter.py")
    assert "np.zeros(3) + np.zeros(4)" in caplog.text
