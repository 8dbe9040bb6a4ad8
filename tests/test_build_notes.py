"""BUILD_NOTES.md: numbered without gaps, four lines each, naming tests that exist."""

import re

from conftest import REPOSITORY


def notes():
    text = (REPOSITORY / "BUILD_NOTES.md").read_text()
    return re.split(r"^\*\*(\d+)\. ", text, flags=re.M)[1:]


def test_entries_are_numbered_and_have_their_four_lines():
    parts = notes()
    assert [int(number) for number in parts[::2]] == list(range(1, len(parts) // 2 + 1))
    for body in parts[1::2]:
        starts = [line.split(":")[0] for line in body.splitlines()[1:5]]
        assert starts == ["Paper", "We", "Why", "Test"], body


def test_every_named_test_exists():
    for body in notes()[1::2]:
        names = re.findall(r"`(?:(test_\w+)\.)?(test_\w+)`", body)
        assert names, body
        module = None
        for in_module, name in names:
            module = in_module or module
            source = (REPOSITORY / "tests" / f"{module}.py").read_text()
            assert f"def {name}(" in source, f"{module}.{name}"


def test_code_refers_to_entries_that_exist():
    last = int(notes()[-2])
    for folder in ("speech2face", "data_prep", "experiments"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            for number in re.findall(r"BUILD_NOTES (\d+)", path.read_text()):
                assert 1 <= int(number) <= last, path
