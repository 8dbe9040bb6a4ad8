"""Files inside tar and zip archives, read where they are, without unpacking.

A member is named by a path, so that it can stand wherever a path can:

    ARCHIVE::OFFSET+BYTES::NAME    of a tar: its bytes, as they are
    ARCHIVE::zOFFSET+BYTES::NAME   of a zip: its local header

Only the archive's index is read to list its members, and only a member's own bytes to
read it. Compressed tars have no index: unpack or decompress them first.
docs/decisions/archives.md.
"""

import io
import os
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from speech2face.errors import UserError
from speech2face.files import PathLike, as_path, is_in_bucket

ARCHIVE_SUFFIXES = (".tar", ".zip")
COMPRESSED_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".rar")

_MEMBER = re.compile(
    r"(?P<archive>.+?)::(?P<zip>z?)(?P<offset>\d{1,18})\+(?P<n_bytes>\d{1,18})::"
    r"(?P<name>.+)",
    re.DOTALL,
)
# Signature, flags, method, CRC-32, lengths of the name and of what follows it.
_ZIP_HEADER = struct.Struct("<4s2xHH4xI8xHH")
_ENCRYPTED, _SUM_FOLLOWS = 1, 8  # flags
_STORED, _DEFLATED = 0, 8
# A member of a zip is decompressed in memory.
MAX_INFLATED_BYTES = 1 << 29


def members(archive: PathLike) -> Iterator[tuple[str, str]]:
    """Yields (path, name) of each file in an archive, in its order.

    Raises:
      UserError: it is damaged, or not an archive.
    """
    path = os.fspath(archive)
    try:
        if path.lower().endswith(".zip"):
            yield from _zip_members(path)
        else:
            yield from _tar_members(path)
    except (tarfile.TarError, zipfile.BadZipFile, NotImplementedError) as error:
        raise UserError(
            f"{path} is not readable as an archive: {error}", reason="bad_archive"
        ) from None


def _tar_members(path: str) -> Iterator[tuple[str, str]]:
    with as_path(path).open("rb") as file, tarfile.open(path, "r:", file) as tar:
        for info in tar:
            tar.members = []  # type: ignore[attr-defined]  # would keep millions
            if info.isreg() and not info.issparse():
                yield f"{path}::{info.offset_data}+{info.size}::{info.name}", info.name


def _zip_members(path: str) -> Iterator[tuple[str, str]]:
    with as_path(path).open("rb") as file, zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                place = f"z{info.header_offset}+{info.compress_size}"
                yield f"{path}::{place}::{info.filename}", info.filename


def is_file(path: PathLike) -> bool:
    """Returns whether a path names a file, or a member of an archive that exists."""
    member = _parse(path)
    # Not pathlib's: a member's name may be longer than a file's can be.
    name = member["archive"] if member else path
    if is_in_bucket(name):
        return as_path(name).is_file()
    return os.path.isfile(name)  # noqa: PTH113


def n_bytes(path: PathLike) -> int:
    """Returns the size of a file, or of a member as it is stored."""
    member = _parse(path)
    return int(member["n_bytes"]) if member else as_path(path).stat().st_size


def open_binary(path: PathLike) -> BinaryIO:
    """Opens a file, or a member of an archive, for reading; it can seek.

    Reads are not buffered.

    Raises:
      OSError: the file, or the archive, cannot be read.
      UserError: the member is damaged, encrypted, or too large to decompress.
    """
    member = _parse(path)
    if member is None:
        return cast(BinaryIO, as_path(path).open("rb", buffering=0))
    # Closed with the slice, or when the member is decompressed.
    file = as_path(member["archive"]).open("rb", buffering=0)
    offset, size = int(member["offset"]), int(member["n_bytes"])
    if not member["zip"]:
        return cast(BinaryIO, _Slice(file, offset, size))
    return _open_zip_member(file, offset, size, os.fspath(path))


def _parse(path: PathLike) -> "re.Match[str] | None":
    text = os.fspath(path)
    match = _MEMBER.fullmatch(text) if "::" in text else None
    # A file may have any name, this pattern's too.
    return match if match and not os.path.exists(text) else None  # noqa: PTH110


def _open_zip_member(file: Any, offset: int, size: int, name: str) -> BinaryIO:
    """Opens a member by its local header.

    Args:
      file: the archive.
      offset: offset of the header in the archive, bytes.
      size: number of the member's bytes, which follow the header.
      name: name that errors give.
    """
    file.seek(offset)
    header = file.read(_ZIP_HEADER.size)
    signature, flags, method, crc32, n_name, n_extra = (
        _ZIP_HEADER.unpack(header) if len(header) == _ZIP_HEADER.size else (0,) * 6
    )
    start = offset + _ZIP_HEADER.size + n_name + n_extra
    is_readable = signature == b"PK\x03\x04" and not flags & _ENCRYPTED
    if is_readable and method == _STORED:
        return cast(BinaryIO, _Slice(file, start, size))
    with file:
        if is_readable and method == _DEFLATED:
            file.seek(start)
            content = _inflate(file.read(size), name)
            if flags & _SUM_FOLLOWS or zlib.crc32(content) == crc32:
                return io.BytesIO(content)
    raise UserError(
        f"{name} is damaged, encrypted or compressed in a way that is not read here; "
        "unpack the archive",
        reason="bad_archive",
    )


def _inflate(content: bytes, name: str) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        result = inflater.decompress(content, MAX_INFLATED_BYTES)
    except zlib.error as error:
        raise UserError(f"{name} is damaged: {error}", reason="bad_archive") from None
    if inflater.unconsumed_tail:
        raise UserError(
            f"{name} has more than {MAX_INFLATED_BYTES >> 20} MB; unpack the archive",
            reason="too_large",
        )
    return result


class SizedFile(io.RawIOBase):
    """A read-only file of known size; subclasses read at `_position` and advance it."""

    def __init__(self, n_bytes: int):
        """Starts at the beginning of `n_bytes`."""
        super().__init__()
        self._n_bytes = n_bytes
        self._position = 0

    def readable(self) -> bool:
        """Returns True."""
        return True

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def tell(self) -> int:
        """Returns the offset of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to an offset without reading anything, and returns it."""
        base = {
            io.SEEK_SET: 0,
            io.SEEK_CUR: self._position,
            io.SEEK_END: self._n_bytes,
        }[whence]
        self._position = max(0, base + offset)
        return self._position


class _Slice(SizedFile):
    """A stretch of an open file, which is closed with it."""

    def __init__(self, file: Any, first: int, n_bytes: int):
        super().__init__(n_bytes)
        self._file, self._first = file, first

    def readinto(self, buffer: Any) -> int:
        n_left = max(0, self._n_bytes - self._position)
        self._file.seek(self._first + self._position)
        content = self._file.read(min(len(buffer), n_left))
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()
