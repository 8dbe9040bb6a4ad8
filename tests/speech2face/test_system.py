"""Linux-only names are asked for in one place, and nothing needs them."""

import ast
import os
import subprocess
import sys

import pytest

from speech2face import system
from speech2face.artifacts import environment
from tests.helpers.decisions import PACKAGES
from tests.helpers.paths import REPOSITORY

LINUX_ONLY = (
    "sched_getaffinity", "sched_setaffinity", "memfd_create", "posix_fadvise",
    "copy_file_range", "sendfile", "eventfd", "getrandom", "pidfd_open", "splice",
)  # fmt: skip
# Benchmarks of cores, which say that they need Linux.
ALLOWED = ("speech2face/system.py", "experiments/benchmarks/input_pipeline.py")

BUILD = """
import os
for name in {names}:
    if hasattr(os, name):
        delattr(os, name)
from speech2face.system import n_cores
assert n_cores() == os.cpu_count()
import runpy, sys
sys.argv = ["sample_people", "--output_dir=people", "--n_people=3"]
sys.argv += ["--clips_per_person=1", "--n_silent_people=0", "--n_workers=0"]
runpy.run_module("data_prep.sample_people", run_name="__main__")
"""


def test_cards_are_those_that_the_driver_lists(tmp_path, monkeypatch):
    for bus, model in (("0000:01:00.0", "NVIDIA A"), ("0000:02:00.0", "NVIDIA B")):
        (tmp_path / bus).mkdir()
        (tmp_path / bus / "information").write_text(f"Model: \t {model}\nIRQ: 7\n")
    assert system.nvidia_cards(str(tmp_path)) == ["NVIDIA A", "NVIDIA B"]
    assert system.nvidia_cards(str(tmp_path / "none")) == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [system.cards_of_worker(i, 2) for i in range(7, 10)] == ["1", "0", "1"]
    assert system.cards_of_worker(7, 1) is system.cards_of_worker(7, 0) is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert system.cards_of_worker(3, 8) == "6"


def test_a_card_that_is_not_used_is_said(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert environment.why_unused([]) == ""
    text = environment.why_unused(["NVIDIA A"])
    assert text.startswith("the machine has NVIDIA A, but TensorFlow cannot use it: ")
    assert "CUDA" in text
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert "CUDA_VISIBLE_DEVICES hides it" in environment.why_unused(["NVIDIA A"])


def test_avx512_is_read_where_linux_says_it(tmp_path):
    def has(text):
        path = tmp_path / f"{abs(hash(text))}"
        path.write_text(text)
        return system.has_avx512(str(path))

    first = "model name\t: A\nflags\t\t: fpu avx2"
    assert has(f"{first} avx512f avx512vl\n") and has(f"{first} avx512f\n\nflags : x")
    assert not has(f"{first}\nbugs : avx512f \n") and not has("Features : neon")
    assert not system.has_avx512(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("flags", "is_fast"),
    [("fma avx2", False), ("avx512f avx512_bf16", True), ("avx512f amx_bf16", True)],
)
def test_bfloat16_is_fast_where_the_processor_multiplies_it(tmp_path, flags, is_fast):
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}\nbugs : amx_bf16\n")
    assert system.has_fast_bfloat16(str(tmp_path / "cpuinfo")) == is_fast
    assert not system.has_fast_bfloat16(str(tmp_path / "missing"))


def test_they_are_named_in_one_place():
    for package in PACKAGES:
        for path in (REPOSITORY / package).rglob("*.py"):
            name = path.relative_to(REPOSITORY).as_posix()
            tree = ast.parse(path.read_text(encoding="utf-8"))
            used = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
            assert name in ALLOWED or not used & {*LINUX_ONLY}, name


@pytest.mark.slow
def test_a_build_without_them(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", BUILD.format(names=LINUX_ONLY)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    assert len(list((tmp_path / "people").rglob("*.mp4"))) == 3
