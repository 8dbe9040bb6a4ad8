"""Fig. 9: faces from different speech of one person.

    python -m experiments.fig09_consistency --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results

The paper shows segments of one video and of two. Here the speakers are a seeded draw of
those with several clips, and numbers go with the pictures: the angle between features
within a clip, within a speaker and between speakers, and the ROC area that tells them
apart.
"""

import dataclasses

from experiments.options import Inputs
from speech2face import flag_config
from speech2face.config_fields import option


@dataclasses.dataclass(frozen=True)
class ConsistencyOptions:
    """How many speakers to show."""

    n_shown: int = option(6, "How many random speakers to show.")


def main(inputs: Inputs, options: ConsistencyOptions) -> None:
    """Measures, prints and writes."""
    from experiments import common, face_sheets
    from experiments.material import Material

    material = Material(inputs)
    result = face_sheets.run_fig09(material, options.n_shown)
    common.finish(result, inputs.output_dir)


if __name__ == "__main__":
    flag_config.run(main, Inputs, ConsistencyOptions)
