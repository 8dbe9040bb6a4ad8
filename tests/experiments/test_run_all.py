"""All experiments over one tiny model, and their page."""

import dataclasses
import html.parser
import importlib
import re

import numpy as np
import pytest

from experiments import run_all
from experiments.lib.experiment import Experiment, Section
from experiments.lib.inputs import Inputs, Provider, Runs
from speech2face.errors import UserError
from tests.helpers.paths import REPOSITORY
from tests.helpers.slow import takes_seconds
from tests.helpers.tiny_material import shared_material


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
@takes_seconds
def outcomes(tmp_path_factory):
    output_dir = tmp_path_factory.mktemp("all") / "results"
    inputs = Inputs(**{**vars(shared_material().inputs), "output_dir": str(output_dir)})
    return inputs, run_all.run(inputs, Runs(), Provider())


@pytest.mark.rehearsal
def test_every_experiment_has_a_result_or_a_reason(outcomes):
    _, found = outcomes
    reasons = {outcome.name: outcome.reason for outcome in found if outcome.reason}
    assert set(reasons) == {
        "fig05_craniofacial",
        "fig08_convergence",
        "ablations",
        "supp_pixel_loss",
        "supp_durations",
        "supp_face_decoder",  # the tiny model takes features of no network
        "supp_sf2f_protocol",  # likewise
    }
    assert "in 0 of 8 pairs" in reasons["fig05_craniofacial"]
    assert "give --run_dirs" in reasons["ablations"]
    assert len(found) == 20


def test_a_data_set_that_the_model_cannot_be_measured_on_is_no_success(tmp_path):
    inputs = shared_material().inputs
    other = dataclasses.replace(inputs, run_dir="", output_dir=str(tmp_path))
    with pytest.raises(UserError, match="the model was trained on features of dlib"):
        run_all.run(other, Runs(), Provider())
    no_split = dataclasses.replace(inputs, split="gone", output_dir=str(tmp_path))
    with pytest.raises(UserError, match="gone"):
        run_all.run(no_split, Runs(), Provider())


def test_an_experiment_that_needs_too_much_memory_does_not_stop_the_others(tmp_path):
    def too_much(*_):
        return np.empty(1 << 56)  # numpy's own MemoryError: no machine has an exabyte

    huge = Experiment("huge", Section.RESULTS, too_much)
    outcome = run_all._run_one(huge, [None], str(tmp_path))
    assert outcome.result is None
    assert outcome.reason.startswith("out of memory (Unable to allocate")


@pytest.mark.rehearsal
def test_the_page_shows_them_all_and_refers_to_files_that_exist(outcomes):
    inputs, found = outcomes
    page = run_all.write_page(found, inputs)
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


@pytest.mark.rehearsal
def test_every_experiment_is_on_the_page_and_a_command_of_its_own(outcomes):
    names = [experiment.name for experiment in run_all.EXPERIMENTS]
    assert names == [outcome.name for outcome in outcomes[1]]
    commands = {
        path.stem
        for path in (REPOSITORY / "experiments").glob("*.py")
        if re.match(r"(table|fig|supp)\d*_?|ablations", path.stem)
    }
    assert commands == set(names)
    for name in names:
        module = importlib.import_module(f"experiments.{name}")
        assert f"python -m experiments.{name} " in module.__doc__, name
        assert module.EXPERIMENT.name == name
