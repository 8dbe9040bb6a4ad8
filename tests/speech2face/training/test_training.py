"""Training: the step, ADAM, the run folder, and resuming to the bit."""

import dataclasses
import json
import os
import pathlib
import shlex
import shutil
import signal
import time

import numpy as np
import pytest
import tensorflow as tf

from speech2face import evaluate, locks
from speech2face import train as train_command
from speech2face.artifacts import checkpoints, decoder_bundle, run_folder
from speech2face.config import VoiceEncoderConfig
from speech2face.data import dataset_info, input_pipeline
from speech2face.training import ending, voice_job
from speech2face.training.voice import Eq1, VoiceTrainer
from tests.helpers.commands import parse
from tests.helpers.records import DIM, write_voice_dataset
from tests.helpers.slow import takes_seconds
from tests.helpers.tiny_models import (
    assert_bit_identical,
    final_values,
    log_of,
    make_decoder,
    tiny_config,
    train,
)


@pytest.fixture(scope="module")
@takes_seconds
def whole_run(folders):
    run_dir = folders / "whole"
    assert train(folders, run_dir, tiny_config()) == 13
    return run_dir


@pytest.fixture
def finished(whole_run, tmp_path):
    """A copy of the whole run, to be damaged or gone on with."""
    return shutil.copytree(whole_run, tmp_path / "finished")


@pytest.mark.slow
def test_a_resumed_run_is_bit_identical(folders, whole_run, monkeypatch):
    run_dir = folders / "interrupted"
    steps = VoiceTrainer.train_steps
    n_calls = 0

    def failing(self, *arguments):
        nonlocal n_calls
        n_calls += 1
        if n_calls == 8:  # the power fails between checkpoints
            raise KeyboardInterrupt
        return steps(self, *arguments)

    monkeypatch.setattr(VoiceTrainer, "train_steps", failing)
    with pytest.raises(KeyboardInterrupt):
        train(folders, run_dir, tiny_config())
    assert train(folders, run_dir, tiny_config()) == 13
    assert n_calls > 13
    assert_bit_identical(run_dir, whole_run)
    steps = [entry["step"] for entry in log_of(run_dir, "train")]
    assert steps == sorted(set(steps)), "no step is logged twice"
    assert log_of(run_dir, "validation") == log_of(whole_run, "validation")
    assert len(log_of(run_dir, "validation")) == 3


@pytest.mark.rehearsal
def test_sigterm_saves_and_the_next_start_finishes(
    folders, whole_run, capsys, fork_server
):
    run_dir = folders / "terminated"
    config = tiny_config()
    flags = [
        f"--{name}={','.join(value) if isinstance(value, tuple) else value}"
        for part in (config.audio, config.voice_encoder, config.loop)
        for name, value in vars(part).items()
    ]
    paths = train_command.TrainPaths(
        data_dir=f"{folders}/voices",
        decoder_dir=f"{folders}/decoder",
        run_dir=str(run_dir),
    )
    flags += [f"--{name}={value}" for name, value in vars(paths).items()]
    process = fork_server.start("speech2face.train", *flags)
    log = run_dir / "summaries/log.jsonl"
    while not (log.is_file() and log.read_text()):
        assert process.poll() is None, process.stderr
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == ending.STOPPED == 143, process.stderr
    assert "finishing this iteration, then saving" in process.stderr
    printed = process.stdout
    assert printed.startswith("stopped at iteration ") and "of 13" in printed
    reached = tf.train.latest_checkpoint(str(run_dir / "checkpoints"))
    assert reached is not None
    assert train_command.main(paths, config) == 0
    printed = capsys.readouterr().out
    assert f"{run_dir} is finished at iteration 13; train: " in printed
    following = printed.partition("Next: ")[2].partition(", or raise --epochs")[0]
    module, *flags = shlex.split(following.removeprefix("python -m "))
    assert module == evaluate.__name__
    evaluate.check(parse(evaluate.EvaluateOptions, *flags))  # nothing is missing
    assert_bit_identical(run_dir, whole_run)


def test_a_finished_run_says_so_and_what_is_next(whole_run, folders, capsys):
    end = ending.Ending(whole_run, folders / "voices", tiny_config().loop)
    assert end.report(13, "evaluate it") == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{whole_run} was finished already at iteration 13; ")
    newest = log_of(whole_run, "validation")[-1]
    assert f"validation: decoder_l1 {newest['decoder_l1']:.4g}, " in printed
    assert f"total {newest['total']:.4g}" in printed and printed.count("\n") == 1
    assert "Next: evaluate it, or raise --epochs" in printed


