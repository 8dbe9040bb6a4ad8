"""Flags of the record builders. Nothing heavy is imported here: `--help` is quick."""

import dataclasses
from typing import Literal

from speech2face.config import option


@dataclasses.dataclass(frozen=True)
class JobOptions:
    """What both builders ask for: inputs, output, recognizer, and how to run."""

    manifest: str = option(
        "", "CSV with one clip a row (columns: data_prep/manifest.py). Required."
    )
    media_dir: str = option(
        "", "Folder that paths in the manifest are relative to; '' is the manifest's."
    )
    output_dir: str = option(
        "",
        "Folder for the shards, dataset.json, report.json and quarantine.csv; on a "
        "cluster, one that every worker sees. Required.",
    )
    recognizer: Literal["vgg_face", "dlib"] = option(
        "vgg_face", "Makes the face features (Sec. 3: VGG-Face fc7)."
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
        0, "Worker processes on this machine; 0 is one for each core."
    )
    beam_options: str = option(
        "",
        "Pipeline options of Apache Beam in one string, such as "
        "'--runner=FlinkRunner --flink_master=host:8081'; '' runs on this machine.",
    )


@dataclasses.dataclass(frozen=True)
class VoiceOptions:
    """What only voice records need."""

    audio_encoding: Literal["pcm", "flac"] = option(
        "pcm", "16-bit samples as they are, or FLAC (about 60 % of the bytes)."
    )
    max_audio_secs: float = option(
        6.0, "Keep this much of a clip's sound (Sec. 3: 6 s); 0 keeps all."
    )
