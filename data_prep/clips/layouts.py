"""Reads clips from the folders, archives and lists in which data sets are published.

    manifest    this project's CSV: data_prep/clips/manifest.py
    avspeech    AVSpeech's lists, and a folder: as data_prep.download_avspeech writes
                it, or with the names of other downloaders:
                data_prep/clips/avspeech_files.py
    voxceleb    VoxCeleb 1 or 2: data_prep/clips/voxceleb.py
    hqvoxceleb  HQ-VoxCeleb's faces and VoxCeleb's sound: data_prep/clips/hq_voxceleb.py
    folder      videos, or sounds with pictures; a sub-folder is a speaker; metadata.csv
                or .jsonl of audio and video folders: data_prep/clips/media_folder.py
    webdataset  tars of <key>.wav <key>.jpg <key>.json: the same file

Files in .tar and .zip archives are read where they are: docs/decisions/archives.md. All
give the same clips as a manifest would. The splits are those of the data set's authors
if they published some (AVSpeech's test list, VoxCeleb's column Set), else by the hash
of the speaker or video; --n_val and --n_test say how many clips that is
(docs/decisions/data-split.md). What is not taken is counted and printed.
"""

import dataclasses
from typing import Literal

from data_prep.clips import avspeech, hq_voxceleb, manifest, media_folder, voxceleb
from data_prep.clips.avspeech_files import AvspeechFiles
from data_prep.clips.manifest import Clip, SplitSizes
from data_prep.clips.voxceleb import People
from data_prep.options import JobOptions
from speech2face import media_files
from speech2face.errors import UserError
from speech2face.files import as_path
from speech2face.media_files import Found
from speech2face.options import Options, option


@dataclasses.dataclass(frozen=True)
class LayoutOptions(Options):
    """Layout of the media on disk."""

    layout: Literal[
        "manifest", "avspeech", "voxceleb", "hqvoxceleb", "folder", "webdataset"
    ] = option(
        "manifest", "What --manifest and --media_dir are (data_prep/clips/layouts.py)."
    )
    test_list: str = option(
        "",
        "AVSpeech's avspeech_test.csv: its videos, and no others, are the test split.",
        exists="file",
        bucket=True,
    )
    metadata: str = option(
        "",
        "VoxCeleb's vox1_meta.csv or vox2_meta.csv: labels, names of people, and the "
        "test split. --layout=hqvoxceleb finds those of its own folder.",
        exists="file",
        bucket=True,
    )


@dataclasses.dataclass(frozen=True)
class FaceLayoutOptions(Options):
    """Layout of the photographs on disk."""

    layout: Literal["manifest", "hqvoxceleb"] = option(
        "manifest",
        "A manifest, or HQ-VoxCeleb's faces in --media_dir, which are normalized "
        "already (data_prep/clips/hq_voxceleb.py).",
    )


MANIFEST_OF_FACES = FaceLayoutOptions()


def read_clips(job: JobOptions, layout: LayoutOptions) -> list[Clip]:
    """Reads the clips that the flags name, for voice records.

    Raises:
      FileNotFoundError, UserError: one line on what is wrong with the flags, the lists
        or the folder.
    """
    _check(job, layout)
    if layout.layout == "manifest":
        return manifest.read_manifest(job.manifest, job.media_dir, sizes=_sizes(job))
    extra = {
        "webdataset": (".json",),
        "folder": media_folder.METADATA,
        "hqvoxceleb": hq_voxceleb.LISTS,
    }
    found = media_files.scan(job.media_dir, extra.get(layout.layout, ()))
    if layout.layout == "avspeech":
        clips = _avspeech(job.manifest, layout.test_list, found)
    elif layout.layout == "voxceleb":
        metadata = [layout.metadata] if layout.metadata else []
        clips = voxceleb.read_clips(found, voxceleb.read_metadata(metadata))
    elif layout.layout == "hqvoxceleb":
        clips = hq_voxceleb.read_clips(found, _people(found, layout.metadata))
    elif layout.layout == "webdataset":
        clips = media_folder.read_webdataset(found)
    else:
        clips = media_folder.read_clips(found)
    return _finish(clips, found, job, layout.layout)


