"""The pages that experiments write, as a phone shows them: nothing scrolls sideways."""

import pytest

from experiments.lib import results
from experiments.lib.demo_page import Metric, Speaker
from experiments.run_all import Outcome, Section
from speech2face.web import html
from tests.helpers.chromium import CHROMIUM, needs_chromium

pytestmark = [pytest.mark.slow, needs_chromium]


class Inputs:
    data_dir = "/a/folder/with/a/very/long/path" * 3
    split = "test"


def results_page():
    row = results.Row(
        {"measure": "median rank of the true face", "metric": "cosine"},
        ours=0.123,
        sd=0.1,
        ci95=(0.1, 0.2),
        n=5000,
        paper=0.2,
        paper_sd=0.1,
        chance=0.5,
        ceiling=1.0,
        others={"the authors' own pictures": 0.2},
    )
    result = results.Result(
        name="table2_feature_similarity",
        title="Table 2. Feature similarity",
        shows="What it shows.",
        rows=[row] * 3,
        notes=["model: " + "a_very_long_name_" * 9],
    )
    outcome = Outcome(result.name, Section.RESULTS, 1.0, result)
    failed = Outcome("fig08", Section.RESULTS, 1.0, None, "no folder " + "x/" * 99)
    return html.render(
        "results.html",
        package="experiments",
        title="Speech2Face: results",
        model="runs/" + "a_very_long_name" * 5,
        inputs=Inputs,
        sections={"4. Results": [outcome, failed]},
    )


def demo_page():
    pictures = [("a face", f"page/0_{k}.png") for k in range(3)]
    metric = Metric("the person is among the first 3 of 18", "22%", "8% to 40%", "6%")
    return html.render(
        "demo.html",
        package="experiments",
        title="Speech2Face demo",
        speakers=[Speaker("woman, 27, small build", "dark skin", "0.wav", pictures)],
        traits=[metric],
        metrics=[metric],
        n_people=18,
        n_clips=36,
        loss_curves="page/loss.png",
        label="synthetic average face, not the speaker",
    )


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("make", [results_page, demo_page])
def test_nothing_scrolls_sideways(browser, make, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.set_content(make())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
