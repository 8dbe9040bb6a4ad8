"""A folder of generated people: media, photographs and manifests.

`generate` writes, under the output folder:

    media/<clip>.mp4               a talking head: MPEG-4 video, AAC sound
    faces/<person>_<k>.png         photographs in different light, pose and place
    faces/<person>_normalized.png  frontal, neutral, evenly lit, white background,
                                   eyes 55 px apart at 224 x 224
    manifest.csv                   clips; the voice data set is built from it
    faces.csv                      photographs, also of people without clips, with the
                                   normalized face and its landmarks; the face
                                   decoder's data set
    people.json                    every trait, and where each photograph's eyes, mouth
                                   and chin truly are, (x, y) in pixels
    sample_people.json             the configuration that made the folder, and the
                                   size of every file

Paths in the manifests are relative to the output folder. The content is a function of
the configuration alone, byte for byte on one installation
(docs/decisions/sample-people.md).
"""

import bisect
import concurrent.futures
import csv
import dataclasses
import functools
import json
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import threading
from collections.abc import Sequence
from typing import Any

import tqdm

from data_prep.clips.manifest import landmarks_cell
from data_prep.sample import espeak, photographs, videos
from data_prep.sample.traits import Person, draw_people
from speech2face import files
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.json_codec import decode, read_json
from speech2face.system import n_cores

FORMAT_VERSION = 2  # 2: landmarks in faces.csv, people without clips

_MARKER = "sample_people.json"
_SIZES = "n_bytes"  # in it: path -> size
_SKIN_LABELS = ("light", "medium", "dark")  # thirds of the trait `skin_tone`
_SIZE_LABELS = ("small", "medium", "large")  # about thirds of `body_size`
_SIZE_LIMITS = (-0.43, 0.43)  # thirds of a standard normal distribution

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class SampleConfig:
    """What determines the content of a sample folder."""

    n_people: int
    clips_per_person: int
    seed: int
    n_silent_people: int = 0  # more people, without clips
    photographs_per_person: int = 1

    def __post_init__(self) -> None:
        if self.n_people < 3:
            raise UserError(
                f"n_people is {self.n_people}; at least 3 are needed, one a split"
            )
        if self.clips_per_person < 1:
            raise UserError(
                f"clips_per_person is {self.clips_per_person}; at least 1 is needed"
            )
        if self.photographs_per_person < 1:
            raise UserError(
                f"photographs_per_person is {self.photographs_per_person}; at least 1 "
                "is needed"
            )


def generate(config: SampleConfig, output_dir: PathLike, n_workers: int = 0) -> bool:
    """Writes a sample folder, whole or not at all.

    Args:
      config: how many people and clips, and the seed.
      output_dir: new or empty, or a folder this function made from the same config.
      n_workers: processes; 0 for one a core.

    Returns:
      False if the folder was complete already.

    Raises:
      UserError: output_dir holds something else or has lost a file, n_workers is
        negative, or espeak-ng is not installed.
    """
    if n_workers < 0:
        raise UserError(f"n_workers is {n_workers}; give 0 for one a core, or more")
    output = pathlib.Path(output_dir)
    if _is_complete(config, output):
        return False
    espeak.check_installed()
    with files.atomic_path(output) as draft:
        draft.mkdir()
        _write(config, draft, n_workers)
    return True


def _is_complete(config: SampleConfig, output: pathlib.Path) -> bool:
    """Whether the folder holds this sample; UserError if it holds something else."""
    if not output.exists():
        return False
    if not output.is_dir():
        raise UserError(f"{output} is a file; give a new or empty folder")
    if not any(output.iterdir()):
        return False
    marker = _read_marker(output / _MARKER)
    if marker is None:
        raise UserError(f"{output} is not empty; give a new or empty folder")
    n_bytes = marker.pop(_SIZES, {})  # which do not decide whether it is this sample
    if marker != _marker(config):
        raise UserError(
            f"{output} holds other sample people, made with {marker}; "
            "give a new folder or remove that one"
        )
    _check_files(output, decode(dict[str, int], n_bytes, str(output / _MARKER)))
    return True


