"""Paths in object stores: `gs://bucket/name` and `s3://bucket/name`.

`files.as_path` gives a `BucketPath` for such a name and a `pathlib.Path` for any other.
It has the methods of `pathlib.Path` that this project uses, over fsspec. An
object store has neither folders nor a rename: `mkdir` does nothing, and an object
appears whole or not at all. docs/decisions/buckets.md
"""

import functools
import importlib.util
import io
import os
import pathlib
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from speech2face.errors import UserError

# Scheme -> the package with which fsspec reads it.
PACKAGES = {"gs": "gcsfs", "s3": "s3fs"}
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<key>.*)", re.DOTALL)
_WEB = ("http", "https")

_Result = TypeVar("_Result")


def is_url(name: Any) -> bool:
    """Returns whether a name is `scheme://...`, of the web excepted."""
    match = _URL.match(name) if isinstance(name, str) else None
    return match is not None and match["scheme"].lower() not in _WEB


def check_scheme(name: str) -> None:
    """Checks that a URL can be opened.

    Raises:
      UserError: its kind of store is not supported, or a package is missing.
    """
    match = cast("re.Match[str]", _URL.match(name))
    package = PACKAGES.get(match["scheme"])
    if package is None:
        known = ", ".join(f"{scheme}://" for scheme in PACKAGES)
        raise UserError(
            f"{name} is in a store that is not supported; expected a folder or one of "
            f"{known}",
            reason="unknown_store",
        )
    if not importlib.util.find_spec(package):
        raise UserError(
            f"{name} needs the package {package}: pip install -c constraints.txt -e "
            '".[buckets]"',
            reason="missing_package",
        )


def _in_one_line(method: Callable[..., _Result]) -> Callable[..., _Result]:
    """Turns the errors of an object store's client into an OSError."""

    @functools.wraps(method)
    def call(self: "BucketPath", *args: Any, **kwargs: Any) -> _Result:
        try:
            return method(self, *args, **kwargs)
        except FileNotFoundError:
            raise FileNotFoundError(f"{self} does not exist") from None
        except (UserError, ValueError, TypeError, AttributeError):
            raise
        except Exception as error:  # each client has classes of its own
            raise OSError(f"{self}: {error}") from None

    return call


