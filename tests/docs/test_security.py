"""docs/security.md: its versions are the pinned ones; what it says is unused is so."""

import re

from tests.helpers.paths import REPOSITORY

PAGE = (REPOSITORY / "docs" / "security.md").read_text(encoding="utf-8")
# Where strangers' files would come in past our own readers.
NOT_USED = (
    r"\bcv2\.(imread|imdecode|VideoCapture|FileStorage)",
    r"\bjson_format\b",
    r"\bonnx\.(load|hub)\b|external_data",
    r"\b(load_model|load_img|TFSMLayer|saved_model\.load_legacy)\(",
    r"\b(pickle|joblib|dill)\.loads?\(|allow_pickle=True",
    r"\byaml\.(load|unsafe_load)\(|\beval\(|\bos\.system\(|shell=True",
)
# Reads a header of a PNG that is ours.
MAY_OPEN_IMAGES = ("speech2face/images.py", "speech2face/photographs.py")


def sources():
    for package in ("speech2face", "data_prep", "experiments"):
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            yield path.relative_to(REPOSITORY).as_posix(), text


def test_the_versions_are_those_of_the_constraints():
    rows = re.findall(r"^\| ([\w-]+) (\d[\w.]*) \|", PAGE, re.MULTILINE)
    pins = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w.-]+)==([\w.]+)", pins, re.MULTILINE))
    assert len(rows) > 15
    assert {name: pinned.get(name) for name, _ in rows} == dict(rows)


def test_what_the_page_says_is_not_used_is_not_used():
    for name, text in sources():
        for pattern in NOT_USED:
            assert not re.search(pattern, text), (name, pattern)


def test_images_are_opened_in_one_place():
    found = {name for name, text in sources() if "Image.open(" in text}
    assert found == set(MAY_OPEN_IMAGES)
