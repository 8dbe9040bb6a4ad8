"""Atomic writes of files and folders that never replace a stranger's, and checksums.

`atomic_path` decides what may be replaced (docs/decisions/foreign-files.md):

    a file      one that this project wrote there: the hidden file `.speech2face` beside
                it lists the names. Or any, if the caller made the whole folder.
    a folder    an empty one, or one with the files of a `FolderKind` and no others.

A path may be in an object store (`as_path`): docs/decisions/buckets.md.
"""

import contextlib
import dataclasses
import fnmatch
import hashlib
import itertools
import os
import pathlib
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from typing import Union, cast

from speech2face import buckets
from speech2face.buckets import BucketPath
from speech2face.errors import UserError

PathLike = Union[str, "os.PathLike[str]"]  # what a path argument may be

MADE_FILE = ".speech2face"  # lists the files that this project wrote beside it
# .<name>.<host>-<counter>.<process>.tmp
_TEMPORARY = re.compile(r"\..*?(?:\.(?P<host>[0-9a-f]{6})-\d+)?\.(?P<process>\d+)\.tmp")
_MAX_NAME = 200  # bytes of the name that a temporary one repeats; systems allow 255
_OLD_SECS = 86_400.0  # temporary files of other machines are left alone for a day
_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]
_counter = itertools.count()  # two threads may write the same file
_swept: set[pathlib.Path] = set()  # folders that this process has looked through


def as_path(path: PathLike | BucketPath) -> pathlib.Path:
    """Returns a path of this machine, or a `BucketPath`, which has the same methods.

    Raises:
      UserError: it is empty, or names an object store that is not supported.
    """
    if isinstance(path, BucketPath):
        return cast(pathlib.Path, path)
    if path == "":  # pathlib would take it for the current folder
        raise UserError("the path is empty; expected a name", reason="empty_path")
    if buckets.is_url(path):
        return cast(pathlib.Path, BucketPath(str(path)))
    return pathlib.Path(path)


def is_in_bucket(path: PathLike | BucketPath) -> bool:
    """Returns whether a path is in an object store."""
    return isinstance(path, BucketPath) or buckets.is_url(path)


@dataclasses.dataclass(frozen=True)
class FolderKind:
    """Folders of one kind, which a new one of that kind may replace.

    Attributes:
      noun: what messages call it, such as 'a bundle'.
      marks: names of files of which such a folder has at least one.
      names: patterns of all its files, relative to it; `*` also matches '/'.
    """

    noun: str
    marks: tuple[str, ...]
    names: tuple[str, ...]

    def foreign_file(self, folder: pathlib.Path) -> pathlib.Path | None:
        """Returns a file in `folder` that no folder of this kind has, or None."""
        paths = sorted(p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir())
        for path in paths:
            name = path.relative_to(folder).as_posix()
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in self.names):
                return path
        has_mark = any((folder / mark).is_file() for mark in self.marks)
        return None if has_mark or not paths else paths[0]


@contextlib.contextmanager
def atomic_path(
    path: PathLike, *, kind: FolderKind | None = None, is_ours: bool = False
) -> Iterator[pathlib.Path]:
    """Yields a temporary path that is renamed to `path` on success.

    A file is flushed to the disk before it is renamed. After an error (a full disk,
    say) the temporary file is removed and `path` is unchanged. Works for a file and for
    a folder. Temporary files that killed processes left beside it are removed.

    Args:
      path: the file or folder.
      kind: kind of folder that may be replaced; without it, only an empty folder is.
      is_ours: the caller has made the folder around `path` and owns every name in it,
        so that any file may be replaced.

    Raises:
      UserError: `path` is something that this project did not make.
    """
    path = as_path(path)
    if isinstance(path, BucketPath):
        with _uploaded(path, kind, is_ours) as temporary:
            yield temporary
        return
    if path.is_symlink() and path.is_dir():
        path = path.resolve()  # the link to a folder stays, and its target is replaced
    check_replaceable(path, kind=kind, is_ours=is_ours)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_once(path.parent)
    # In the same folder: renaming is atomic only within one file system.
    temporary = path.with_name(_temporary_name(path.name))
    try:
        yield temporary
        if temporary.is_dir():
            _check_kind(path, "folder")
            check_replaceable(path, kind=kind, is_ours=is_ours)  # it took a while
            _replace_folder(path, temporary)
        else:
            _check_kind(path, "file")
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            if not is_ours:
                check_replaceable(path)
                _list_as_made(path)
            temporary.replace(path)
    finally:
        remove(temporary)


@contextlib.contextmanager
def _uploaded(
    path: BucketPath, kind: FolderKind | None, is_ours: bool
) -> Iterator[pathlib.Path]:
    """`atomic_path` of an object store: the file or folder is made here first."""
    check_replaceable(target := as_path(path), kind=kind, is_ours=is_ours)
    with tempfile.TemporaryDirectory(prefix="speech2face-") as folder:
        temporary = pathlib.Path(folder, path.name)
        yield temporary
        if temporary.is_dir():
            buckets.upload_folder(temporary, path, kind.marks if kind else ())
        else:
            if not is_ours:
                check_replaceable(target)
                _list_as_made(target)
            path.upload(temporary)


