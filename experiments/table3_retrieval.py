"""Table 3: how often is the true face among the nearest K of a gallery?

    python -m experiments.table3_retrieval --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results

The paper reports recall at K = 1, 2, 5, 10 by L2, L1 and cosine, for 3 and 6 seconds of
audio, among 5,000 faces. Here both readings of K (a rank, a percentage of the gallery)
have their chance and a bootstrap interval over speakers; with the median rank, the
whole CMC curve, and a measure of hubs. Faces that several clips share are once in the
gallery.
"""

from experiments.options import Inputs
from speech2face import flag_config


def main(inputs: Inputs) -> None:
    """Measures, prints and writes."""
    from experiments import common, feature_tables
    from experiments.material import Material

    common.finish(feature_tables.run_table_3(Material(inputs)), inputs.output_dir)


if __name__ == "__main__":
    flag_config.run(main, Inputs)