class BucketPath:
    """An object, or all objects whose names begin with the path's.

    It is not an `os.PathLike`: what takes it for a file's name fails at once.
    """

    def __init__(self, url: str):
        """Takes a URL; raises UserError if its store is not supported."""
        check_scheme(url)
        match = cast("re.Match[str]", _URL.match(url))
        parts = [part for part in match["key"].split("/") if part not in ("", ".")]
        self._scheme, self._parts = match["scheme"], tuple(parts)

    def __str__(self) -> str:
        return f"{self._scheme}://{'/'.join(self._parts)}"

    def __repr__(self) -> str:
        return f"BucketPath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BucketPath) and str(self) == str(other)

    def __lt__(self, other: "BucketPath") -> bool:
        return str(self) < str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __truediv__(self, name: Any) -> "BucketPath":
        return BucketPath(f"{self}/{name}")

    @property
    def scheme(self) -> str:
        """Such as 's3'."""
        return self._scheme

    @property
    def name(self) -> str:
        """The last part."""
        return self._parts[-1] if self._parts else ""

    @property
    def suffix(self) -> str:
        """The ending of the name."""
        return pathlib.PurePosixPath(self.name).suffix

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return pathlib.PurePosixPath(self.name).stem

    @property
    def parent(self) -> "BucketPath":
        """The path without its last part; a bucket is its own parent."""
        if len(self._parts) < 2:
            return self
        return BucketPath(f"{self._scheme}://{'/'.join(self._parts[:-1])}")

    def with_name(self, name: str) -> "BucketPath":
        """Returns the path with another last part."""
        return self.parent / name

    def with_suffix(self, suffix: str) -> "BucketPath":
        """Returns the path with another ending."""
        return self.parent / f"{self.stem}{suffix}"

    def relative_to(self, other: Any) -> pathlib.PurePosixPath:
        """Returns what follows another path; raises ValueError if it is none above."""
        start = BucketPath(str(other))._parts
        if self._parts[: len(start)] != start:
            raise ValueError(f"{self} is not below {other}")
        return pathlib.PurePosixPath(*self._parts[len(start) :])

    def resolve(self) -> "BucketPath":
        """Returns the path: a bucket's name is always absolute."""
        return self

    absolute = resolve

    def is_symlink(self) -> bool:
        """Returns False: object stores have no links."""
        return False

    @_in_one_line
    def exists(self) -> bool:
        """Returns whether it is an object, or the beginning of one."""
        return bool(self._store.exists(str(self)))

    @_in_one_line
    def is_file(self) -> bool:
        """Returns whether it is an object."""
        return bool(self._store.isfile(str(self)))

    @_in_one_line
    def is_dir(self) -> bool:
        """Returns whether objects lie below it."""
        return bool(self._store.isdir(str(self)))

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Does nothing: folders are the beginnings of names."""

    def rmdir(self) -> None:
        """Does nothing."""

    @_in_one_line
    def iterdir(self) -> "list[BucketPath]":
        """Returns what lies directly below it; nothing if it is not there."""
        try:
            found = self._store.ls(str(self), detail=False)
        except FileNotFoundError:  # a folder without objects does not exist
            return []
        names = {str(one).rstrip("/").rpartition("/")[2] for one in found}
        return [self / name for name in names if name and name != self.name]

    @_in_one_line
    def rglob(self, pattern: str) -> "list[BucketPath]":
        """Returns all objects below it; the pattern can only be '*'."""
        assert pattern == "*"
        found = self._store.find(str(self))
        return sorted(BucketPath(self._store.unstrip_protocol(one)) for one in found)

    def glob(self, pattern: str) -> "list[BucketPath]":
        """Returns what lies directly below it and fits a pattern without '/'."""
        name_fits = pathlib.PurePosixPath.match
        return sorted(
            path
            for path in self.iterdir()
            if name_fits(pathlib.PurePosixPath(path.name), pattern)
        )

    @_in_one_line
    def stat(self) -> Any:
        """Returns st_size in bytes, st_mtime in s and st_mtime_ns of an object."""
        info = self._store.info(str(self))
        changed = info.get("LastModified") or info.get("mtime") or info.get("created")
        secs = changed.timestamp() if hasattr(changed, "timestamp") else 0.0
        return SimpleNamespace(
            st_size=int(info["size"]), st_mtime=secs, st_mtime_ns=int(secs * 1e9)
        )

    @_in_one_line
    def read_bytes(self) -> bytes:
        """Returns the content of an object."""
        return bytes(self._store.cat_file(str(self)))

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Returns the content of an object as text."""
        return self.read_bytes().decode(encoding, errors)

    @_in_one_line
    def write_bytes(self, content: bytes) -> None:
        """Writes an object, whole or not at all."""
        self._store.pipe_file(str(self), content)

    @_in_one_line
    def open(
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        newline: str | None = None,
    ) -> Any:
        """Opens an object for reading; it can seek.

        Args:
          mode: 'r' or 'rb'.
          buffering: without a meaning here.
          encoding: encoding of text; see `open`.
          newline: line ending of text; see `open`.
        """
        assert mode in ("r", "rb"), mode  # objects are written as a whole
        file = self._store.open(str(self), "rb")
        file.name = str(self)  # as files of a disk have it
        reader = io.BufferedReader(file)  # fsspec's own has no bounded lines
        if mode == "rb":
            return reader
        return io.TextIOWrapper(reader, encoding or "utf-8", newline=newline)

    @_in_one_line
    def unlink(self, missing_ok: bool = False) -> None:
        """Deletes an object."""
        try:
            self._store.rm_file(str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    @_in_one_line
    def remove_tree(self) -> None:
        """Deletes all objects below it."""
        self._store.rm(str(self), recursive=True)

    @_in_one_line
    def upload(self, source: pathlib.Path) -> None:
        """Writes an object from a file of this machine, whole or not at all."""
        self._store.put_file(os.fspath(source), str(self))

    @_in_one_line
    def download(self, target: pathlib.Path) -> None:
        """Copies an object to a file of this machine."""
        self._store.get_file(str(self), os.fspath(target))

    @property
    def _store(self) -> Any:
        import fsspec

        # No listings are kept: other hosts write, too.
        return fsspec.filesystem(self._scheme, use_listings_cache=False)


def upload_folder(
    source: pathlib.Path, target: BucketPath, marks: tuple[str, ...]
) -> None:
    """Replaces a folder in a bucket so that it is whole, or has none of its marks.

    Args:
      source: folder of this machine.
      target: where it will be.
      marks: relative names of the files without which it counts as absent. The old
        ones are deleted first, the new ones written last.
    """
    for mark in marks:
        (target / mark).unlink(missing_ok=True)
    if target.is_dir():
        target.remove_tree()
    paths = [path for path in sorted(source.rglob("*")) if path.is_file()]
    names = [path.relative_to(source).as_posix() for path in paths]
    for name in sorted(names, key=lambda name: name in marks):
        (target / name).upload(source / name)
