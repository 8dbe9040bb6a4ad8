"""A few cases of each campaign, and that a campaign notices what is not survived."""

import faulthandler
import os
import pathlib
import signal
import time

import numpy as np
import pytest

from tests.campaigns import (
    cases,
    kills,
    media,
    mutations,
    numbers,
    photographs,
    servers,
    visitors,
)

pytestmark = [
    pytest.mark.rehearsal,
    pytest.mark.skipif(
        not pathlib.Path("/proc/self/clear_refs").exists(),
        reason="campaigns need Linux",
    ),
]


def survived(report, n_tried):
    assert report.failures == []
    assert report.n_tried >= n_tried
    return True


def test_what_is_not_survived_is_noticed_and_the_rest_goes_on(tmp_path):
    def check(number):
        if number == 1:
            raise MemoryError("too much")
        if number == 3:
            faulthandler.disable()  # of pytest, which says it at length
            os.kill(os.getpid(), signal.SIGSEGV)
        if number == 5:
            time.sleep(60)
        if number == 7:
            np.ones(30_000_000)  # 240 MB
        return "" if number != 8 else "a wrong answer"

    limits = cases.Limits(secs=5.0, peak_mb=100)
    report = cases.run_in_children("x", check, range(10), tmp_path, limits)
    assert str(report) == "x: tried 10, survived 5"
    words = ["MemoryError: too much", "ended with -11", "Timeout", "MB", "a wrong"]
    for (case, failure), number, word in zip(report.failures, "13578", words):
        assert case == number and word in failure


def test_a_case_is_the_same_each_time():
    source = bytes(range(256)) * 40
    drawn = [
        mutations.mutate(source, [source], np.random.default_rng([3, number]))
        for number in (*range(30), *range(30))
    ]
    assert drawn[:30] == drawn[30:]
    assert len(set(drawn[:30])) > 20


@pytest.mark.slow
def test_hostile_media(tmp_path):
    n_lists = 260  # and then bombs, some of which take seconds
    numbers = [*range(0, n_lists, 20), *range(500, 530)]
    assert survived(media.run(tmp_path, 1, numbers), 43)


@pytest.mark.slow
def test_media_that_were_once_not_survived(tmp_path):
    assert survived(media.run(tmp_path, 0, [285, 304, 417, 439]), 4)


@pytest.mark.slow
def test_hostile_photographs(tmp_path):
    numbers = [*range(12), *range(13, 24), *range(500, 530)]  # 12 takes seconds
    assert survived(photographs.run(tmp_path, 1, numbers), 53)


@pytest.mark.slow
def test_absurd_numbers(tmp_path):
    report = numbers.run(tmp_path, "speech2face.retrieve")
    assert survived(report, 30)


@pytest.mark.slow
def test_hostile_servers(tmp_path):
    report = servers.run(tmp_path, 1, 2, "range")  # those with this in their names
    assert survived(report, 8)


@pytest.mark.rehearsal
@pytest.mark.slow
def test_kills(tmp_path):
    (report,) = kills.run(tmp_path, 1, 2, "downloads")
    assert survived(report, 2)


@pytest.mark.rehearsal
@pytest.mark.slow
def test_visitors(tmp_path):
    pytest.importorskip("gradio")
    assert survived(visitors.run(tmp_path, 1, 8), 10)
