"""Versions, code and hardware: what a result depends on besides data and options.

Each start of a run records them in run.json (docs/decisions/run-record.md).
"""

import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys
from collections.abc import Sequence

from speech2face import system
from speech2face.version import __version__

_PACKAGES = ("tensorflow", "keras", "numpy", "librosa", "soxr", "dlib-bin")
_PACKAGE_DIR = pathlib.Path(__file__).parents[1]
# Limits of containers, version 2 and 1: /proc/meminfo shows the memory of the host.
_CGROUP_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


def describe() -> dict:
    """Returns the command, versions, the commit of a checkout, and the hardware."""
    return {
        "command": list(sys.argv),
        "python": platform.python_version(),
        "versions": {
            "speech2face": __version__,
            **{name: _version(name) for name in _PACKAGES},
        },
        "git_commit": git_commit(_PACKAGE_DIR),
        "hardware": _hardware(),
    }


def git_commit(folder: pathlib.Path) -> str | None:
    """Returns the commit from which a folder is checked out, or None.

    The suffix '-modified' says that tracked files differ from it. A folder that only
    lies inside another repository, as an installed package may, has no commit.
    """
    if not _git(folder, "ls-files", "--", "."):
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    modified = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return commit and commit + ("-modified" if modified else "")


def available_memory_bytes() -> int | None:
    """Returns the memory that is still free for a process, or None if unknown."""
    limits = []
    meminfo = pathlib.Path("/proc/meminfo")
    for line in meminfo.read_text().splitlines() if meminfo.is_file() else []:
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            limits.append(int(value.split()[0]) * 1024)
    for path in map(pathlib.Path, _CGROUP_LIMITS):
        text = path.read_text().strip() if path.is_file() else ""
        if text.isdigit():
            limits.append(int(text))
    return min(limits, default=None)


def cpu_name() -> str:
    """Returns the system's name of the processor."""
    info = pathlib.Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.is_file() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def why_unused(cards: Sequence[str]) -> str:
    """Returns why TensorFlow uses none of the machine's GPUs, in a sentence.

    Args:
      cards: names of the machine's GPUs; if there are none, '' is returned.
    """
    import tensorflow as tf

    if not cards:
        return ""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        reason = "CUDA_VISIBLE_DEVICES hides it"
    elif not tf.test.is_built_with_cuda():
        reason = "this TensorFlow is built without CUDA"
    else:
        reason = (
            "CUDA's libraries are missing or do not fit the driver: pip install "
            "'speech2face[gpu]', and look at the log with TF_CPP_MIN_LOG_LEVEL=0"
        )
    return f"the machine has {', '.join(cards)}, but TensorFlow cannot use it: {reason}"


def _hardware() -> dict:
    import tensorflow as tf

    memory = available_memory_bytes()
    return {
        "machine": platform.machine(),
        "cpu": cpu_name(),
        "cores": system.n_cores(),
        "available_memory_gb": memory and round(memory / 1e9, 1),
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "accelerators": _accelerators(),
    }


def _accelerators() -> list[dict[str, str]]:
    import tensorflow as tf

    details = map(
        tf.config.experimental.get_device_details,
        tf.config.list_physical_devices("GPU"),
    )
    return [{name: str(value) for name, value in one.items()} for one in details]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(folder: pathlib.Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,  # a repository on a network drive that does not answer
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
