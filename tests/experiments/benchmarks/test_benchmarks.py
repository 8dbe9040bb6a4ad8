"""The benchmarks measure what they say, on small inputs."""

import contextlib
import json
import pathlib
import re
import subprocess
import sys
import time

import numpy as np
import pytest

from experiments.benchmarks import (
    at_scale,
    input_pipeline,
    keras_twin,
    networks,
    recordings,
    retrieval,
    rows,
    run,
    runtimes,
    startup,
    timing,
    training_step,
)
from experiments.benchmarks.timing import Timing
from speech2face.audio import spectrogram
from speech2face.config import VoiceEncoderConfig, VoiceTrainingConfig
from speech2face.errors import UserError
from speech2face.models import fast
from speech2face.system import has_fast_bfloat16
from speech2face.training.voice import VoiceTrainer
from tests.helpers import tiny_material
from tests.helpers.tiny_models import make_decoder, make_model


def test_fastest_is_the_fastest_of_several_calls_in_turn():
    calls = []
    waits = {"a": iter([0.09, 0.02, 0.06]), "b": iter([0, 0, 0])}

    def call(name):
        calls.append(name)
        time.sleep(next(waits[name]))

    secs = timing.fastest({n: lambda n=n: call(n) for n in waits}, n_repeats=2)
    assert calls == list("ababab")
    assert 0.02 <= secs["a"] < 0.06 and secs["b"] < 0.02


def test_the_yardstick_is_timed_on_a_real_product():
    product, n_operations = timing.matrix_product()
    secs = timing.fastest({"product": product}, 1)["product"]
    assert n_operations == 2 * 2048**3
    assert secs > 1e-4  # not optimized away: no device here does 170 TFLOP/s


@pytest.mark.parametrize(
    ("module", "flag"),
    [
        ("detection", "--n_small=-1"),
        ("input_pipeline", "--cores=2,0"),
        ("retrieval", "--gallery_sizes=9"),
        ("stages", "--n_people=2"),
        ("training_step", "--n_steps=0"),
        ("warp", "--n_repeats=0"),
    ],
)
def test_counts_that_measure_nothing_are_refused(module, flag):
    command = [sys.executable, "-m", f"experiments.benchmarks.{module}", flag]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.match(
        rf"error: {flag[:6]}.*: expected an integer from \d+ to .*\n$", done.stderr
    )


def test_a_row_is_printed_before_the_next_is_measured(capsys):
    def rows():
        yield Timing("this", 1.5, "that", 0.5, "10 MB")
        printed.append(capsys.readouterr().out)

    printed = []
    timing.print_table(rows())
    row = "| this | 1,500.00 | that | 500.00 | 3.00 | 10 MB |"
    assert printed[0].splitlines()[2] == row


def test_a_section_is_named_before_it_is_measured(tmp_path, monkeypatch, capsys):
    def output_of(section):
        before.append(capsys.readouterr().out)
        return "a table\n"

    before = []
    sections = {"Warp": run.Section("warp"), "Commands": run.Section("startup")}
    monkeypatch.setattr(run, "_output_of", output_of)
    monkeypatch.setattr(run, "SECTIONS", sections)
    run.main(run.BenchmarkOptions(output_dir=str(tmp_path)))
    assert before == ["\n## Warp\n\n", "\n## Commands\n\n"]
    written = (tmp_path / "benchmarks.md").read_text()
    assert written.endswith("\n## Warp\n\na table\n\n## Commands\n\na table\n")
    assert capsys.readouterr().out == f"\nwrote {tmp_path}/benchmarks.md\n"


@pytest.mark.parametrize("emulated, n_left_out", [(True, 2), (False, 0)])
def test_emulated_steps_are_left_out(monkeypatch, capsys, emulated, n_left_out):
    monkeypatch.setattr(run, "has_fast_bfloat16", lambda: not emulated)
    assert len(run._chosen(())) == len(run.SECTIONS) - n_left_out
    assert capsys.readouterr().out.count("left out: Training step") == n_left_out
    with pytest.raises(UserError, match="--only=warmth: there is no such benchmark"):
        run._chosen(["warmth"])


