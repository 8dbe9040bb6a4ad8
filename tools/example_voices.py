"""Speaks the example voices of the web page, the files in `speech2face/examples`.

    python -m tools.example_voices --output_dir=speech2face/examples

A maintainer runs it after a change to the generated voices (`data_prep.sample.voices`,
or another version of espeak-ng), and commits the files; a test compares these with what
it speaks. It needs the extra `sample` and takes some seconds. The voices belong to four
of the generated people, that is, to nobody.
"""

import dataclasses

from speech2face.options import Options, required, run_command


@dataclasses.dataclass(frozen=True)
class ExampleVoicesOptions(Options):
    """Output folder."""

    output_dir: str = required("Folder for one Ogg file a voice.")


def main(options: ExampleVoicesOptions) -> None:
    """Speaks the voices and writes them."""
    from data_prep.sample import voices

    names = voices.write_examples(options.output_dir)
    print(f"{', '.join(names)} in {options.output_dir}")


if __name__ == "__main__":
    run_command(main, ExampleVoicesOptions)
