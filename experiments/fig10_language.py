"""Fig. 10: one speaker in two languages.

    python -m experiments.fig10_language --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results

The paper shows a speaker whose face changes with the language and one whose does not.
Here: all speakers whose clips differ in the label `language` (or --compared_label),
the angle between their features, and that between clips of the same language.
"""

import dataclasses

from experiments.options import Inputs
from speech2face import flag_config
from speech2face.config_fields import option


@dataclasses.dataclass(frozen=True)
class LanguageOptions:
    """What differs between the clips of a speaker."""

    compared_label: str = option("language", "Label whose values are compared.")
    n_shown: int = option(6, "How many random speakers to show.")


def main(inputs: Inputs, options: LanguageOptions) -> None:
    """Measures, prints and writes."""
    from experiments import common, face_sheets
    from experiments.material import Material

    material = Material(inputs)
    result = face_sheets.run_fig10(material, options.compared_label, options.n_shown)
    common.finish(result, inputs.output_dir)


if __name__ == "__main__":
    flag_config.run(main, Inputs, LanguageOptions)
