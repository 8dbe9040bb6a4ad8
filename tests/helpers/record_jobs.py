"""A record job on generated people: its options, and the records that it made."""

import dataclasses
import pathlib

from data_prep.options import JobOptions
from speech2face.data import dataset_info, records

N_PEOPLE = 4


def names_in(folder):
    return sorted(path.name for path in pathlib.Path(folder).iterdir())


def options_for(manifest, sample, output_dir, **changes):
    base = JobOptions(
        manifest=str(manifest),
        output_dir=str(output_dir),
        media_dir=str(sample),
        recognizer="dlib",
        n_workers=1,
        clips_per_chunk=5,
    )
    return dataclasses.replace(base, **changes)


def examples_of(output_dir, iterate=records.iterate_voice_examples):
    info = dataset_info.read(output_dir)
    return {e.clip_id: e for split in info.splits for e in iterate(output_dir, split)}
