"""Table 2: how near is the feature predicted from speech to that of the true face?

    python -m experiments.table2_feature_similarity --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results

The paper reports the mean and standard deviation of the angle, L2 and L1 distance over
5,000 test clips, for 3 and 6 seconds of audio. Here each also has a bootstrap interval
over speakers and the distance to another clip's face, in the paper's scale and in the
recognizer's own.
"""

from experiments.options import Inputs
from speech2face import flag_config


def main(inputs: Inputs) -> None:
    """Measures, prints and writes."""
    from experiments import common, feature_tables
    from experiments.material import Material

    common.finish(feature_tables.run_table_2(Material(inputs)), inputs.output_dir)


if __name__ == "__main__":
    flag_config.run(main, Inputs)
