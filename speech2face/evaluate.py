"""Measures a model on a split: Tables 2 and 3 of the paper.

    python -m speech2face.evaluate --data_dir=data/avspeech --split=test \\
        --run_dir=runs/paper --output_dir=results/paper

Without --run_dir it measures the compact model that ships. Writes predictions.npz and
metrics.json, which `experiments` reads.
"""

import dataclasses

from speech2face import flag_config
from speech2face.config_fields import option, required


@dataclasses.dataclass(frozen=True)
class EvaluateOptions:
    """What to measure."""

    data_dir: str = required("Voice data set.")
    output_dir: str = required("Folder for the results.")
    run_dir: str = option(
        "", "Run folder or bundle; by default the compact model that ships."
    )
    split: str = option("test", "Split to measure.")
    n_examples: int = option(
        0, "Random clips of a larger split (Tables 2 and 3: 5,000); 0 for all."
    )
    clip_secs: float = option(
        6.0, "Seconds of each clip that the model hears (Tables 2 and 3: 3 and 6)."
    )


def main(options: EvaluateOptions) -> None:
    """Evaluates, and prints the main numbers."""
    from speech2face import evaluation
    from speech2face.inference import Speech2Face

    result = evaluation.evaluate(
        Speech2Face.load(options.run_dir),
        options.data_dir,
        options.split,
        options.output_dir,
        options.clip_secs,
        options.n_examples,
    )
    retrieval = result["retrieval"]["cos"]
    print(
        f"{result['n']} clips: angle "
        f"{result['feature_similarity']['cos_deg']['mean']:.2f} deg, recall@10 "
        f"{retrieval['recall_strict']['10']:.3f} (chance "
        f"{retrieval['chance']['recall_strict']['10']:.3f}), median rank "
        f"{retrieval['median_rank']:.0f}; details in {options.output_dir}"
    )


if __name__ == "__main__":
    flag_config.run(main, EvaluateOptions)