def read_faces(job: JobOptions, layout: FaceLayoutOptions) -> list[Clip]:
    """Reads the photographs that the flags name, for face records.

    Raises:
      FileNotFoundError, UserError: one line on what is wrong.
    """
    if layout.layout == "manifest":
        if not job.manifest:
            raise UserError("--manifest is missing: a CSV, one photograph a row")
        return manifest.read_manifest(
            job.manifest, job.media_dir, manifest.FACE_COLUMNS, _sizes(job)
        )
    if job.manifest:
        raise UserError(f"--manifest has no meaning with --layout={layout.layout}")
    _require_folder(job.media_dir, layout.layout)
    found = media_files.scan(job.media_dir, hq_voxceleb.LISTS)
    clips = hq_voxceleb.read_faces(found, _people(found, ""))
    return _finish(clips, found, job, layout.layout)


def _sizes(job: JobOptions) -> SplitSizes:
    return SplitSizes(n_val=job.n_val, n_test=job.n_test)


def _people(found: Found, metadata: str) -> People:
    files = hq_voxceleb.metadata_files(found)
    if not files and not metadata:
        raise UserError(
            f"--layout=hqvoxceleb needs vox1_meta.csv or full_vox2_meta.csv in "
            f"{found.root}, or --metadata: they pair names with ids"
        )
    return voxceleb.read_metadata([*files, *([metadata] if metadata else [])])


def _finish(
    clips: list[Clip], found: Found, job: JobOptions, layout: str
) -> list[Clip]:
    """Says what was not taken, and gives the clips their splits.

    Args:
      clips: clips that the layout found.
      found: all media of the folder.
      job: sizes of the splits.
      layout: its name.
    """
    taken = [p for c in clips for p in (c.media, c.face, c.normalized_face) if p]
    for line in found.describe(taken):
        print(line)
    if not clips:
        raise UserError(
            f"--layout={layout} finds no clip in {job.media_dir}; see "
            "data_prep/clips/layouts.py for the folders that it expects"
        )
    sizes = _sizes(job)
    if any(clip.split == "test" for clip in clips):
        sizes = dataclasses.replace(sizes, n_test=0)  # the published one, and no other
    return manifest.assign_splits(clips, f"--layout={layout}", sizes)


def _check(job: JobOptions, layout: LayoutOptions) -> None:
    name = layout.layout
    if name in ("manifest", "avspeech") and not job.manifest:
        raise UserError(f"--layout={name} needs --manifest")
    for flag, value, is_used in (
        ("manifest", job.manifest, name in ("manifest", "avspeech")),
        ("test_list", layout.test_list, name == "avspeech"),
        ("metadata", layout.metadata, name in ("voxceleb", "hqvoxceleb")),
    ):
        if value and not is_used:
            raise UserError(f"--{flag} has no meaning with --layout={name}")
    if job.media_dir or name != "manifest":
        _require_folder(job.media_dir, name)


def _require_folder(media_dir: str, layout: str) -> None:
    if not media_dir:
        raise UserError(f"--layout={layout} needs --media_dir")
    if not as_path(media_dir).is_dir():
        raise FileNotFoundError(f"--media_dir={media_dir} is not a folder")


def _avspeech(listed: str, test_list: str, found: Found) -> list[Clip]:
    """Returns the listed clips whose files exist.

    Args:
      listed: path of the list.
      test_list: path of AVSpeech's test list, whose videos are the test split, or ''.
      found: the media.
    """
    segments = avspeech.read_list(listed)
    tested = avspeech.read_list(test_list) if test_list else []
    test_videos = {segment.youtube_id for segment in tested}
    names = {segment.name for segment in segments}
    segments += [segment for segment in tested if segment.name not in names]
    files = AvspeechFiles(found.files)
    clips = [clip for clip in map(files.clip, segments) if clip]
    print(f"{len(clips)} of {len(segments)} listed segments are in {found.root}")
    return [
        dataclasses.replace(
            clip, split="test" if clip.speaker_id in test_videos else ""
        )
        for clip in clips
    ]
