"""Speaks the example voices of the web page, those of `speech2face/examples`.

    python -m data_prep.example_voices --output_dir=speech2face/examples

They belong to four of the generated people (`data_prep.sample_people`), hence to
nobody, and are the same on every machine.
"""

import dataclasses

from speech2face import flag_config
from speech2face.config_fields import required


@dataclasses.dataclass(frozen=True)
class ExampleVoicesOptions:
    """Where to write."""

    output_dir: str = required("Folder for one Ogg file a voice.")


def main(options: ExampleVoicesOptions) -> None:
    """Speaks and writes."""
    from data_prep import sample_voices

    names = sample_voices.write_examples(options.output_dir)
    print(f"{', '.join(names)} in {options.output_dir}")


if __name__ == "__main__":
    flag_config.run(main, ExampleVoicesOptions)
