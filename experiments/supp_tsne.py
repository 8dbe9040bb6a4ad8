"""Supplementary: t-SNE of the features, true and predicted, coloured by a label.

    python -m experiments.supp_tsne --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results --color_by=gender

The paper shows maps of its predicted features coloured by attribute. Here the same of
the true features and of f_dec, and a number that a map cannot give: how often a clip's
five nearest neighbours have its label, beside chance.
"""

import dataclasses

from experiments.options import Inputs
from speech2face import flag_config
from speech2face.config_fields import option


@dataclasses.dataclass(frozen=True)
class MapOptions:
    """How the map is coloured."""

    color_by: str = option(
        "", "Label; by default gender, age, ethnicity or language, the first there is."
    )


def main(inputs: Inputs, options: MapOptions) -> None:
    """Maps, prints and writes."""
    from experiments import common, feature_map
    from experiments.material import Material

    result = feature_map.run(Material(inputs), options.color_by)
    common.finish(result, inputs.output_dir)


if __name__ == "__main__":
    flag_config.run(main, Inputs, MapOptions)
