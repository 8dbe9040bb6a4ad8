"""Flags of the record builders. Nothing heavy is imported here: `--help` is quick."""

import dataclasses
from typing import Literal

from speech2face.config_fields import option, required


@dataclasses.dataclass(frozen=True)
class LayoutOptions:
    """How the media lie on the disk."""

    layout: Literal["manifest", "avspeech", "voxceleb", "folder"] = option(
        "manifest", "What --manifest and --media_dir are (data_prep/layouts.py)."
    )
    test_list: str = option(
        "", "AVSpeech's avspeech_test.csv: its videos are the test split, no others."
    )
    metadata: str = option(
        "", "VoxCeleb's vox1_meta.csv or vox2_meta.csv: labels, and the test split."
    )


@dataclasses.dataclass(frozen=True)
class JobOptions:
    """What both builders ask for: inputs, output, recognizer, and how to run."""

    output_dir: str = required(
        "Folder for the shards, dataset.json, report.json and quarantine.csv; on a "
        "cluster, one that every worker sees."
    )
    manifest: str = option(
        "",
        "CSV, one clip a row (columns: data_prep/manifest.py), or, with another "
        "--layout, the list that belongs to it.",
    )
    media_dir: str = option(
        "", "Folder of the media; '' is the manifest's, whose paths are relative to it."
    )
    recognizer: Literal["vgg_face", "vgg_face_relu", "dlib"] = option(
        "vgg_face",
        "Makes the face features (Sec. 3: VGG-Face fc7); 'vgg_face_relu' takes fc7 "
        "behind its ReLU (BUILD_NOTES 10).",
    )
    vgg_face_weights: str = option(
        "", "Weights file of VGG-Face, as speech2face.import_vgg_face writes it."
    )
    n_shards: int = option(0, "Shards of each split; 0 makes shards of about 256 MB.")
    clips_per_chunk: int = option(
        8,
        "Clips that go through the stages together: the recognizer's batch, and "
        "what a killed job has to do again for each worker.",
    )
    n_workers: int = option(
        0,
        "Worker processes on this machine; 0 is one for each core, 1 is this very "
        "process, which nothing watches.",
    )
    max_secs_per_clip: float = option(
        600.0,
        "A worker that is at one clip for longer is stopped, and the clip rejected.",
    )
    beam_options: str = option(
        "",
        "Pipeline options of Apache Beam in one string, such as "
        "'--runner=FlinkRunner --flink_master=host:8081'; '' runs on this machine.",
    )


@dataclasses.dataclass(frozen=True)
class DownloadOptions:
    """What to fetch, from where, and how gently."""

    csv: str = required("AVSpeech's list: YouTube id, start, end, x, y; no header.")
    output_dir: str = required("Folder for the segments, their list and the status.")
    sample: int = option(0, "Fetch this many segments, chosen by hash; 0 is all.")
    url_template: str = option(
        "https://www.youtube.com/watch?v={id}", "Address of a video; {id} is its id."
    )
    max_height_px: int = option(720, "Take pictures of at most this height.")
    n_threads: int = option(4, "Videos fetched at a time.")
    secs_between_videos: float = option(
        1.0, "Ask for a new video at most this often, over all threads."
    )
    max_bytes_per_sec: float = option(0.0, "Receive no faster than this; 0: no limit.")
    max_secs_per_segment: float = option(300.0, "Give up a segment after this long.")
    n_retries: int = option(
        3, "Ask again this often after errors that may pass, such as a lost connection."
    )
    backoff_secs: float = option(
        30.0, "Wait this long before the first retry, twice as long before the next."
    )
    cookies: str = option("", "Cookies file in Netscape's format, for yt-dlp.")
    proxy: str = option("", "Proxy for yt-dlp, such as socks5://127.0.0.1:1080.")
    max_disk_gb: float = option(0.0, "Stop before the files exceed this; 0: no limit.")


@dataclasses.dataclass(frozen=True)
class VoiceOptions:
    """What only voice records need."""

    audio_encoding: Literal["pcm", "flac"] = option(
        "pcm", "16-bit samples as they are, or FLAC (about 60 % of the bytes)."
    )
    max_audio_secs: float = option(
        6.0, "Keep this much of a clip's sound (Sec. 3: 6 s); 0 keeps all."
    )


@dataclasses.dataclass(frozen=True)
class FaceOptions:
    """What only face records need."""

    filter_faces: bool = option(
        True, "Leave out photographs that are not frontal, neutral, sharp, coloured."
    )
    min_photographs: int = option(
        3, "Average the faces of an identity with this many photographs; 0 never."
    )
    n_morphs: int = option(
        0, "Random morphs between near neighbours, added to the training split."
    )
    morph_neighbours: int = option(
        20, "Nearest faces among which the partner of a morph is drawn."
    )
    morph_seed: int = option(0, "Decides which faces are morphed, and how far.")


@dataclasses.dataclass(frozen=True)
class FilterOptions:
    """Which photographs are good enough (`data_prep.face_normalization.measure`).

    The limits are not in the papers: they follow from the spread of these measures in
    frontal studio portraits and in face crops from videos.
    """

    max_yaw: float = option(
        0.15, "Nose tip off the middle of the eyes, in eye distances."
    )
    min_pitch: float = option(0.32, "Eyes to nose by eyes to chin; less looks up.")
    max_pitch: float = option(0.48, "Eyes to nose by eyes to chin; more looks down.")
    max_roll_degrees: float = option(30.0, "Tilt of the head; less is undone.")
    max_mouth_opening: float = option(
        0.12, "Gap between the inner lips, in eye distances."
    )
    max_mouth_width: float = option(1.02, "Mouth width in eye distances; more smiles.")
    max_corner_lift: float = option(
        0.07, "Mouth corners above the mouth's middle, in eye distances; more smiles."
    )
    min_eye_distance_px: float = option(30.0, "Eye distance in the photograph.")
    min_sharpness: float = option(
        12.0, "Variance of the Laplacian in the 224 px crop's middle; less is blurred."
    )
    min_chroma: float = option(
        9.0, "Mean difference of the largest and smallest colour; less is monochrome."
    )
    max_bridge_edge: float = option(
        0.24,
        "Strongest horizontal edge on the bridge of the nose, as a share of the "
        "face's contrast; more wears glasses (finds four in five, and takes one bare "
        "face in eight for one). 0 does not ask.",
    )
