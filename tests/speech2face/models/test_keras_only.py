"""What `speech2face.models` promises: Keras alone, TensorFlow only in `models.fast`."""

import ast
import pathlib

import speech2face.models

FOLDER = pathlib.Path(speech2face.models.__file__).parent


def imported(path):
    """Names of the packages that a file imports anywhere, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.partition(".")[0])
    return names


def test_models_outside_fast_do_not_import_tensorflow():
    files = sorted(FOLDER.glob("*.py"))
    assert len(files) > 10
    for path in files:
        assert "tensorflow" not in imported(path), path.name
    assert "tensorflow" in imported(FOLDER / "fast" / "gather.py")
