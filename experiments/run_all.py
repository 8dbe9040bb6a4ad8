"""Every table and figure of the paper, one after the other, and a page of them all.

    python -m experiments.run_all --data_dir=data/avspeech --run_dir=runs/paper \\
        --output_dir=results --run_dirs=runs/no_bn_3s,runs/bn_3s,runs/paper

Writes the files of each experiment and index.html, which reads like the paper's
Section 4. What does not apply (no labels, no runs to compare) is named with its reason.
Predictions are made once; started again, it does not make them again.
"""

from experiments.options import Inputs, Provider, Runs
from speech2face import flag_config


def main(inputs: Inputs, runs: Runs, provider: Provider) -> None:
    """Runs them all, then writes the page."""
    from experiments import all_results

    outcomes = all_results.run(inputs, runs, provider)
    n_done = sum(outcome.result is not None for outcome in outcomes)
    page = all_results.write_page(outcomes, inputs)
    print(f"{n_done} of {len(outcomes)} experiments; open {page}")
    if not n_done:
        raise ValueError("no experiment could be run; the reasons are above")


if __name__ == "__main__":
    flag_config.run(main, Inputs, Runs, Provider)
