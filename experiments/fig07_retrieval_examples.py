"""Fig. 7: the five faces nearest to a voice.

    python -m experiments.fig07_retrieval_examples --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results

The paper shows examples from 5,000 faces, the last one a miss. Here they are a seeded
draw; the true face is framed where it is among the five, and its rank is given.
"""

import dataclasses

from experiments.options import Inputs
from speech2face import flag_config
from speech2face.config_fields import option


@dataclasses.dataclass(frozen=True)
class RetrievalOptions:
    """How many clips to show."""

    n_shown: int = option(6, "How many random clips to show.")


def main(inputs: Inputs, options: RetrievalOptions) -> None:
    """Measures, prints and writes."""
    from experiments import common, face_sheets
    from experiments.material import Material

    material = Material(inputs)
    result = face_sheets.run_fig07(material, options.n_shown)
    common.finish(result, inputs.output_dir)


if __name__ == "__main__":
    flag_config.run(main, Inputs, RetrievalOptions)
