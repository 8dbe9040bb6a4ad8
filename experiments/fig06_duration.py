"""Fig. 6: S2F from 3 and from 6 seconds of the same clips.

    python -m experiments.fig06_duration --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results

The paper shows that 6 seconds capture the face better, with one model. Here the angle
to the true feature goes with it, and the gain clip by clip with its interval.
"""

import dataclasses

from experiments.options import Inputs
from speech2face import flag_config
from speech2face.config_fields import option


@dataclasses.dataclass(frozen=True)
class DurationOptions:
    """How many clips to show."""

    n_shown: int = option(8, "How many random clips to show.")


def main(inputs: Inputs, options: DurationOptions) -> None:
    """Measures, prints and writes."""
    from experiments import common, face_sheets
    from experiments.material import Material

    material = Material(inputs)
    result = face_sheets.run_fig06(material, options.n_shown)
    common.finish(result, inputs.output_dir)


if __name__ == "__main__":
    flag_config.run(main, Inputs, DurationOptions)
