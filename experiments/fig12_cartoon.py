"""Fig. 12: cartoons of the faces from voices.

    python -m experiments.fig12_cartoon --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results

The paper feeds its faces to a phone's keyboard app, which draws a personal emoji. That
app is closed; here OpenCV draws the cartoon (flat colours, dark lines), of S2F, of F2F
and of the true face.
"""

import dataclasses

from experiments.options import Inputs
from speech2face import flag_config
from speech2face.config_fields import option


@dataclasses.dataclass(frozen=True)
class CartoonOptions:
    """How many clips to show."""

    n_shown: int = option(6, "How many random clips to show.")


def main(inputs: Inputs, options: CartoonOptions) -> None:
    """Draws and writes."""
    from experiments import cartoon, common
    from experiments.material import Material

    result = cartoon.run(Material(inputs), options.n_shown)
    common.finish(result, inputs.output_dir)


if __name__ == "__main__":
    flag_config.run(main, Inputs, CartoonOptions)
