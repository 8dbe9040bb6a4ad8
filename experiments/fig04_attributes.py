"""Fig. 4: gender, age and ethnicity of S2F against those of the original face.

    python -m experiments.fig04_attributes --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results --provider=labels

The paper shows row-normalised confusion matrices by Face++, 94 % agreement on gender,
and how AVSpeech is distributed. Here: three providers (`experiments.attributes`);
counts; balanced agreement and Cohen's kappa beside the agreement; chance; the same for
F2F; and the distribution of the measured clips. Ethnicity is used only in aggregate,
and only in the terms of the data set or the service.
"""

from experiments.options import Inputs, Provider
from speech2face import flag_config


def main(inputs: Inputs, provider: Provider) -> None:
    """Measures, prints and writes."""
    from experiments import attribute_agreement, common
    from experiments.material import Material

    result = attribute_agreement.run_fig04(
        Material(inputs), provider.provider, provider.send_faces_to_facepp
    )
    common.finish(result, inputs.output_dir)


if __name__ == "__main__":
    flag_config.run(main, Inputs, Provider)
