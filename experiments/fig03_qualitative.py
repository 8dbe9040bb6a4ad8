"""Fig. 3: true face, F2F and S2F side by side.

    python -m experiments.fig03_qualitative --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results

The paper highlights successful results. Here the clips are a seeded draw, one of each
speaker, or those that --clip_ids names.
"""

import dataclasses
from typing import Tuple

from experiments.options import Inputs
from speech2face import flag_config
from speech2face.config_fields import option


@dataclasses.dataclass(frozen=True)
class QualitativeOptions:
    """Which clips to show."""

    n_shown: int = option(12, "How many random clips to show.")
    clip_ids: Tuple[str, ...] = option((), "Show these clips instead.")


def main(inputs: Inputs, options: QualitativeOptions) -> None:
    """Measures, prints and writes."""
    from experiments import common, face_sheets
    from experiments.material import Material

    material = Material(inputs)
    result = face_sheets.run_fig03(material, options.n_shown, options.clip_ids)
    common.finish(result, inputs.output_dir)


if __name__ == "__main__":
    flag_config.run(main, Inputs, QualitativeOptions)
