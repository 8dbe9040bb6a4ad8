"""Would the tests notice? Small mutations of the modules that carry the paper.

    python -m tools.mutate --n_mutants=300 --output=build/mutants.json

Rerun the same command to resume: mutants in the output are not run again.

Each mutant (`tools.mutants`) runs against its module's own tests, in a fork of one
process that has imported TensorFlow, so a mutant costs what its tests cost and not an
import. A mutant that makes a test fail, or hang, is caught; one that passes survives
and is printed with its line: it needs a test, or a reason why it changes no result.
Linux and macOS (`os.fork`).
"""

import dataclasses
import json
import os
import pathlib
import random
import resource
import signal
import sys
import tempfile
import time
from typing import Any, NamedTuple

from tqdm import tqdm

from speech2face import files, json_codec
from speech2face.errors import UserError
from speech2face.options import Options, option, run_command
from tools.mutants import ROOT, Mutant, mutations, source_of
from tools.mutation_targets import TARGETS


class Verdict(NamedTuple):
    """Verdict of the tests on a mutant.

    Attributes:
      outcome: 'caught', 'timeout' or 'survived'.
      secs: processor time that they took.
      reason: what pytest says of the test that failed.
    """

    outcome: str
    secs: float
    reason: str


_LOG = "log"  # of pytest, in a mutant's folder


@dataclasses.dataclass(frozen=True)
class MutationOptions(Options):
    """Number of mutants, and the modules to mutate."""

    n_mutants: int = option(
        300, "Mutants, drawn evenly over the modules.", minimum=1, maximum=1_000_000
    )
    n_slow: int = option(
        4,
        "Most mutants of a module that only slow tests judge.",
        minimum=1,
        maximum=1_000_000,
    )
    seed: int = option(0, "Draws the mutants.", minimum=0, maximum=2**31 - 1)
    only: str = option("", "Mutate only modules whose path contains this.")
    output: str = option("build/mutants.json", "File for the list of mutants.")


def main(options: MutationOptions) -> None:
    """Runs the mutants, prints the survivors and the count, writes the list."""
    mutants = choose(options)
    unchanged = [Mutant(path) for path in sorted({mutant.path for mutant in mutants})]
    outcomes = _earlier(options.output, unchanged + mutants)
    done = {_key(outcome) for outcome in outcomes}
    todo = [m for m in unchanged + mutants if _key(dataclasses.asdict(m)) not in done]
    _import_heavy_packages()
    for mutant in tqdm(todo, unit="mutant"):
        verdict = _run(mutant, _limit_secs(mutant, outcomes))
        if mutant in unchanged and verdict.outcome != "survived":
            raise UserError(
                f"without any mutation of {mutant.path}: {verdict.reason}; fix that "
                "first, all its mutants would seem caught"
            )
        outcomes.append({**dataclasses.asdict(mutant), **verdict._asdict()})
        if verdict.outcome == "survived" and mutant not in unchanged:
            tqdm.write(
                f"{mutant.path}:{mutant.line}: {mutant.before} -> {mutant.after}"
            )
        files.write_atomically(
            pathlib.Path(options.output), json.dumps(outcomes, indent=1).encode()
        )
    n_survived = sum(o["outcome"] == "survived" for o in outcomes) - len(unchanged)
    print(f"{len(mutants) - n_survived} of {len(mutants)} mutants were caught")


def choose(options: MutationOptions) -> list[Mutant]:
    """Draws mutants evenly over the modules, in a random order within each."""
    draw = random.Random(options.seed)
    by_module = []
    for path, target in TARGETS.items():
        if options.only in path:
            mutants = list(mutations(path))
            draw.shuffle(mutants)
            by_module.append(mutants[-options.n_slow :] if target.slow else mutants)
    chosen: list[Mutant] = []
    while len(chosen) < options.n_mutants and any(by_module):
        for mutants in by_module:
            if mutants and len(chosen) < options.n_mutants:
                chosen.append(mutants.pop())
    return chosen  # module after module: a run that is stopped is an even sample


def _earlier(output: str, mutants: list[Mutant]) -> list[dict[str, Any]]:
    """Returns the outcomes in an output file that are of these mutants."""
    path = pathlib.Path(output)
    if not path.is_file():
        return []
    chosen = {_key(dataclasses.asdict(mutant)) for mutant in mutants}
    return [o for o in json_codec.read_json(path) if _key(o) in chosen]