def _check_files(output: pathlib.Path, n_bytes: dict[str, int]) -> None:
    """Raises UserError if a file is missing or of another size."""
    found = _sizes(output)
    changed = sorted(name for name in n_bytes if found.get(name) != n_bytes[name])
    if changed:
        first = changed[0]
        size = f"has {found[first]} bytes" if first in found else "is missing"
        raise UserError(
            f"{output} is damaged: {len(changed)} of its {len(n_bytes)} files are "
            f"missing or of another size, the first is {first}, which {size} instead "
            f"of {n_bytes[first]}; remove the folder and run the command again",
            reason="damaged_sample",
        )


def _sizes(folder: pathlib.Path) -> dict[str, int]:
    """Relative path -> bytes of every file but the marker."""
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != _MARKER
    }


def _read_marker(path: pathlib.Path) -> Row | None:
    if not path.is_file():
        return None
    try:
        return read_json(path, dict[str, Any])
    except UserError as error:
        raise UserError(f"{error}; give a new folder or remove that one") from None


def _marker(config: SampleConfig) -> Row:
    return {"format_version": FORMAT_VERSION, **dataclasses.asdict(config)}


def _write(config: SampleConfig, folder: pathlib.Path, n_workers: int) -> None:
    (folder / "media").mkdir()
    (folder / "faces").mkdir()
    people = draw_people(config.n_people, config.seed, config.n_silent_people)
    n_clips = [config.clips_per_person] * config.n_people
    n_clips += [0] * config.n_silent_people
    work = functools.partial(_write_person, config=config, folder=folder)
    with concurrent.futures.ProcessPoolExecutor(
        min(n_workers or n_cores(), len(people)),
        # A forked process would share the locks of libraries that are in use.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_end_with_parent,
    ) as pool:
        done = pool.map(work, people, n_clips)
        rows = list(tqdm.tqdm(done, "sample people", len(people), unit="person"))
    _write_csv(folder / "manifest.csv", [clip for row in rows for clip in row["clips"]])
    _write_csv(folder / "faces.csv", [face for row in rows for face in row["faces"]])
    truth = [row["person"] for row in rows]
    (folder / "people.json").write_text(json.dumps(truth, indent=1))
    marker = {**_marker(config), _SIZES: _sizes(folder)}
    (folder / _MARKER).write_text(json.dumps(marker))


def _end_with_parent() -> None:
    """Ends this worker when its parent is gone, however that ended.

    Each worker holds the queue of work open for itself, so it would wait forever.
    """
    parent = multiprocessing.parent_process()
    assert parent  # a worker has one

    def wait() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _write_csv(path: pathlib.Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_person(
    person: Person, n_clips: int, config: SampleConfig, folder: pathlib.Path
) -> dict[str, Any]:
    """Writes all files of one person.

    Args:
      person: whose files are written.
      n_clips: how often the person speaks.
      config: what the sample is to be.
      folder: folder of the sample.

    Returns:
      Rows for the manifests, and the truth.
    """
    portraits = photographs.write_photographs(
        person, config.photographs_per_person, config.seed, folder
    )
    clips = videos.write_clips(person, n_clips, config.seed, folder) if n_clips else []
    return {
        "person": {**dataclasses.asdict(person), "photographs": portraits.points},
        "faces": _face_rows(person, portraits),
        "clips": _clip_rows(person, clips),
    }


def _face_rows(person: Person, portraits: photographs.Portraits) -> list[Row]:
    return [
        {
            "clip_id": f"{person.speaker_id}_face{k}",
            "face": photograph,
            "normalized_face": portraits.normalized,
            "normalized_landmarks": landmarks_cell(portraits.landmarks),
            **_labels(person),
        }
        for k, photograph in enumerate(portraits.photographs)
    ]


def _clip_rows(person: Person, clips: Sequence[videos.Clip]) -> list[Row]:
    return [
        {
            "clip_id": f"{person.speaker_id}_{k}",
            "media": clip.path,
            "start_secs": "0",
            "end_secs": f"{clip.secs:.3f}",
            "face_x": f"{clip.face_xy[0]:.4f}",
            "face_y": f"{clip.face_xy[1]:.4f}",
            **_labels(person),
            "text": clip.text,
        }
        for k, clip in enumerate(clips)
    ]


def _labels(person: Person) -> Row:
    third = min(int(person.skin_tone * 3), 2)
    return {
        "speaker_id": person.speaker_id,
        "split": person.split,
        "gender": person.gender,
        "age": person.age_years,
        "body_size": _SIZE_LABELS[bisect.bisect(_SIZE_LIMITS, person.body_size)],
        "skin": _SKIN_LABELS[third],
        "accent": person.accent,
    }