def check_replaceable(
    path: PathLike, *, kind: FolderKind | None = None, is_ours: bool = False
) -> None:
    """Checks that `atomic_path` may write to `path`; a long command calls it first.

    Args:
      path: the file or folder.
      kind: kind of folder that may be replaced; without it, only an empty folder is.
      is_ours: the caller has made the folder around `path` and owns every name in it.

    Raises:
      UserError: names the file that this project did not make.
    """
    path = as_path(path)
    if path.is_dir():
        foreign = kind.foreign_file(path) if kind else min(path.iterdir(), default=None)
        if foreign:
            what = f" and not {kind.noun}" if kind else ""
            raise UserError(
                f"{path} is not empty{what}: it has {foreign}; choose another name or "
                "move it away",
                reason="foreign_files",
            )
        return
    # A folder never replaces a file, not even one of ours.
    may_replace = not kind and (is_ours or is_made_here(path))
    if (path.exists() or path.is_symlink()) and not may_replace:
        raise UserError(
            f"{path} exists and this project did not make it there; choose another "
            "name or move it away",
            reason="foreign_files",
        )


def write_atomically(path: PathLike, content: bytes, *, is_ours: bool = False) -> None:
    """Writes a file, whole or not at all; see `atomic_path`.

    Args:
      path: the file.
      content: all bytes of the file.
      is_ours: the caller owns every name in its folder.

    Raises:
      UserError: `path` is something that this project did not make.
    """
    with atomic_path(path, is_ours=is_ours) as temporary:
        temporary.write_bytes(content)


def remove(path: pathlib.Path) -> None:
    """Deletes a file or a folder if it exists; a kill never leaves a part of it there.

    A folder gets a temporary name first, which `sweep` removes if this is killed.
    """
    if isinstance(path, BucketPath):
        path.remove_tree() if path.is_dir() else path.unlink(missing_ok=True)
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(_set_aside(path))
    else:
        path.unlink(missing_ok=True)


def is_made_here(path: PathLike) -> bool:
    """Returns whether this project wrote the file, as `.speech2face` beside it says."""
    path = as_path(path)
    return path.name in made_files(path.parent)


def made_files(folder: PathLike) -> set[str]:
    """Returns the names of the files that this project wrote into a folder."""
    try:
        text = (as_path(folder) / MADE_FILE).read_text(errors="surrogateescape")
    except OSError:
        return set()
    return set(text.splitlines())


def sweep(folder: PathLike, is_ours: bool = False) -> None:
    """Removes temporary files that killed processes left in a folder.

    Those of live processes stay, and for a day those of other machines.

    Args:
      folder: need not exist.
      is_ours: this project made the folder, so that names without a machine, which
        others may use too, are removed as well.
    """
    if is_in_bucket(folder):  # nothing half-written has a name there
        return
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(".tmp")]
    except OSError:  # not there, or not for us to read
        return
    for name in names:
        path = pathlib.Path(folder) / name
        with contextlib.suppress(OSError):  # another process was faster
            if _is_leftover(path, is_ours):
                remove(path)


def sweep_tree(folder: PathLike) -> None:
    """Sweeps a folder that this project made, and all folders in it."""
    for root, folders, _ in [] if is_in_bucket(folder) else os.walk(folder):
        sweep(root, is_ours=True)
        # A folder that was written when its process was killed is gone by now.
        folders[:] = [name for name in folders if not name.endswith(".tmp")]


def sweep_once(folder: pathlib.Path) -> None:
    """Sweeps a folder the first time that this process writes into it."""
    # Once: a data job's folder has 212,500 files, and listing takes .1 s.
    if folder not in _swept:
        _swept.add(folder)
        sweep(folder)


def is_running(process: int) -> bool:
    """Returns whether a process of this machine is alive; a zombie is not."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it belongs to somebody else
        return True
    try:
        stat = pathlib.Path(f"/proc/{process}/stat").read_text(errors="replace")
        return stat.rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):  # no Linux
        return True


def sha256(path: PathLike) -> str:
    """Returns the hexadecimal sha256 of a file's content."""
    digest = hashlib.sha256()
    with as_path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _check_kind(path: pathlib.Path, written: str) -> None:
    """Raises UserError if a file would replace a folder, or a folder a file."""
    found = "folder" if path.is_dir() else "file" if path.exists() else written
    if found != written:
        raise UserError(
            f"{path} is a {found}, and a {written} is to be written there; choose "
            "another name",
            reason="foreign_files",
        )


def _replace_folder(path: pathlib.Path, new: pathlib.Path) -> None:
    # A folder can only be renamed to a name that is free or that of an empty folder.
    old = _set_aside(path) if path.is_dir() else None
    new.replace(path)
    if old:
        shutil.rmtree(old)


def _set_aside(folder: pathlib.Path) -> pathlib.Path:
    """Gives a folder a temporary name, and returns it."""
    if _TEMPORARY.fullmatch(folder.name):
        return folder
    return folder.rename(folder.with_name(_temporary_name(folder.name)))


def _temporary_name(name: str) -> str:
    # The name is cut in bytes: file systems limit these.
    text = name.encode(errors="surrogateescape")[:_MAX_NAME].decode(errors="ignore")
    return f".{text}.{_HOST}-{next(_counter)}.{os.getpid()}.tmp"


def _is_leftover(path: pathlib.Path, is_ours: bool) -> bool:
    match = _TEMPORARY.fullmatch(path.name)
    if not match or not (match["host"] or is_ours):
        return False
    if match["host"] in (_HOST, None):
        return not is_running(int(match["process"]))
    return time.time() - path.lstat().st_mtime > _OLD_SECS


def _list_as_made(path: pathlib.Path) -> None:
    """Adds a name to the list beside it, before the file appears."""
    line = path.name.encode(errors="surrogateescape") + b"\n"
    if is_made_here(path):
        return
    if isinstance(path, BucketPath):
        names = "".join(f"{name}\n" for name in sorted(made_files(path.parent)))
        (path.parent / MADE_FILE).write_bytes(names.encode() + line)
    else:
        # One write, so that the lines of several processes do not mix.
        with (path.parent / MADE_FILE).open("ab") as file:
            file.write(line)