def test_a_command_is_measured_in_a_process_of_its_own():
    # Out of a small process: a child starts with the peak memory of its parent.
    code = """
from experiments.benchmarks import timing
large = "x = bytearray(200_000_000); x[::4096] = x[::4096]; print(7)"
print(*timing.run_command(["-c", large]))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    secs, memory_mb, printed = map(float, done.stdout.split())
    assert 200 < memory_mb < 300 and secs > 0 and printed == 7
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        timing.run_command(["-c", "1 / 0"])


def test_the_twin_of_the_spectrogram_gives_the_same():
    waveform = np.random.default_rng(0).normal(0, 0.1, 8_000).astype(np.float32)
    ours = np.asarray(spectrogram.spectrogram(waveform[np.newaxis]))[0]
    twin = networks.numpy_spectrogram(waveform)
    # Compared before compression, which blows rounding up near zero.
    np.testing.assert_allclose(
        np.sign(ours) * np.abs(ours) ** (1 / 0.3),
        np.sign(twin) * np.abs(twin) ** (1 / 0.3),
        atol=1e-4,
    )


def test_the_gallery_is_searched_for_its_own_faces(tmp_path):
    retrieval.write_gallery(tmp_path / "gallery.npy", 20_000)
    gallery = np.load(tmp_path / "gallery.npy", mmap_mode="r")
    assert gallery.shape == (20_000, 128)
    np.testing.assert_allclose([gallery.mean(), gallery.std()], [0, 1], atol=0.01)
    assert len(np.unique(gallery[:, 0])) > 19_900  # no block is repeated
    timings = list(retrieval.measure((50,)))
    assert [one.what for one in timings[:2]] == [
        "ranks, 100 of 50, cos",
        "nearest, 100 of 50, cos",
    ]


@pytest.mark.rehearsal
def test_a_file_is_timed_beside_keras():
    files = (("savedmodel", "float16"),)
    timings = list(runtimes.measure(make_model(), "tiny", files, 1))
    assert [one.what for one in timings] == [
        "request of 6 s, tiny, Keras",
        "request of 6 s, tiny, XLA",
        "request of 6 s, tiny, savedmodel, float16",
    ]
    assert timings[1].beside_secs == timings[2].beside_secs > 0
    note = timings[2].note
    assert re.fullmatch(r"\d\.\d MB, cosine (1\.000000|0\.9999\d\d)", note)
    assert timings[0].row.floor.value > 0


@pytest.mark.rehearsal
def test_clips_together_are_timed_beside_requests_and_a_recording_beside_itself():
    timings = list(recordings.measure(n_repeats=1, minutes=0.2))
    together, long = timings[:2]
    assert together.what == "32 clips of 6 s together, float32"
    assert together.beside_secs > together.secs / 4, "32 requests are no single one"
    assert long.beside_secs == 12
    assert "GB at most" in long.note
    n_precisions = 2 if has_fast_bfloat16() else 1
    assert len(timings) == 2 * n_precisions


def test_every_command_is_found():
    listed = startup.commands()
    assert {"speech2face.train", "data_prep.sample_people"} < set(listed)
    assert "experiments.run_all" in listed and "speech2face.options" not in listed
    text = (startup._ROOT / "docs/tutorials/your_data.md").read_text()
    named = set(re.findall(r"python -m ((?:speech2face|data_prep)\.\w+)", text))
    assert named <= set(listed)


def test_the_papers_clips_in_numbers():
    """36 s a clip by hand: 1.7 million are 17,000 core hours, 44.3 days on 16 cores."""
    cost = at_scale.Cost("pcm", 250_000.0, {"open": 0.0, "read": 6.0, "detect": 30.0})
    table = at_scale.to_markdown([cost], 1_700_000)
    header, _, row = [line.split(" | ") for line in table.splitlines()]
    assert header[3:6] == ["core hours: read", "detect", "all"]
    assert row[1:7] == ["250.0", "0.42", "2,833", "14,167", "17,000", "44.3"]
    assert row[7] == "45 |"  # days of one machine: as many machines for a day


def test_a_data_sets_own_figures(tmp_path):
    examples = tiny_material.write_dataset(tmp_path, splits=("train",))
    stages = {"read": {"core_secs": 3.0}, "encode": {"core_secs": 1.0}}
    report = {"clips": 10, "stages": stages}
    (tmp_path / "report.json").write_text(json.dumps(report))
    cost = at_scale.measure(str(tmp_path))
    assert cost.core_secs == {"read": 0.3, "encode": 0.1}
    # 3 s of 16-bit samples; a crop of one color and names are little beside them.
    sizes = [2 * len(e.waveform) + len(e.face_jpeg) for e in examples]
    assert np.mean(sizes) < cost.record_bytes < np.mean(sizes) + 500


@pytest.mark.rehearsal
@pytest.mark.parametrize(
    ("layers", "n_steps", "tolerance"),
    # Our layers round elsewhere than Keras' own, and ADAM's first steps enlarge that:
    # only the first loss is as near. test_convolution and test_batch_norm pin each.
    [(fast.plain_keras, 4, 2e-3), (contextlib.nullcontext, 1, 5e-3)],
    ids=["keras", "ours"],
)
def test_the_step_in_plain_keras_is_the_same_step(layers, n_steps, tolerance):
    config = VoiceTrainingConfig(voice_encoder=VoiceEncoderConfig(width=1 / 32))
    decoder = make_decoder()
    random = np.random.default_rng(0)
    waveform = random.normal(0, 0.1, (8, 43_200)).astype(np.float32)
    feature = random.normal(size=(8, 8)).astype(np.float32)
    batch = {"waveform": waveform, "face_feature": feature}
    losses = []
    with layers():
        ours = VoiceTrainer(config, decoder, face_norm=1.0)
        (unit,) = set(ours.optimizer.unit_by_path.values())
        twin = keras_twin.Twin(config, decoder, unit)
        *weights, kernel, bias = ours.model.get_weights()
        twin.encoder.set_weights([*weights, kernel / unit, bias / unit])
        for _ in range(n_steps):
            losses.append(float(ours.train_step(batch)["total"]))
            logs = twin.train_on_batch(waveform, feature, return_dict=True)
            assert logs["loss"] == pytest.approx(losses[-1], rel=tolerance)
    assert n_steps == 1 or losses[-1] < 0.9 * losses[0]  # not the same standstill


def test_a_step_of_paper_size_is_4_28_teraflop():
    n_operations = training_step.n_operations(training_step.TrainingStepOptions())
    assert 8 * n_operations == pytest.approx(4.28e12, rel=2e-3)


def test_report_of_the_training_step():
    common = {"batch_size": 8, "n_operations": 4e12, "product_rate": 2e11}
    ours = {"secs": 25.0, "cpu_secs": 48.0, "wait_secs": 0.5, "memory_gb": 6.0}
    twin = {"secs": 40.0, "cpu_secs": 60.0, "wait_secs": 0.0, "memory_gb": 9.0}
    text = training_step.report(
        {"ours": {**common, **ours}, "twin": {**common, **twin}}
    )
    assert "| ours | 25.00 | 48.00 | 0.32 | 160.0 | 0.80 | 2.0% | 6.0 |" in text
    assert "| twin | 40.00 | 60.00 | 0.20 | 100.0 | 0.50 | 0.0% | 9.0 |" in text
    assert "takes 0.62 of the twin's time, 0.80 of its CPU time and 0.67" in text
    assert "compute-bound" in text


def test_report_of_the_input_pipeline():
    rates = {"consumed_per_sec": 0.25, "as they are": 500.0, "augmented": 50.0}
    more = {"consumed_per_sec": 0.5, "as they are": 900.0, "augmented": 100.0}
    text = input_pipeline.report([{"cores": 1, **rates}, {"cores": 2, **more}])
    assert "| 1 | as they are | 500 | 1.00 | 0.25 records/s | 2,000 |" in text
    assert "| 2 | as they are | 900 | 1.80 | 0.50 records/s | 1,800 |" in text
    assert "| 2 | augmented | 100 | 2.00 | 0.50 records/s | 200 |" in text


def test_what_the_command_runs_is_there():
    folder = pathlib.Path(run.__file__).parent
    names = {section.module for section in run.SECTIONS.values()}
    assert {"training_step", "input_pipeline", "detection"} <= names
    for name in names:
        assert "run_command(main" in (folder / f"{name}.py").read_text()


def test_the_table_at_the_head_has_a_line_of_each_row():
    row = rows.Row("a step", 1.5, "s", rows.Beside("twin", 3.0), note="1 GB")
    rate = rows.Row("records", 5e3, "records/s", floor=rows.Beside("disk", 1e4))
    assert (
        row.to_markdown() == "| a step | 1.50 s | 3.00 s (twin) | 0.50 |  |  | 1 GB |"
    )
    assert "| 5,000 records/s |  |  | 10,000 records/s (disk) | 0.50 |" in (
        rate.to_markdown()
    )
    printed = f"| own |\n|---|\n| 7 |\n\n{rows.to_markdown([row, rate])}\nend"
    rest, lines = rows.found_in(printed)
    assert rest == "| own |\n|---|\n| 7 |\n\n\nend\n"
    assert rows.of_lines(lines) == rows.to_markdown([row, rate])


def test_rows_of_the_head_come_behind_a_table(capsys):
    row = rows.Row("this", 1.5, "s")
    timings = [Timing("this", 1.5, "that", 0.5, row=row), Timing("x", 1, "y", 2)]
    timing.print_table(iter(timings))
    table, lines = rows.found_in(capsys.readouterr().out)
    assert "| x | 1,000.00 | y |" in table and lines == [row.to_markdown()]


def test_the_machine_is_named():
    assert re.match(r"20\d\d-\d\d-\d\d: \d+ cores? of .*; Python 3", run.machine())
