"""Generates talking people, so that everything runs with nothing downloaded.

    python -m data_prep.sample_people --output_dir=/tmp/sample

Voices are spoken by espeak-ng (`pip install -e '.[sample]'`), faces are rendered; both
follow from shared traits. See `sample_dataset.py` for the files that are written.
"""

import dataclasses

from speech2face import flag_config
from speech2face.config import option


@dataclasses.dataclass(frozen=True)
class SamplePeopleFlags:
    """The flags of this command."""

    output_dir: str = option(
        dataclasses.MISSING, "New folder for the media, faces and manifests."
    )
    n_people: int = option(60, "People; 70 % train, 15 % val, 15 % test.")
    clips_per_person: int = option(4, "Video clips of each person.")
    seed: int = option(0, "The same seed makes the same people.")
    n_workers: int = option(0, "Processes; 0 for one a core.")


def main(_):
    """Reads the flags and writes the folder."""
    from data_prep import sample_dataset

    args = flag_config.read(SamplePeopleFlags)
    config = sample_dataset.SampleConfig(
        args.n_people, args.clips_per_person, args.seed
    )
    is_new = sample_dataset.generate(config, args.output_dir, args.n_workers)
    state = "written to" if is_new else "there already:"
    print(f"{args.n_people} people {state} {args.output_dir}")


if __name__ == "__main__":
    flag_config.define(SamplePeopleFlags)
    flag_config.run(main)