@pytest.mark.slow
def test_spectrograms_made_on_the_host_train_the_same(folders, whole_run):
    parsed = []
    record = input_pipeline.spectrogram_parser

    def counted(parse):
        parsed.append(record(parse))
        return parsed[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(input_pipeline, "spectrogram_parser", counted)
        config = tiny_config(host_spectrogram=True, validate_every=0)
        train(folders, folders / "host", config)
    assert len(parsed) == 1
    one, two = final_values(folders / "host"), final_values(whole_run)
    for name, value in two.items():
        np.testing.assert_allclose(one[name], value, atol=1e-3, err_msg=name)
    config = dataclasses.replace(
        tiny_config(host_spectrogram=True),
        voice_encoder=VoiceEncoderConfig(encoder="speaker_embedding"),
    )
    with pytest.raises(ValueError, match="host_spectrogram needs --encoder=table1"):
        train(folders, folders / "none", config)


@pytest.mark.rehearsal
def test_another_seed_gives_another_model(folders, whole_run):
    train(folders, folders / "seed", tiny_config(seed=5, validate_every=0))
    one, two = final_values(whole_run), final_values(folders / "seed")
    assert any(not np.array_equal(one[name], two[name]) for name in one)


def test_a_run_folder_of_another_config_is_refused(folders, whole_run):
    with pytest.raises(ValueError, match=r"other options .*batch_size 2 -> 4"):
        train(folders, whole_run, tiny_config(batch_size=4))
    other = folders / "other_voices"
    write_voice_dataset(other, n=9, splits=("train",))
    with pytest.raises(ValueError, match="another data set"):
        voice_job.train_voice_encoder(
            tiny_config(), other, folders / "decoder", whole_run
        )


@pytest.mark.slow
def test_a_finished_run_can_be_made_longer(folders, finished):
    assert train(folders, finished, tiny_config(epochs=2.2)) == 14
    assert [e["step"] for e in log_of(finished, "validation")] == [5, 10, 13, 14]


@pytest.mark.slow
def test_a_corrupt_checkpoint_falls_back_to_the_one_before(
    folders, whole_run, finished
):
    newest = pathlib.Path(checkpoints.list_checkpoints(finished)[-1])
    (data,) = newest.parent.glob(f"{newest.name}.data*")
    data.write_bytes(data.read_bytes()[:100])
    assert train(folders, finished, tiny_config()) == 13
    assert_bit_identical(finished, whole_run)


@pytest.mark.slow
def test_not_finite_stops_and_keeps_the_last_checkpoint(folders, monkeypatch):
    run_dir = folders / "nan"
    steps = VoiceTrainer.train_steps
    calls = []

    def diverging(self, *arguments):
        calls.append(1)
        terms, n_stops = steps(self, *arguments)
        factor = np.nan if len(calls) > 4 else 1.0
        return {**terms, "total": terms["total"] * factor}, n_stops

    monkeypatch.setattr(VoiceTrainer, "train_steps", diverging)
    with pytest.raises(ValueError, match="loss of iteration 5 is not finite"):
        train(folders, run_dir, tiny_config(validate_every=0))
    newest = tf.train.latest_checkpoint(str(run_dir / "checkpoints"))
    assert newest.endswith("-3")


@pytest.mark.slow
def test_a_run_folder_left_before_its_config_is_begun_again(
    folders, whole_run, tmp_path
):
    config = tiny_config(epochs=0.25, validate_every=0)
    assert run_folder.data_dir_of(whole_run) == str(folders / "voices")
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "run.json").write_bytes((whole_run / "run.json").read_bytes())
    assert train(folders, begun, config) == 1
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="not empty and not a run folder"):
        train(folders, tmp_path / "other", config)


@pytest.mark.slow
def test_two_trainings_do_not_share_a_run_folder(folders, tmp_path):
    config = tiny_config(epochs=0.25, validate_every=0)
    with locks.locked(tmp_path / "run"):
        with pytest.raises(ValueError, match=f"in use: process {os.getpid()} on"):
            train(folders, tmp_path / "run", config)
    assert train(folders, tmp_path / "run", config) == 1


def test_features_of_another_recognizer_are_refused(folders, tmp_path):
    decoder = make_decoder()
    decoder = dataclasses.replace(
        decoder, recognizer=dataset_info.RecognizerInfo("vgg_face", DIM, "1" * 64)
    )
    decoder.save(tmp_path / "decoder")
    with pytest.raises(ValueError, match=r"features of dlib .* of vgg_face"):
        voice_job.train_voice_encoder(
            tiny_config(), folders / "voices", tmp_path / "decoder", tmp_path / "run"
        )


@pytest.mark.slow
def test_a_corrupt_shard_is_named_during_training(folders, tmp_path):
    write_voice_dataset(tmp_path / "voices", n=13, n_shards=1)
    shard = tmp_path / "voices/train-00000-of-00001.tfrecord"
    content = bytearray(shard.read_bytes())
    content[-50] ^= 0xFF
    shard.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"train-00000-of-00001.tfrecord: record 12"):
        voice_job.train_voice_encoder(
            tiny_config(validate_every=0),
            tmp_path / "voices",
            folders / "decoder",
            tmp_path / "run",
        )


@pytest.mark.slow
def test_only_the_voice_encoder_learns(folders):
    config = tiny_config()
    decoder = decoder_bundle.load(folders / "decoder")
    before = decoder.checksum()
    voice = VoiceTrainer(config, decoder)
    waveform = np.random.default_rng(0).normal(size=(4, 43_200)).astype(np.float32)
    batch = {
        "waveform": tf.constant(waveform * 0.1),
        "face_feature": tf.ones([4, DIM]),
    }
    encoder_before = voice.model.get_weights()
    first = voice.train_step(batch)
    for _ in range(20):
        last = voice.train_step(batch)
    assert float(last["total"]) < float(first["total"])
    norms = {f"gradient/{term}" for term in Eq1.TERMS}
    assert norms <= set(first) and not norms & set(voice.evaluate_step(batch))
    expected = voice.model(batch["waveform"], training=False)
    np.testing.assert_allclose(voice.predict_step(batch), expected, rtol=1e-4)
    assert decoder.checksum() == before
    changed = [
        not np.array_equal(one, two)
        for one, two in zip(encoder_before, voice.model.get_weights())
    ]
    assert sum(changed) > len(changed) // 2


def test_run_json_names_what_decides_the_result(whole_run, folders):
    run = json.loads((whole_run / "run.json").read_text())
    info = dataset_info.read(folders / "voices")
    assert run["must_match"]["data_set"] == info.checksum
    assert run["starts"][0]["versions"]["tensorflow"] == tf.__version__
