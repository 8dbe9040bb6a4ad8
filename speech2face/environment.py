"""What a result depends on besides its data and options: versions, code, hardware."""

import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys
from typing import Dict, List, Optional

import tensorflow as tf

_PACKAGES = ("tensorflow", "keras", "numpy", "librosa", "soxr", "dlib-bin")
_PACKAGE_DIR = pathlib.Path(__file__).parent
_CGROUP_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


def describe() -> dict:
    """Returns the command, versions, the commit of a checkout, and the hardware."""
    return {
        "command": list(sys.argv),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("speech2face", *_PACKAGES)},
        "git_commit": git_commit(_PACKAGE_DIR),
        "hardware": _hardware(),
    }


def git_commit(folder: pathlib.Path) -> Optional[str]:
    """The commit that the files of a folder are checked out from, or None.

    '-modified' behind it says that tracked files differ from it. A folder that only
    lies inside somebody's repository, as an installed package may, has no commit.
    """
    if not _git(folder, "ls-files", "--", "."):
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    modified = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return commit and commit + ("-modified" if modified else "")


def available_memory_bytes() -> Optional[int]:
    """Memory that a process can still take, or None where the system does not say."""
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
    """The processor as the system calls it."""
    info = pathlib.Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.is_file() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def n_cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _hardware() -> dict:
    memory = available_memory_bytes()
    return {
        "machine": platform.machine(),
        "cpu": cpu_name(),
        "cores": n_cores(),
        "available_memory_gb": memory and round(memory / 1e9, 1),
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "accelerators": _accelerators(),
    }


def _accelerators() -> List[Dict[str, str]]:
    details = map(
        tf.config.experimental.get_device_details,
        tf.config.list_physical_devices("GPU"),
    )
    return [{name: str(value) for name, value in one.items()} for one in details]


def _version(package: str) -> Optional[str]:
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
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
