"""Measures a model on a split: Tables 2 and 3 of the paper.

    python -m speech2face.evaluate --data_dir=data/avspeech --split=test \\
        --run_dir=runs/paper --output_dir=results/paper

Without --run_dir it measures the compact model that ships. The clips are 5,000 drawn
by --sample_seed, the gallery of Table 3. Writes predictions.npz and metrics.json.
"""

import dataclasses

from speech2face.artifacts.run_folder import check_model_folder
from speech2face.data import dataset_info
from speech2face.inference.clip_sample import check_size
from speech2face.options import Options, option, required, run_command
from speech2face.paper import CLIP_SECS, N_TEST_CLIPS


@dataclasses.dataclass(frozen=True)
class EvaluateOptions(Options):
    """Model and data to measure."""

    data_dir: str = required(
        "Voice data set.",
        exists="folder",
        bucket=True,
    )
    output_dir: str = required(
        "Folder for the results.",
        bucket=True,
    )
    run_dir: str = option(
        "",
        "Run folder or bundle; by default the compact model that ships.",
        exists="folder",
        bucket=True,
    )
    split: str = option("test", "Split to measure.")
    n_examples: int = option(
        N_TEST_CLIPS,
        "Random clips of a larger split (Tables 2 and 3: 5,000); 0 takes all.",
        minimum=0,
        maximum=1_000_000_000,
    )
    sample_seed: int = option(0, "Draws the clips.", minimum=0, maximum=2**31 - 1)
    allow_large: bool = option(False, "Measure more than 20,000 clips without asking.")
    clip_secs: float = option(
        CLIP_SECS,
        "Seconds of each clip that the model hears (Tables 2 and 3: 3 and 6).",
        minimum=0.1,
        maximum=600,
    )


def main(options: EvaluateOptions) -> None:
    """Evaluates, and prints the main numbers."""
    check(options)
    from speech2face.inference import evaluation
    from speech2face.inference.model import Speech2Face

    result = evaluation.evaluate(
        Speech2Face.load(options.run_dir or None),
        options.data_dir,
        options.split,
        options.output_dir,
        options.clip_secs,
        options.n_examples,
        options.sample_seed,
    )
    retrieval = result["retrieval"]["cos"]
    print(
        f"{result['n']} clips: angle "
        f"{result['feature_similarity']['cos_deg']['mean']:.2f} deg, recall@10 "
        f"{retrieval['recall_strict']['10']:.3f} (chance "
        f"{retrieval['chance']['recall_strict']['10']:.3f}), median rank "
        f"{retrieval['median_rank']:.0f}; details in {options.output_dir}"
    )


def check(options: EvaluateOptions) -> None:
    """Checks what can be known before TensorFlow is imported.

    Raises:
      FileNotFoundError: a folder is not what its option expects.
      UserError: there is no such split, or it is too large.
    """
    info = dataset_info.read(options.data_dir, kind="voice")
    info.shards(options.split)
    check_model_folder(options.run_dir)
    check_size(
        info.n_examples(options.split),
        options.n_examples,
        info.recognizer.feature_dim,
        is_allowed=options.allow_large,
        may_ask=True,
    )


if __name__ == "__main__":
    run_command(main, EvaluateOptions)
