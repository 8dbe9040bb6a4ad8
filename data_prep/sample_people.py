"""Generates talking people, so that everything runs with nothing downloaded.

    python -m data_prep.sample_people --output_dir=/tmp/sample

Voices are spoken by espeak-ng (`pip install -e '.[sample]'`), faces are rendered; both
follow from shared traits. See `sample_dataset.py` for the files that are written.
"""

import dataclasses

from speech2face import flag_config
from speech2face.config_fields import option, required


@dataclasses.dataclass(frozen=True)
class SamplePeopleFlags:
    """The flags of this command."""

    output_dir: str = required("New folder for the media, faces and manifests.")
    n_people: int = option(60, "People; 70 % train, 15 % val, 15 % test.")
    clips_per_person: int = option(4, "Video clips of each person.")
    seed: int = option(0, "The same seed makes the same people.")
    n_workers: int = option(0, "Processes; 0 for one a core.")


def main(options: SamplePeopleFlags) -> None:
    """Reads the flags and writes the folder."""
    from data_prep import sample_dataset

    config = sample_dataset.SampleConfig(
        options.n_people, options.clips_per_person, options.seed
    )
    is_new = sample_dataset.generate(config, options.output_dir, options.n_workers)
    state = "written to" if is_new else "there already:"
    print(f"{options.n_people} people {state} {options.output_dir}")


if __name__ == "__main__":
    flag_config.run(main, SamplePeopleFlags)
