"""The mutation run changes one place at a time and notices what tests notice."""

import ast
import dataclasses

import pytest

from tests.helpers.paths import REPOSITORY
from tools import mutants, mutate


def test_each_mutant_differs_from_the_module_in_one_expression():
    path = "speech2face/metrics/recall.py"
    original = ast.unparse(ast.parse((REPOSITORY / path).read_text()))
    found = list(mutants.mutations(path))
    assert len(found) > 10
    for mutant in found:
        source = mutants.source_of(mutant)
        pairs = zip(original.splitlines(), source.splitlines())
        assert sum(one != two for one, two in pairs) == 1, mutant
        compile(source, path, "exec")
    assert mutants.source_of(mutants.Mutant(path)) == original


def test_what_options_refuse_is_not_mutated():
    found = list(mutants.mutations("speech2face/config/loop.py"))
    lines = (REPOSITORY / "speech2face/config/loop.py").read_text().splitlines()
    assert any("1e-4" in lines[mutant.line - 1] for mutant in found)
    refused = ("minimum", "maximum", "above", "below", "changeable", "frozen")
    for mutant in found:
        words = lines[mutant.line - 1].split("=")
        assert mutant.before not in words[-1] or words[0].strip() not in refused, mutant


def test_the_modules_and_their_tests_exist():
    for path, target in mutate.TARGETS.items():
        assert (REPOSITORY / path).is_file(), path
        assert all((REPOSITORY / test).is_file() for test in target.tests.split()), path


def test_a_draw_is_even_over_the_modules_and_repeats():
    options = mutate.MutationOptions(n_mutants=2 * len(mutate.TARGETS), seed=1)
    chosen = mutate.choose(options)
    counts = {path: sum(m.path == path for m in chosen) for path in mutate.TARGETS}
    assert max(counts.values()) - min(counts.values()) <= 1
    assert mutate.choose(options) == chosen


@pytest.mark.slow
def test_a_mutant_that_ran_before_is_not_run_again(tmp_path, monkeypatch, capsys):
    options = mutate.MutationOptions(
        n_mutants=3, only="metrics/recall", output=str(tmp_path / "mutants.json")
    )
    ran = []

    def run(mutant, limit_secs):
        ran.append(mutant)
        assert limit_secs == (610 if mutant.place < 0 else 20)
        return mutate.Verdict("survived" if mutant.place < 0 else "caught", 2.0, "")

    monkeypatch.setattr(mutate, "_import_heavy_packages", lambda: None)
    monkeypatch.setattr(mutate, "_run", run)
    mutate.main(options)
    more = dataclasses.replace(options, n_mutants=5)
    mutate.main(more)
    unchanged = mutants.Mutant("speech2face/metrics/recall.py")
    assert ran == [unchanged, *mutate.choose(more)]
    assert capsys.readouterr().out.endswith("5 of 5 mutants were caught\n")
