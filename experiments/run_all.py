"""Every table and figure of the paper, one after the other, and a page of them all.

    python -m experiments.run_all --data_dir=data/avspeech --run_dir=runs/paper \\
        --output_dir=results --run_dirs=runs/no_bn_3s,runs/bn_3s,runs/paper

Writes the files of each experiment and index.html, which reads like the paper's
Section 4. An experiment that does not apply (no labels, no runs to compare) is listed
with the reason. Predictions are made once; rerun the same command to reuse them.
"""

import dataclasses
import pathlib
import time
from collections.abc import Sequence

from experiments import (
    ablations,
    fig03_qualitative,
    fig04_attributes,
    fig05_craniofacial,
    fig06_duration,
    fig07_retrieval_examples,
    fig08_convergence,
    fig09_consistency,
    fig10_language,
    fig11_failures,
    fig12_cartoon,
    supp_durations,
    supp_face_decoder,
    supp_pixel_loss,
    supp_random_results,
    supp_sf2f_protocol,
    supp_tsne,
    table1_architecture,
    table2_feature_similarity,
    table3_retrieval,
)
from experiments.lib import results
from experiments.lib.experiment import Experiment, Section
from experiments.lib.inputs import Inputs, Provider, RecognizerFile, Runs
from experiments.lib.material import Material
from experiments.lib.results import Result
from speech2face import files
from speech2face.errors import UserError
from speech2face.messages import counted
from speech2face.options import run_command
from speech2face.web import html

PAGE_FILE = "index.html"

# In the order of the page.
EXPERIMENTS: tuple[Experiment, ...] = (
    table1_architecture.EXPERIMENT,
    fig03_qualitative.EXPERIMENT,
    supp_face_decoder.EXPERIMENT,
    supp_random_results.EXPERIMENT,
    fig04_attributes.EXPERIMENT,
    fig05_craniofacial.EXPERIMENT,
    table2_feature_similarity.EXPERIMENT,
    table3_retrieval.EXPERIMENT,
    fig07_retrieval_examples.EXPERIMENT,
    supp_sf2f_protocol.EXPERIMENT,
    supp_tsne.EXPERIMENT,
    fig06_duration.EXPERIMENT,
    supp_durations.EXPERIMENT,
    fig08_convergence.EXPERIMENT,
    ablations.EXPERIMENT,
    supp_pixel_loss.EXPERIMENT,
    fig09_consistency.EXPERIMENT,
    fig10_language.EXPERIMENT,
    fig11_failures.EXPERIMENT,
    fig12_cartoon.EXPERIMENT,
)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of an experiment, or the reason why there is none."""

    name: str
    section: Section
    secs: float
    result: Result | None = None
    reason: str = ""

    @property
    def table(self) -> list[list[str]]:
        """Header and rows of the result as text."""
        return results.table(self.result) if self.result else []

    @property
    def n_keys(self) -> int:
        """Number of columns of text in the table."""
        if self.result is None or not self.result.rows:
            return 0
        return len(self.result.rows[0].keys)


def run(
    inputs: Inputs,
    runs: Runs,
    provider: Provider,
    recognizer_file: RecognizerFile | None = None,
) -> list[Outcome]:
    """Runs every experiment and writes its files as soon as it is done.

    An experiment that does not apply (no labels, no runs), or fails because of a file,
    an option or the memory, is listed with the reason, and the next one runs.

    Args:
      inputs: the model and the clips.
      runs: training runs to compare.
      provider: source of the attributes.
      recognizer_file: reads decoded faces back.

    Raises:
      UserError: the model cannot be measured on the clips at all.
    """
    material = Material(inputs)
    material.predictions()  # a wrong data set or model ends here, not 20 times
    given = {
        Inputs: inputs,
        Material: material,
        Provider: provider,
        RecognizerFile: recognizer_file or RecognizerFile(),
        Runs: runs,
    }
    outcomes = []
    for experiment in EXPERIMENTS:
        # Each experiment names the types that its `run` takes, in order.
        arguments = [given[kind] for kind in experiment.takes]
        outcomes.append(_run_one(experiment, arguments, inputs.output_dir))
    return outcomes


def _run_one(
    experiment: Experiment, arguments: Sequence[object], output_dir: str
) -> Outcome:
    start_secs = time.monotonic()
    result, reason = None, ""
    try:
        result = experiment.run(*arguments)
        # At once: what is done survives a later failure.
        results.write(result, output_dir)
    except (UserError, OSError) as error:  # a bug stops the run with its traceback
        reason = " ".join(str(error).split())
    except MemoryError as error:  # numpy's too; the next experiment may need less
        reason = f"out of memory ({error}); take fewer clips with --n_examples"
    secs = time.monotonic() - start_secs
    outcome = f": not run: {reason}" if reason else ""
    print(f"{experiment.name} ({secs:.0f} s){outcome}", flush=True)
    return Outcome(experiment.name, experiment.section, secs, result, reason)


def write_page(outcomes: Sequence[Outcome], inputs: Inputs) -> pathlib.Path:
    """Writes index.html beside the results; returns its path."""
    page = html.render(
        "results.html",
        package="experiments",
        title="Speech2Face: results",
        model=inputs.run_dir or "compact, as shipped",
        inputs=inputs,
        sections={
            section.value: [one for one in outcomes if one.section is section]
            for section in Section
        },
    )
    path = pathlib.Path(inputs.output_dir) / PAGE_FILE
    files.write_atomically(path, page.encode())
    return path


def main(
    inputs: Inputs, runs: Runs, provider: Provider, recognizer_file: RecognizerFile
) -> None:
    """Runs all experiments, then writes the page.

    Args:
      inputs: model, data set, number of clips and output folder.
      runs: run folders of the experiments that compare trainings.
      provider: classifier of gender, age and ethnicity.
      recognizer_file: VGG-Face's weights, for models that need them.

    Raises:
      UserError: no experiment could be run.
    """
    outcomes = run(inputs, runs, provider, recognizer_file)
    n_done = sum(outcome.result is not None for outcome in outcomes)
    page = write_page(outcomes, inputs)
    print(f"{n_done} of {counted(len(outcomes), 'experiment')}; open {page}")
    if not n_done:
        raise UserError("no experiment could be run; the reasons are above")


if __name__ == "__main__":
    run_command(main, Inputs, Runs, Provider, RecognizerFile)