def _key(outcome: dict[str, Any]) -> tuple[Any, ...]:
    """Says which mutant it is, as long as its module does not change."""
    return tuple(outcome[field.name] for field in dataclasses.fields(Mutant))


def _import_heavy_packages() -> None:
    """Imports what every test needs, so that each fork has it already."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # none is needed
    import hypothesis
    import keras  # noqa: F401
    import librosa
    import numpy as np
    import pytest
    import scipy.signal  # noqa: F401
    import sklearn.metrics
    import sklearn.neighbors  # noqa: F401
    import tensorflow  # noqa: F401 not yet initialized: a fork is safe

    librosa.stft(np.zeros(2048))  # what it imports late
    pytest.main(["--version"])  # likewise
    # Whether an example fails is what counts, not which is the smallest that does.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(
        "mutants", phases=phases, database=None, deadline=None
    )
    hypothesis.settings.load_profile("mutants")


def _limit_secs(mutant: Mutant, outcomes: list[dict[str, Any]]) -> float:
    """Returns the processor time after which a mutant hangs."""
    unchanged = _key(dataclasses.asdict(Mutant(mutant.path)))
    return 10 + 5 * max(
        (o["secs"] for o in outcomes if _key(o) == unchanged), default=120
    )


def _run(mutant: Mutant, limit_secs: float) -> Verdict:
    """Runs the tests of a mutant in a fork."""
    with tempfile.TemporaryDirectory(prefix="mutant") as folder:
        child = os.fork()
        if not child:
            os.setpgid(0, 0)  # what the tests start ends with them
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit_secs), int(limit_secs)))
            os._exit(_test(mutant, pathlib.Path(folder)))
        outcome, secs = _outcome(child, limit_secs)
        reason = "" if outcome == "survived" else _reason(pathlib.Path(folder, _LOG))
    return Verdict(outcome, secs, reason)


def _outcome(child: int, limit_secs: float) -> tuple[str, float]:
    """Waits for a fork; returns how its tests ended and their processor time."""
    # By the clock of a busy machine it may take long; but it may also wait for ever.
    deadline = time.monotonic() + 20 * limit_secs
    while time.monotonic() < deadline:
        pid, status, usage = os.wait4(child, os.WNOHANG)
        if pid:
            secs = round(usage.ru_utime + usage.ru_stime, 1)
            code = os.waitstatus_to_exitcode(status)
            if code < 0 and secs >= int(limit_secs):
                return "timeout", secs
            return "caught" if code else "survived", secs
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timeout", limit_secs


def _reason(log: pathlib.Path) -> str:
    """Returns the line in which pytest names what failed, else the last."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR "))]
    return (failed or lines or [""])[-1]


def _test(mutant: Mutant, folder: pathlib.Path) -> int:
    """Loads the mutated module under its name and runs its tests; in the fork."""
    import importlib.abc
    import importlib.util

    import pytest

    log = os.open(folder / _LOG, os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    name = mutant.path.removesuffix(".py").replace("/", ".")
    # AutoGraph reads the source of a function from the file that its code names.
    source = folder / pathlib.Path(mutant.path).name
    source.write_text(source_of(mutant), encoding="utf-8")

    class Loader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
        """Gives the mutated source where the module is imported."""

        def find_spec(self, fullname, path, target=None):  # noqa: ANN001
            if fullname == name:
                return importlib.util.spec_from_loader(
                    name, self, origin=str(ROOT / mutant.path)
                )
            return None

        def exec_module(self, module):  # noqa: ANN001
            module.__file__ = str(ROOT / mutant.path)
            code = compile(source.read_text(encoding="utf-8"), str(source), "exec")
            exec(code, module.__dict__)

    class Selection:
        """A plug-in of pytest."""

        def pytest_collection_modifyitems(self, items):  # noqa: ANN001
            """Leaves out tests that start processes: they would not see the mutant."""
            items[:] = [i for i in items if "fork_server" not in i.fixturenames]

    sys.meta_path.insert(0, Loader())
    target = TARGETS[mutant.path]
    os.chdir(ROOT)
    options = ["-x", "-q", "-p", "no:cacheprovider"]
    markers = [] if target.slow else ["-m", "not slow"]
    return int(
        pytest.main(
            [*target.tests.split(), *options, *markers, "-k", target.expression],
            plugins=[Selection()],
        )
    )


if __name__ == "__main__":
    run_command(main, MutationOptions)
