"""A training of many hosts in numbers: by hand, by search, by expectation."""

import dataclasses
import math

import numpy as np
import pytest

from experiments import table1_architecture
from experiments.benchmarks import at_scale, many_hosts
from experiments.benchmarks.many_hosts import Plan, Rates
from speech2face.data import record_stream
from speech2face.errors import UserError

RATES = Rates(
    examples_per_sec=100.0,
    records_per_sec=2_000.0,
    record_bytes=200_000.0,
    network_bytes_per_sec=1e9,
    storage_bytes_per_sec=1e10,
    checkpoint_secs=4.0,
    restart_secs=300.0,
    losses_a_day=0.0,
)
PLAN = Plan(n_examples=5_100_000, batch_per_host=8, save_every=1_000)


def test_an_iteration_by_hand():
    one = many_hosts.iteration(RATES, PLAN, 1, "all")
    assert one.training_secs == one.secs == pytest.approx(0.08)
    assert one.reading_secs == pytest.approx(8 / 2_000)
    # 32 hosts read 256 records each: .128 s of processor, .0512 s of network, and
    # 32 x 256 x 200 kB of a store of 10 GB/s, which is .164 s.
    all_records = many_hosts.iteration(RATES, PLAN, 32, "all")
    assert all_records.secs == pytest.approx(0.16384)
    slow_store = dataclasses.replace(RATES, storage_bytes_per_sec=1e12)
    assert many_hosts.iteration(slow_store, PLAN, 32, "all").secs == pytest.approx(
        0.128
    )
    own = many_hosts.iteration(RATES, PLAN, 32, "own")
    assert own.secs == 0.08
    assert own.reading_secs == pytest.approx(33 / 32 * 8 * 200e3 * 32 / 1e10)


@pytest.mark.parametrize("rule", ["all", "own"])
def test_the_last_number_of_hosts_that_do_not_wait_is_that_of_a_search(rule):
    for rates in (
        RATES,
        dataclasses.replace(RATES, records_per_sec=350.0),
        dataclasses.replace(RATES, storage_bytes_per_sec=1e8),
        dataclasses.replace(RATES, examples_per_sec=5_000.0),
    ):
        waits = [
            many_hosts.iteration(rates, PLAN, n, rule).reading_secs
            > many_hosts.iteration(rates, PLAN, n, rule).training_secs
            for n in range(1, 2_000)
        ]
        expected = waits.index(True)
        assert many_hosts.last_without_waiting(rates, PLAN, rule) == expected
    unlimited = dataclasses.replace(RATES, storage_bytes_per_sec=math.inf)
    assert many_hosts.last_without_waiting(unlimited, PLAN, "own") > 1e9


def test_a_training_without_losses_by_hand():
    training = many_hosts.simulate(RATES, PLAN, 8, "all")
    # 79,688 iterations of .08 s, and 80 checkpoints of 4 s.
    assert training.days == pytest.approx((79_688 * 0.08 + 80 * 4) / 86_400)
    assert training.saving == pytest.approx(320 / 86_400)
    assert training.lost == pytest.approx(0, abs=1e-9) and training.n_losses == 0


def test_lost_hosts_cost_what_renewal_theory_says():
    rates = dataclasses.replace(RATES, losses_a_day=40.0)
    trainings = [
        many_hosts.simulate(rates, PLAN, 1, "all", seed=seed) for seed in range(30)
    ]
    # Of exponential losses of rate r, an interval of s seconds with restarts of R takes
    # (e^(r s) - 1) (1 / r + R) on average.
    r, s = 40 / 86_400, 1_000 * 0.08 + 4
    expected = 637.5 * math.expm1(r * s) * (1 / r + 300) / 86_400
    days = [training.days for training in trainings]
    error = np.std(days) / math.sqrt(len(days))
    assert np.mean(days) == pytest.approx(expected, abs=4 * error)
    for training in trainings:
        done = 637_500 * 0.08 / 86_400
        assert training.days == pytest.approx(done + training.saving + training.lost)
        assert training.lost >= training.n_losses * 300 / 86_400


def test_checkpoints_that_are_never_reached_are_one_clear_line():
    rates = dataclasses.replace(RATES, losses_a_day=1.0, examples_per_sec=0.01)
    with pytest.raises(UserError, match="lower --save_every"):
        many_hosts.simulate(rates, PLAN, 1, "all")


def test_the_table_says_from_where_reading_must_be_divided():
    rates = dataclasses.replace(RATES, losses_a_day=1.0)
    text = many_hosts.to_markdown(rates, PLAN, (1, 16, 64))
    rows = [line.split(" | ") for line in text.splitlines()[2:7]]
    assert [row[0].strip("| ") for row in rows] == ["1", "16", "16", "64", "64"]
    assert rows[3][1] == "all records" and rows[3][6] == "88 %"
    assert rows[4][1] == "its own part" and rows[4][6] == "0 %"
    # All: 20 by the processor, 22 by the store. Own: 10 GB/s / (100 x 200 kB x 33/32)
    # = 484.8.
    assert "wait for records: 20 if each reads all of them; 484 if each" in text


@pytest.mark.slow
def test_rates_of_this_machine(tmp_path):
    per_sec, n_bytes = many_hosts.measure_reading()
    # 6 s of 16-bit samples and 4096 float32, with names.
    assert 208_384 <= n_bytes < 208_384 + 500 and per_sec > 0
    assert many_hosts.measure_writing(str(tmp_path)) > 0


@pytest.mark.slow
def test_sizes_are_those_of_the_training():
    assert many_hosts.SHARDS_PER_GROUP == record_stream.SHARDS_PER_GROUP
    table_1, *_ = table1_architecture.build_tables()
    assert table_1.n_parameters == at_scale.N_PARAMETERS
