"""Reads clips of VoxCeleb 1 or 2, unpacked or in its archives, anywhere below a folder.

    id10001/<video>/<utterance>.mp4, or .wav or .m4a
    faces for sound without a picture: images in .../<person>/<video>/ or directly in
    .../<person>/, where a person is id10001 or one of the metadata's names for it

The faces per person are VGGFace's, VGGFace2's or HQ-VoxCeleb's; each utterance gets one
of them, by the hash of its name.
"""

import collections
import csv
import dataclasses
import pathlib
import re
from collections.abc import Iterable, Sequence

from data_prep.clips.manifest import Clip, hash_of
from speech2face.errors import UserError
from speech2face.files import PathLike, as_path
from speech2face.media_files import (
    IMAGE_SUFFIXES,
    SOUND_SUFFIXES,
    VIDEO_SUFFIXES,
    Found,
    has_suffix,
)

_GENDERS = {"m": "male", "f": "female"}
_PERSON = re.compile(r"id\d{5}")
_DELIMITERS = "\t,;"

Place = tuple[str, ...]  # (person, video, utterance) of a sound, and its beginnings


@dataclasses.dataclass(frozen=True)
class Person:
    """A row of the metadata; '' where a cell is missing.

    Attributes:
      names: the person's names in VGGFace or VGGFace2; folders of faces have them.
      gender: 'male', 'female' or as it is written.
      nationality: nationality as it is written there.
      set: 'dev' or 'test'.
    """

    names: tuple[str, ...] = ()
    gender: str = ""
    nationality: str = ""
    set: str = ""


People = dict[str, Person]  # by idNNNNN, in the order of the metadata


def read_clips(found: Found, people: People) -> list[Clip]:
    """Returns a clip for each utterance, without splits by hash.

    Args:
      found: the media of the data set's folder.
      people: what `read_metadata` returned; {} leaves out labels and the test split.
    """
    ids = ids_of(people)
    media: dict[Place, str] = {}
    faces: dict[Place, list[str]] = collections.defaultdict(list)
    for file in found.files:
        relative = pathlib.PurePosixPath(file.name)
        place = _place([*relative.parts[:-1], relative.stem], ids)
        if file.is_a(IMAGE_SUFFIXES):
            # (person, image), (person, video, image), (person, video, utterance, image)
            if 2 <= len(place) <= 4:
                faces[place[:-1]].append(file.path)
        elif len(place) != 3:
            continue
        elif file.is_a(VIDEO_SUFFIXES):
            media[place] = file.path  # rather than a sound file of the same utterance
        elif file.is_a(SOUND_SUFFIXES):
            media.setdefault(place, file.path)
    return [
        _clip_of(place, path, faces, people) for place, path in sorted(media.items())
    ]


def ids_of(people: People) -> dict[str, str]:
    """Returns the names of people -> idNNNNN."""
    return {name: id_ for id_, person in people.items() for name in person.names}


def person_of(parts: Sequence[str], ids: dict[str, str]) -> tuple[str, int]:
    """Returns the person that a path names and where; ('', 0) if it names none.

    Args:
      parts: parts of the path.
      ids: see `ids_of`.
    """
    for index, part in enumerate(parts):
        person = part if _PERSON.fullmatch(part) else ids.get(part)
        if person:
            return person, index
    return "", 0


def _place(parts: Sequence[str], ids: dict[str, str]) -> Place:
    person, index = person_of(parts, ids)
    # The archive of frames has a folder 1.6 between a name and its videos.
    rest = [part for part in parts[index + 1 :] if part != "1.6"]
    return (person, *rest) if person else ()


def _clip_of(
    place: Place, path: str, faces: dict[Place, list[str]], people: People
) -> Clip:
    """Returns the clip of an utterance.

    Args:
      place: person, video, utterance.
      path: path of the video or sound.
      faces: images by the place that they show.
      people: `read_metadata`.
    """
    person = people.get(place[0], Person())
    labels = {"gender": person.gender, "nationality": person.nationality}
    clip_id = "/".join(place)
    return Clip(
        clip_id=clip_id,
        speaker_id=place[0],
        media=path,
        face="" if has_suffix(path, VIDEO_SUFFIXES) else _face_of(place, faces),
        split="test" if person.set == "test" else "",
        labels=tuple((name, value) for name, value in labels.items() if value),
    )


def _face_of(place: Place, faces: dict[Place, list[str]]) -> str:
    """Returns an image of the utterance, else of the video, else of the person."""
    for n_parts in (3, 2):
        if images := faces.get(place[:n_parts]):
            return images[0]
    images = faces.get(place[:1], [])
    return images[int(hash_of("/".join(place))[:8], 16) % len(images)] if images else ""


def read_metadata(paths: Iterable[PathLike]) -> People:
    """Reads vox1_meta.csv (tabs), vox2_meta.csv (commas), or lists like them.

    Raises:
      FileNotFoundError, UserError: no such file, unreadable, or without ids.
    """
    people: People = {}
    for path in paths:
        try:
            with as_path(path).open(encoding="utf-8-sig", newline="") as file:
                text = file.read()
        except FileNotFoundError:
            raise FileNotFoundError(f"--metadata={path} does not exist") from None
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"--metadata={path} is not readable: {error}") from None
        header = text.split("\n", 1)[0]
        delimiter = max(_DELIMITERS, key=header.count)
        try:
            rows = list(csv.reader(text.splitlines(), delimiter=delimiter))
        except csv.Error as error:
            raise UserError(f"--metadata={path} is not readable: {error}") from None
        cells = [[cell.strip() for cell in row] for row in rows]
        people |= _people_of(cells, f"--metadata={path}")
    return people


def _people_of(rows: list[list[str]], where: str) -> People:
    header = [cell.lower() for cell in rows[0]] if rows else []
    id_column = _column(header, "voxceleb")
    if id_column is None:
        raise UserError(f"{where} has no column 'VoxCeleb1 ID' or 'VoxCeleb2 ID'")
    name_columns = [
        i for i, cell in enumerate(header) if cell.startswith(("vggface", "name"))
    ]
    people = {}
    for number, row in enumerate(rows[1:], 2):
        if not any(row):
            continue
        cells = [*row, *[""] * (len(header) - len(row))]
        if not _PERSON.fullmatch(cells[id_column]):
            raise UserError(
                f"{where}, line {number}: {cells[id_column]!r:.40} is not a VoxCeleb "
                "id, such as id10001"
            )

        def cell_of(name: str, cells: list[str] = cells) -> str:
            column = _column(header, name)
            return "" if column is None else cells[column]

        gender = cell_of("gender")
        people[cells[id_column]] = Person(
            names=tuple(cells[i] for i in name_columns if cells[i]),
            gender=_GENDERS.get(gender.lower(), gender),
            nationality=cell_of("nationality"),
            set=cell_of("set").lower(),
        )
    return people


def _column(header: list[str], start: str) -> int | None:
    return next((i for i, cell in enumerate(header) if cell.startswith(start)), None)
