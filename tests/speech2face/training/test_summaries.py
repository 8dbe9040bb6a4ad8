"""What a run says: TensorBoard's own readers find all of it, and so does the log."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing import (
    data_provider,
    event_accumulator,
    plugin_event_multiplexer,
)
from tensorboard.plugins import base_plugin
from tensorboard.plugins.projector import projector_plugin
from werkzeug.test import Client

from speech2face import images, paper
from speech2face.data import records
from speech2face.training import projector, summaries
from tests.helpers.slow import takes_seconds
from tests.helpers.tiny_models import tiny_config, train

N_PROJECTED = 5
TERMS = ("decoder_l1", "feature_l2", "distillation", "total")


@pytest.fixture(scope="module")
@takes_seconds
def run_dir(folders):
    path = folders / "seen"
    config = tiny_config(histograms_every=6, projector_examples=N_PROJECTED)
    assert train(folders, path, config) == 13
    return path


def read_events(run_dir, kind):
    unlimited = {name: 0 for name in event_accumulator.DEFAULT_SIZE_GUIDANCE}
    folder = str(run_dir / "summaries" / kind)
    events = event_accumulator.EventAccumulator(folder, unlimited)
    return events.Reload()


def points(events, tag):
    """step -> the number."""
    from tensorboard.util import tensor_util

    return {
        event.step: float(tensor_util.make_ndarray(event.tensor_proto))
        for event in events.Tensors(tag)
    }


@pytest.mark.parametrize("kind", ["train", "validation"])
def test_tensorboard_and_the_log_say_the_same(run_dir, kind):
    log = [entry for entry in summaries.read_log(run_dir) if entry["kind"] == kind]
    events = read_events(run_dir, kind)
    assert [entry["step"] for entry in log] == (
        [2, 4, 6, 8, 10, 12, 13] if kind == "train" else [5, 10, 13]
    )
    for name in set(log[0]) - {"kind", "step"}:
        logged = {entry["step"]: entry[name] for entry in log}
        assert points(events, name) == pytest.approx(logged, rel=1e-6), name


def test_what_is_there_to_see(run_dir):
    train_log, validation_log = (
        [entry for entry in summaries.read_log(run_dir) if entry["kind"] == kind][-1]
        for kind in ("train", "validation")
    )
    assert {*TERMS, "learning_rate", "examples_per_sec"} <= set(train_log)
    assert {*TERMS, "cos_deg", "recall_percent_10", "median_rank"} <= set(
        validation_log
    )
    assert train_log["learning_rate"] == pytest.approx(1e-3)
    assert train_log["examples_per_sec"] > 0
    (image,) = read_events(run_dir, "validation").Tensors("faces")[-1:]
    width, height, png = image.tensor_proto.string_val
    picture = Image.open(io.BytesIO(png))
    step = paper.FACE_PX + images.MARGIN_PX
    titled = images.LINE_PX + images.MARGIN_PX + 6 * step + images.MARGIN_PX
    expected = (3 * step + images.MARGIN_PX, titled)
    assert picture.size == (int(width), int(height)) == expected


def test_histograms_are_of_every_weight_when_asked_for(run_dir):
    events = read_events(run_dir, "train")
    tags = [tag for tag in events.Tags()["tensors"] if tag.endswith("/kernel")]
    assert len(tags) == 11  # the rows of Table 1 with weights
    assert [event.step for event in events.Tensors(tags[0])] == [6, 12]


@pytest.fixture(scope="module")
def serve(run_dir):
    """path, query -> bytes, of TensorBoard's projector on the run."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(run_dir)).Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(run_dir))
    context = base_plugin.TBContext(
        logdir=str(run_dir), data_provider=provider, multiplexer=multiplexer
    )
    apps = projector_plugin.ProjectorPlugin(context).get_plugin_apps()

    def get(path, **query):
        response = Client(apps[path]).get(path, query_string=query)
        assert response.status_code == 200, response.data
        return response.data

    return get


def test_the_projector_shows_faces_and_voices(run_dir, serve):
    run = "summaries/validation"
    assert run in json.loads(serve("/runs"))
    (embedding,) = json.loads(serve("/info", run=run))["embeddings"]
    assert embedding["tensorShape"] == [2 * N_PROJECTED, 8]
    query = {"run": run, "name": embedding["tensorName"]}
    tensor = np.frombuffer(serve("/tensor", **query), np.float32).reshape(-1, 8)
    assert np.linalg.matrix_rank(tensor) == 8
    rows = [
        line.split("\t") for line in serve("/metadata", **query).decode().splitlines()
    ]
    assert rows[0] == ["kind", "clip", "gender"]
    assert rows[1:] == [
        [kind, str(index), "female"]
        for kind in ("face", "voice")
        for index in range(N_PROJECTED)
    ]
    sprite = Image.open(io.BytesIO(serve("/sprite_image", **query)))
    assert sprite.size == (4 * 64, 4 * 64)


def test_projected_features_are_those_of_the_clips(run_dir, folders):
    text = (run_dir / "summaries/validation/features.tsv").read_text()
    found = np.array([line.split("\t") for line in text.splitlines()], np.float32)
    examples = list(records.iterate_voice_examples(folders / "voices", "val"))
    # The normalizer of make_decoder: (raw - 0.1) * 0.5.
    expected = [(e.face_feature - 0.1) * 0.5 for e in examples[:N_PROJECTED]]
    np.testing.assert_allclose(found[:N_PROJECTED], expected, rtol=1e-4, atol=1e-5)


def test_nobody_is_named(tmp_path):
    labels = [
        {"gender": "male", "name": "A. Person", "age": "3\t1\n", "speaker": "id7"},
        {"name": "B. Person"},
    ]
    images = {"face": np.zeros([2, 8, 8, 3], np.uint8)}
    images["face"][1] = 200
    projector.write(tmp_path, {"face": np.eye(2)}, images, labels)
    text = (tmp_path / "metadata.tsv").read_text()
    assert text == "kind\tclip\tgender\tage\nface\t0\tmale\t3 1\nface\t1\t\t\n"
    assert all("Person" not in p.read_text("latin1") for p in tmp_path.iterdir())
    sprite = np.asarray(Image.open(tmp_path / "faces.png"))
    assert sprite[:64, :64].max() == 0 and sprite[:64, 64:128].min() == 200
