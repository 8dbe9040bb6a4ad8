"""Path of the repository."""

import pathlib

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
