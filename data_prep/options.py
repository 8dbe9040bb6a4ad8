"""Options that both record builders share.

An option of one command stands beside the job that reads it.
"""

import dataclasses
import os
from typing import Literal, NamedTuple

from speech2face.config import InferencePrecision
from speech2face.options import Options, option, required

# TensorFlow and OpenMP would start a thread for each core in every worker. And the last
# bits of a network's sums depend on the number of threads: records would depend on the
# number of workers and of cores (docs/decisions/resumable-data-jobs.md).
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}


class RecognizerChoice(NamedTuple):
    """A face recognizer, before its weights are loaded.

    Attributes:
      name: see `speech2face.recognizers.loading`.
      weights: its weights file; '' for dlib's.
      precision: arithmetic of its convolutions.
    """

    name: str
    weights: str
    precision: InferencePrecision = "float32"


@dataclasses.dataclass(frozen=True)
class JobOptions(Options):
    """Inputs, output and recognizer of a record job, and how it runs."""

    output_dir: str = required(
        "Folder for the shards, dataset.json, report.json and quarantine.csv; on a "
        "cluster, one that every worker sees.",
        bucket=True,
    )
    manifest: str = option(
        "",
        "CSV, one clip a row (columns: data_prep/clips/manifest.py), or, with another "
        "--layout, the list that belongs to it.",
        exists="file",
        bucket=True,
    )
    media_dir: str = option(
        "",
        "Folder of the media; '' takes the manifest's own folder. Paths in the "
        "manifest are relative to it.",
        exists="folder",
        bucket=True,
    )
    recognizer: Literal["vgg_face", "vgg_face_relu", "dlib"] = option(
        "vgg_face",
        "Makes the face features (Sec. 3: VGG-Face fc7); 'vgg_face_relu' takes fc7 "
        "after its ReLU (docs/decisions/face-feature.md).",
    )
    vgg_face_weights: str = option(
        "",
        "Weights file of VGG-Face, as speech2face.import_vgg_face writes it.",
        exists="file",
    )
    recognizer_precision: InferencePrecision = option(
        "float32",
        "Arithmetic of VGG-Face's convolutions. 'bfloat16' took half the time on a "
        "processor with AVX512_BF16; one without such instructions emulates it "
        "(docs/decisions/recognizer-precision.md).",
    )
    n_val: int = option(
        5000,
        "About how many clips go to the validation split, of those that no list and no "
        "column gives a split; at most a tenth of them. 0: none.",
        minimum=0,
        maximum=1_000_000_000,
    )
    n_test: int = option(
        5000,
        "About how many clips go to the test split, in the same way. Nothing reads the "
        "test split of face records.",
        minimum=0,
        maximum=1_000_000_000,
    )
    n_shards: int = option(
        0,
        "Shards of each split; 0 makes shards of about 256 MB.",
        minimum=0,
        maximum=100_000,
    )
    clips_per_chunk: int = option(
        8,
        "Clips that go through the stages together: the recognizer's batch, and what "
        "each worker repeats after a kill.",
        minimum=1,
        maximum=1_000_000,
    )
    n_workers: int = option(
        0,
        "Worker processes on this machine; 0 starts one for each core, but fewer for a "
        "few clips. 1 runs the stages in this process, which nothing watches.",
        minimum=0,
        maximum=1024,
    )
    max_secs_per_clip: float = option(
        600.0,
        "Stop a worker that spends longer than this on one clip, and reject the clip.",
        above=0,
        maximum=86_400,
    )
    beam_options: str = option(
        "",
        "Pipeline options of Apache Beam in one string, such as "
        "'--runner=FlinkRunner --flink_master=host:8081'; '' runs on this machine.",
    )

    @property
    def recognizer_choice(self) -> RecognizerChoice:
        """The recognizer that makes the features."""
        return RecognizerChoice(
            self.recognizer, self.vgg_face_weights, self.recognizer_precision
        )


def use_one_thread() -> None:
    """Gives TensorFlow one thread in this process; it reads that when it starts."""
    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)
