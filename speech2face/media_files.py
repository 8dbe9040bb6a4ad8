"""Finds media files below a folder and inside its archives: the one walk for all.

The ending of its name tells what a file is. Hidden files, and what file systems and
archivers leave behind (`._a.wav`, `__MACOSX`, `@eaDir`), are left out; links are
followed once. Files of other kinds are counted and reported.
"""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

from speech2face import archives
from speech2face.errors import UserError
from speech2face.files import PathLike, as_path, is_in_bucket

# fmt: off
VIDEO_SUFFIXES = (
    ".mp4", ".mkv", ".webm", ".mov", ".avi", ".mpg", ".mpeg", ".m4v", ".flv", ".f4v",
    ".wmv", ".asf", ".3gp", ".3g2", ".ts", ".mts", ".m2ts", ".vob", ".mpe", ".m2v",
    ".ogv", ".mxf", ".divx", ".qt", ".rm", ".rmvb", ".dv", ".wtv", ".nut", ".mp4v",
)
SOUND_SUFFIXES = (
    ".wav", ".m4a", ".flac", ".mp3", ".ogg", ".opus", ".aac", ".aif", ".aiff",
    ".aifc", ".au", ".snd", ".caf", ".wma", ".amr", ".ac3", ".eac3", ".wv", ".tta",
    ".ape", ".mka", ".oga", ".spx", ".mp2", ".w64", ".voc", ".sph", ".m4b", ".weba",
)
IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".jp2",
    ".avif", ".heic", ".heif", ".ppm", ".pgm", ".tga", ".jpe", ".jfif",
)
# fmt: on
_LEFTOVERS = ("__macosx", "@eadir", "lost+found", "$recycle.bin")
_MAX_SHOWN = 5  # endings or names in a message


@dataclasses.dataclass(frozen=True)
class MediaFile:
    """A file, or a member of an archive.

    Attributes:
      path: path that opens it.
      name: below the folder, with "/"; a member stands where its archive stands.
      archive: name of its archive below the folder; '' of a plain file.
    """

    path: str
    name: str
    archive: str = ""

    @property
    def stem(self) -> str:
        """Its file name without the ending."""
        return pathlib.PurePosixPath(self.name).stem

    def is_a(self, suffixes: tuple[str, ...]) -> bool:
        """Returns whether its name ends in one of the suffixes, in either case."""
        return has_suffix(self.name, suffixes)


@dataclasses.dataclass
class Found:
    """Contents of a folder.

    Attributes:
      root: the folder.
      files: media, and files of the other endings that were asked for, by name.
      others: ending -> number of files of other kinds.
      compressed: archives that are not read.
    """

    root: str
    files: list[MediaFile]
    others: "collections.Counter[str]"
    compressed: list[str]

    def describe(self, taken: Sequence[str]) -> list[str]:
        """Returns lines that say what was not taken.

        Args:
          taken: paths of the files that were.
        """
        used = set(taken)
        left = [file for file in self.files if file.path not in used]
        lines = []
        for noun, suffixes in _KINDS.items():
            names = [file.name for file in left if file.is_a(suffixes)]
            if names:
                lines.append(f"{noun} not taken: {len(names):,} ({_some(names)})")
        if self.others:
            endings = ", ".join(
                f"{ending or 'no ending'} {n:,}"
                for ending, n in self.others.most_common(_MAX_SHOWN)
            )
            n_others = sum(self.others.values())
            lines.append(f"files of other kinds: {n_others:,} ({endings})")
        if self.compressed:
            lines.append(
                f"compressed archives not read: {len(self.compressed)} "
                f"({_some(self.compressed)}); unpack them, or decompress them to .tar"
            )
        return lines


_KINDS = {"videos": VIDEO_SUFFIXES, "sounds": SOUND_SUFFIXES, "images": IMAGE_SUFFIXES}


def _some(names: Sequence[str]) -> str:
    printable = [printable_name(name) for name in names[:3]]
    return ("such as " if len(names) > 3 else "") + ", ".join(printable)


