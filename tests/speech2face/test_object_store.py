"""The whole job on a real S3 server of this machine: the same as on a disk."""

import dataclasses
import shutil
import signal
import time

import numpy as np
import pytest

from speech2face import buckets, export
from speech2face.artifacts import checkpoints
from speech2face.buckets import BucketPath
from speech2face.export import ExportOptions
from speech2face.files import as_path
from speech2face.inference import evaluation
from speech2face.inference.model import Speech2Face
from speech2face.training import summaries
from tests.helpers import small_training
from tests.helpers.object_store import BUCKET, s3_server
from tests.helpers.records import write_voice_dataset
from tests.helpers.tiny_models import final_values, make_model

TRAINING = "tests.helpers.small_training"


@pytest.fixture(scope="module")
def s3():
    """The environment of a server; also set in this process."""
    with s3_server() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield environment


@pytest.fixture(scope="module")
def voices(tmp_path_factory, s3):
    folder = tmp_path_factory.mktemp("s3") / "voices"
    write_voice_dataset(folder, n=14, n_shards=3)
    buckets.upload_folder(folder, BucketPath(f"{BUCKET}/voices"), ("dataset.json",))
    return folder


@pytest.mark.slow
def test_a_training_that_is_killed_and_resumed(s3, voices, tmp_path, fork_server):
    small_training.train(
        voices, tmp_path / "run", dataclasses.replace(small_training.LOOP, epochs=8.0)
    )
    run_dir = f"{BUCKET}/run"
    arguments = (TRAINING, f"{BUCKET}/voices", run_dir, "none")
    s3 = {**s3, "SMALL_TRAINING_EPOCHS": "8"}
    process = fork_server.start(*arguments, **s3)
    end = time.monotonic() + 240
    while not checkpoints.newest_step(run_dir) and time.monotonic() < end:
        assert process.poll() is None, process.stderr[-3000:]
        time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert 0 < checkpoints.newest_step(run_dir) < 28
    process = fork_server.start(*arguments, **s3)
    assert process.wait(300) == 0, process.stderr[-3000:]
    for path in (as_path(run_dir) / "checkpoints").iterdir():
        copy = tmp_path / "copy" / "checkpoints" / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        path.download(copy)
    expected = final_values(tmp_path / "run")
    for name, value in final_values(tmp_path / "copy").items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    losses = [(entry["step"], entry["total"]) for entry in summaries.read_log(run_dir)]
    whole = summaries.read_log(tmp_path / "run")
    assert losses == [(entry["step"], entry["total"]) for entry in whole]


@pytest.mark.slow
def test_evaluation_and_export(s3, voices, tmp_path):
    model = make_model()
    model.save(f"{BUCKET}/bundle")
    loaded = Speech2Face.load(f"{BUCKET}/bundle")
    here = evaluation.evaluate(loaded, voices, "train", tmp_path, 2.7)
    there = evaluation.evaluate(
        loaded, f"{BUCKET}/voices", "train", f"{BUCKET}/results", 2.7
    )
    for name in ("retrieval", "feature_similarity"):
        assert there[name] == here[name]
    predicted = evaluation.Predictions.load(f"{BUCKET}/results")
    expected = evaluation.Predictions.load(tmp_path)
    assert predicted.clip_ids == expected.clip_ids
    np.testing.assert_array_equal(predicted.voice_features, expected.voice_features)
    export.main(
        ExportOptions(run_dir=f"{BUCKET}/bundle", output_dir=f"{BUCKET}/exported")
    )
    again = Speech2Face.load(f"{BUCKET}/exported").encoder.get_weights()
    for one, two in zip(again, model.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.rehearsal
def test_a_data_set_is_built(s3, tmp_path):
    from data_prep.jobs import voice
    from data_prep.options import JobOptions
    from experiments.benchmarks import scenes
    from tests.helpers.damaged_media import write_clip

    media = tmp_path / "media"
    media.mkdir()
    picture = scenes.draw(240, 320, 95, 0).picture
    write_clip(media / "one.mp4", [picture], secs=4.0)
    rows = [f"c{i},one.mp4,{i},{i / 10},," for i in range(4)] + ["late,one.mp4,9,9,,"]
    header = "clip_id,media,speaker_id,start_secs,face_x,face_y"
    (media / "clips.csv").write_text("\n".join([header, *rows]) + "\n")
    shutil.copytree(media, tmp_path / "copy")
    buckets.upload_folder(tmp_path / "copy", BucketPath(f"{BUCKET}/media"), ())

    def build(source, output_dir, n_workers):
        options = JobOptions(
            manifest=f"{source}/clips.csv",
            output_dir=str(output_dir),
            recognizer="dlib",
            clips_per_chunk=2,
            n_workers=n_workers,
        )
        return voice.build_voice_records(options, voice.VoiceOptions())

    report = build(f"{BUCKET}/media", f"{BUCKET}/built", n_workers=2)
    assert (report["records"], report["rejected"]) == (4, 1)
    build(media, tmp_path / "built", n_workers=1)
    names = {path.name for path in as_path(f"{BUCKET}/built").iterdir()}
    assert names == {path.name for path in (tmp_path / "built").iterdir()}
    for path in (tmp_path / "built").glob("*.tfrecord"):
        there = as_path(f"{BUCKET}/built") / path.name
        assert there.read_bytes() == path.read_bytes()
    # Again: it is finished, and says so.
    assert build(f"{BUCKET}/media", f"{BUCKET}/built", 1)["records"] == 4
