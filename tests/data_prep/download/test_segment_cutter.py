"""Cutting: what a segment's bytes may depend on."""

import hashlib
import os
import subprocess
import sys

import pytest

from data_prep.download import segment_cutter
from experiments.benchmarks import scenes
from tests.helpers.damaged_media import write_clip
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
