"""Fig. 11: faces of another gender, ethnicity or age than the speaker's.

    python -m experiments.fig11_failures --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results --provider=labels

The paper shows typical mismatches of each kind. Here each kind has its frequency, and
the pictures are ranked (age) or the first of the sample, not chosen.
"""

from experiments.options import Inputs, Provider
from speech2face import flag_config


def main(inputs: Inputs, provider: Provider) -> None:
    """Measures, prints and writes."""
    from experiments import attribute_agreement, common
    from experiments.material import Material

    result = attribute_agreement.run_fig11(
        Material(inputs), provider.provider, provider.send_faces_to_facepp
    )
    common.finish(result, inputs.output_dir)


if __name__ == "__main__":
    flag_config.run(main, Inputs, Provider)