def scan(folder: PathLike, extra: tuple[str, ...] = ()) -> Found:
    """Finds all media below a folder, and in the archives below it.

    Args:
      folder: where to look.
      extra: files to keep besides media: endings such as ".json", and whole names.

    Raises:
      UserError: an archive is damaged.
    """
    root = absolute(folder)
    endings = tuple(one for one in extra if one.startswith("."))
    kept = (*VIDEO_SUFFIXES, *SOUND_SUFFIXES, *IMAGE_SUFFIXES, *endings)
    found = Found(root, [], collections.Counter(), [])
    for path in walk(root):
        name = as_path(path).relative_to(root).as_posix()
        if has_suffix(path, archives.ARCHIVE_SUFFIXES):
            files = _members(path, name)
        else:
            files = iter([MediaFile(path, name)])
        for file in files:
            if file.is_a(kept) or pathlib.PurePosixPath(file.name).name in extra:
                found.files.append(file)
            elif file.is_a(archives.COMPRESSED_SUFFIXES):
                found.compressed.append(file.name)
            else:
                ending = pathlib.PurePosixPath(file.name).suffix.lower()
                found.others[printable_name(ending)] += 1
    return found


def _members(path: str, name: str) -> Iterator[MediaFile]:
    """Yields the members of an archive that are not left out."""
    place = pathlib.PurePosixPath(name)
    for member_path, member in archives.members(path):
        parts = [part for part in member.split("/") if part not in ("", ".", "..")]
        if not parts or any(map(_is_left_out, parts)):
            continue
        # Archives of one folder's files are told apart by their own names.
        folder = place.parent if len(parts) > 1 else place.with_suffix("")
        yield MediaFile(member_path, folder.joinpath(*parts).as_posix(), name)


def walk(folder: PathLike, exclude: Sequence[PathLike] = ()) -> Iterator[str]:
    """Yields the paths of all files below a folder, sorted; follows links once.

    They begin as the name of the folder does.

    Args:
      folder: where to begin.
      exclude: folders below it that are left out.
    """
    if is_in_bucket(folder):
        return _walk_bucket(os.fspath(folder), [str(one) for one in exclude])
    # Real paths, so that a link to a parent ends.
    seen = {os.path.realpath(one) for one in exclude} - {os.path.realpath(folder)}

    def visit(path: str) -> Iterator[str]:
        real = os.path.realpath(path)
        if real in seen:
            return
        seen.add(real)
        try:
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except OSError:  # a folder without permission is skipped
            return
        for entry in entries:
            if _is_left_out(entry.name):
                continue
            if _holds(entry.is_dir):
                yield from visit(entry.path)
            elif _holds(entry.is_file):
                yield entry.path

    return visit(os.fspath(folder))


def _walk_bucket(folder: str, exclude: Sequence[str]) -> Iterator[str]:
    for path in as_path(folder).rglob("*"):
        parts = path.relative_to(folder).parts
        is_out = any(str(path).startswith(f"{one.rstrip('/')}/") for one in exclude)
        if not is_out and not any(map(_is_left_out, parts)):
            yield str(path)


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LEFTOVERS


def _holds(test: Callable[[], bool]) -> bool:
    try:
        return test()
    except OSError:  # a link to itself
        return False


def absolute(folder: PathLike) -> str:
    """Returns an absolute path without "..", or the name of a bucket's folder."""
    if is_in_bucket(folder):
        return str(as_path(folder))
    return os.path.abspath(folder)  # noqa: PTH100 - Path.absolute keeps ".."


def has_suffix(path: str, suffixes: tuple[str, ...]) -> bool:
    """Returns whether a path ends in one of the suffixes, in either case."""
    return path.lower().endswith(suffixes)


def printable_name(name: str) -> str:
    """Returns a file name as valid text: names may be bytes of another encoding."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def read_text(file: MediaFile, max_bytes: int) -> str:
    """Reads a small text file.

    Raises:
      OSError, UserError: unreadable, too large, or not UTF-8.
    """
    with archives.open_binary(file.path) as opened:
        content = opened.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise UserError(f"{file.name} has more than {max_bytes:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{file.name} is not text: {error}") from None
