"""Generates talking people, so that everything runs with nothing downloaded.

    python -m data_prep.sample_people --output_dir=people

Voices are spoken by espeak-ng (`pip install -e '.[sample]'`) and faces are rendered;
both follow from shared traits. `data_prep/sample/dataset.py` lists the files that are
written.
"""

import dataclasses

from speech2face.options import Options, option, required, run_command


@dataclasses.dataclass(frozen=True)
class SamplePeopleFlags(Options):
    """The flags of this command."""

    output_dir: str = required("New folder for the media, faces and manifests.")
    n_people: int = option(
        120,
        "People who speak; 70 % train, 15 % val, 15 % test, women and men alike.",
        minimum=3,
        maximum=1_000_000,
    )
    clips_per_person: int = option(
        2, "Video clips of each of them.", minimum=1, maximum=10_000
    )
    n_silent_people: int = option(
        200,
        "More people, with photographs only: a face decoder needs more faces than "
        "voices. All of them train.",
        minimum=0,
        maximum=1_000_000,
    )
    photographs_per_person: int = option(
        1, "Photographs of each person.", minimum=1, maximum=10_000
    )
    seed: int = option(
        0, "The same seed makes the same people.", minimum=0, maximum=2**31 - 1
    )
    n_workers: int = option(0, "Processes; 0 for one a core.", minimum=0, maximum=1024)


def main(options: SamplePeopleFlags) -> None:
    """Writes the folder, or says that it is there already."""
    # SciPy and PyAV take half a second to import; --help should not wait for them.
    from data_prep.sample import dataset

    config = dataset.SampleConfig(
        n_people=options.n_people,
        clips_per_person=options.clips_per_person,
        seed=options.seed,
        n_silent_people=options.n_silent_people,
        photographs_per_person=options.photographs_per_person,
    )
    is_new = dataset.generate(config, options.output_dir, options.n_workers)
    state = "written to" if is_new else "there already:"
    n_people = options.n_people + options.n_silent_people
    print(f"{n_people} people {state} {options.output_dir}")


if __name__ == "__main__":
    run_command(main, SamplePeopleFlags)
