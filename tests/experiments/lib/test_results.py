"""Results as files, and intervals by simulation."""

import csv
import io

import numpy as np
import pytest

from experiments.lib import results
from experiments.lib.results import Result, Row

RESULT = Result(
    name="table9",
    title="Table 9. Nothing",
    shows="What it shows.",
    rows=[
        Row({"audio": "3 s", "K": "1"}, ours=0.5, n=1200, paper=0.25, ci95=(0.4, 0.6)),
        Row({"audio": "6 s", "K": "1"}, ours=None, n=2),
    ],
    picture=b"png",
    notes=["a note"],
    provenance={"model": "runs/x"},
)


def test_markdown_has_the_used_columns_beside_the_papers():
    lines = results.to_markdown(RESULT).splitlines()
    assert lines[0] == "## Table 9. Nothing"
    assert lines[4] == "| audio | K | ours | 95 % interval | n | paper |"
    assert lines[6] == "| 3 s | 1 | 0.500 | 0.400 to 0.600 | 1,200 | 0.250 |"
    assert lines[7] == "| 6 s | 1 | – | – | 2 | – |"
    assert "![Table 9. Nothing](table9.png)" in lines
    assert lines[-2:] == ["- a note", "- model: runs/x"]


def test_csv_is_at_full_precision():
    rows = list(csv.DictReader(io.StringIO(results.to_csv(RESULT))))
    assert rows[0] == {
        "audio": "3 s",
        "K": "1",
        "ours": "0.5",
        "n": "1200",
        "paper": "0.25",
        "ci95_low": "0.4",
        "ci95_high": "0.6",
    }
    assert rows[1]["ours"] == rows[1]["ci95_low"] == ""


def test_files_are_named_after_the_experiment(tmp_path):
    names = [path.name for path in results.write(RESULT, tmp_path / "results")]
    assert names == ["table9.md", "table9.csv", "table9.png"]
    assert (tmp_path / "results/table9.png").read_bytes() == b"png"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"),
        (5000, "5,000"),
        (0.35, "0.350"),
        (12.345, "12.35"),
        (1234.5, "1,234.50"),
        (0.00012, "1e-04"),
        (0.0, "0.000"),
        (-0.5, "-0.500"),
    ],
)
def test_numbers_for_a_reader(value, expected):
    assert results.text(value) == expected


@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_intervals_cover_the_truth_where_clips_of_a_speaker_agree(
    statistic, monkeypatch
):
    # 40 speakers with 5 clips each that agree: an interval that drew clips would be
    # too narrow by the square root of 5, and cover the truth in 62 % of the cases.
    monkeypatch.setattr(results, "N_RESAMPLES", 300)
    generator = np.random.default_rng(0)
    speakers = np.repeat(np.arange(40), 5)
    covered = []
    for _ in range(100):
        values = np.repeat(generator.normal(2.0, 1.0, 40), 5)
        values += generator.normal(0.0, 0.1, 200)
        low, high = results.interval(values, speakers, statistic)
        covered.append(low <= 2.0 <= high)
    assert 0.86 <= np.mean(covered) <= 0.99  # 0.93 of 100, three standard errors down


def test_the_fast_mean_is_the_mean_of_the_drawn_clips():
    generator = np.random.default_rng(1)
    values, speakers = generator.normal(size=30), generator.integers(0, 7, 30)
    fast = results.interval(values, speakers)
    slow = results.interval(values, speakers, lambda drawn: drawn.mean())
    np.testing.assert_allclose(fast, slow)
    assert results.interval(values, ["one"] * 30) is None


@pytest.mark.parametrize("n_speakers", [13, 60])
def test_sums_have_the_interval_of_their_clips(n_speakers):
    values = np.random.default_rng(0).integers(0, 2, [60, 3]).astype(float)
    speakers = [f"s{i % n_speakers:02}" for i in range(60)]

    def ratio(total):
        return float(total[0] / total.sum())

    ends = results.interval_of_sums(values, speakers, ratio)
    expected = results.interval(values, speakers, lambda rows: ratio(rows.sum(axis=0)))
    np.testing.assert_allclose(ends, expected, rtol=1e-12)


def test_sums_of_one_speaker_have_no_interval():
    assert results.interval_of_sums(np.ones([5, 2]), ["one"] * 5, np.sum) is None
