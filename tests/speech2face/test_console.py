"""Console scripts: the same commands as `python -m`."""

import ast
import subprocess
import sys

import pytest

from speech2face import console
from tests.helpers.commands import commands
from tests.helpers.paths import REPOSITORY


def of_setup(name):
    """The value that setup.py gives a name first."""
    for node in ast.parse((REPOSITORY / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return eval(ast.unparse(node.value))
    raise AssertionError(f"setup.py has no {name}")


def test_setup_py_has_a_script_for_every_entry_point():
    assert sorted(of_setup("COMMANDS")) == sorted(console.COMMANDS)


def test_the_readme_names_every_extra():
    text = (REPOSITORY / "README.md").read_text()
    assert [name for name in of_setup("EXTRAS") if f"`{name}`" not in text] == []


def test_every_command_has_a_script():
    """Those of one figure, table or benchmark are run with `python -m` alone."""
    modules = {name for name in commands() if not name.startswith("experiments.")}
    assert modules <= set(console.COMMANDS.values())
    assert {"experiments.demo", "experiments.run_all"} <= set(console.COMMANDS.values())


@pytest.mark.parametrize("name", ["evaluate", "inspect_tfrecords"])
def test_a_script_is_its_module(name):
    script = (
        f"import sys; sys.argv = ['script', '--help']\n"
        f"from speech2face.console import {name}\n{name}()"
    )
    module = [sys.executable, "-m", console.COMMANDS[name], "--help"]
    texts = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for command in ([sys.executable, "-c", script], module)
    ]
    assert texts[0] == texts[1]
    assert "--data_dir" in texts[0]
    assert "Traceback" not in texts[0]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        console.tarin  # noqa: B018
