"""All experiments over one tiny model, and their page."""

import html.parser
import importlib
import re

import pytest
from conftest import REPOSITORY
from tiny_material import shared_material

from experiments import all_results
from experiments.options import Inputs, Provider, Runs


class Links(html.parser.HTMLParser):
    """Collects what a page refers to, and checks that its tags close."""

    def __init__(self):
        super().__init__()
        self.found, self.open = [], []

    def handle_starttag(self, tag, attributes):
        self.found += [v for k, v in attributes if k in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open.pop() != tag:
            pass


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    output_dir = tmp_path_factory.mktemp("all") / "results"
    inputs = Inputs(**{**vars(shared_material().inputs), "output_dir": str(output_dir)})
    return inputs, all_results.run(inputs, Runs(), Provider())


def test_every_experiment_has_a_result_or_a_reason(outcomes):
    inputs, found = outcomes
    reasons = {outcome.name: outcome.reason for outcome in found if outcome.reason}
    assert set(reasons) == {
        *("fig05_craniofacial", "fig08_convergence", "ablations", "supp_pixel_loss"),
        "supp_face_decoder",  # the tiny model takes features of no network
    }
    assert "in 0 of 8 pairs" in reasons["fig05_craniofacial"]
    assert "give --run_dirs" in reasons["ablations"]
    assert len(found) == 17


def test_the_page_shows_them_all_and_refers_to_files_that_exist(outcomes):
    inputs, found = outcomes
    page = all_results.write_page(found, inputs)
    text = page.read_text()
    links = Links()
    links.feed(text)
    assert links.open in ([], ["html"], ["html", "body"])
    assert len(links.found) > 30
    for link in links.found:
        assert (page.parent / link).is_file(), link
    for outcome in found:
        assert outcome.name in text
    assert text.index("Fig. 3.") < text.index("Table 2.") < text.index("Fig. 12.")
    assert "Not run: no run folders; give --run_dirs" in text


def test_every_experiment_is_on_the_page_and_a_command_of_its_own(outcomes):
    names = [name for _, section in all_results.SECTIONS for name in section]
    assert sorted(names) == sorted(outcome.name for outcome in outcomes[1])
    commands = {
        path.stem
        for path in (REPOSITORY / "experiments").glob("*.py")
        if re.match(r"(table|fig|supp)\d*_?|ablations", path.stem)
    }
    assert commands == set(names)
    for name in names:
        module = importlib.import_module(f"experiments.{name}")
        assert f"python -m experiments.{name} " in module.__doc__, name
