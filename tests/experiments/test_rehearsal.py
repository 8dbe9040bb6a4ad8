"""The rehearsal of the recipe: in little, and the parts of its measurement."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from experiments import rehearsal
from experiments.lib import generated_vgg_face
from experiments.lib.results import Result, Row
from experiments.rehearsal import RehearsalOptions
from speech2face.artifacts import run_folder
from speech2face.config import LoopConfig, VoiceTrainingConfig
from speech2face.errors import UserError
from speech2face.recognizers.vgg_face import VggFace, vgg_face_head
from speech2face.training import losses
from speech2face.training.summaries import read_log
from speech2face.weights.vgg_face_size import VggFaceSize
from tests.helpers.commands import parse
from tests.helpers.paths import REPOSITORY


@pytest.mark.rehearsal
@pytest.mark.slow
def test_the_recipe_in_little(tmp_path, fork_server, monkeypatch):
    """All of its commands, and the curves; nothing is learned in 12 iterations."""

    def run(command):
        process = fork_server.start(*command, TF_ENABLE_ONEDNN_OPTS="1")
        assert process.wait() == 0, process.stdout[-2000:] + process.stderr[-2000:]

    monkeypatch.setattr(rehearsal, "run", run)  # or each imports TensorFlow
    rehearsal.main(RehearsalOptions(output_dir=str(tmp_path), short=True))
    run_dir = tmp_path / "runs" / "voice"
    assert read_log(run_dir)[-1]["step"] == 12
    trained = run_folder.read_config(run_dir, VoiceTrainingConfig)
    flags = REPOSITORY / "configs" / "paper.flags"
    paper = parse(VoiceTrainingConfig, f"--flagfile={flags}")
    # Nothing else but the intervals of the log differs from the paper's flags.
    encoder = dataclasses.replace(paper.voice_encoder, width=0.03125)
    loop = dataclasses.replace(
        paper.loop,
        **{
            name: getattr(trained.loop, name)
            for name in ("epochs", "save_every", "summarize_every", "validate_every")
        },
    )
    assert trained == dataclasses.replace(paper, voice_encoder=encoder, loop=loop)
    assert Image.open(tmp_path / "rehearsal.png").size[0] > 900
    assert "training: angle (deg)" in (tmp_path / "rehearsal.md").read_text()


@pytest.mark.parametrize("length", [0.2, 60.0])
def test_length_and_angle_from_the_log(length):
    """Against the vectors themselves and the gradient that TensorFlow computes."""
    random = np.random.default_rng(0)
    true, direction = random.normal(size=(2, 1, 40))
    cosine = (true * direction).sum() / np.linalg.norm(true) / np.linalg.norm(direction)
    voice = tf.constant(direction / np.linalg.norm(direction) * length)
    with tf.GradientTape() as tape:
        tape.watch(voice)
        term = losses.normalized_l2(tf.constant(true), voice)
    entry = {
        "feature_l2": float(term[0]),
        "gradient/feature_l2": float(tf.norm(tape.gradient(term, voice))),
    }
    np.testing.assert_allclose(
        rehearsal.angle_deg(entry), np.degrees(np.arccos(cosine))
    )
    np.testing.assert_allclose(rehearsal.voice_length(entry), length, rtol=1e-6)


def test_the_generated_recognizer_has_its_geometry(tmp_path):
    size = VggFaceSize(
        blocks=((4, 4), (6, 6), (8,), (8,), (8,)), fc_units=96, n_classes=30
    )
    crops = np.random.default_rng(0).integers(0, 256, [12, 224, 224, 3], np.uint8)
    generated_vgg_face.write(tmp_path / "vgg_face.h5", crops, size)
    features = VggFace(tmp_path / "vgg_face.h5").features(crops)
    mean = features.mean(0)
    spread = np.linalg.norm(features - mean, axis=1).mean()
    np.testing.assert_allclose(np.linalg.norm(mean) / spread, 0.8, rtol=0.01)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1).mean(), 64, rtol=1e-3)
    logits = vgg_face_head(tmp_path / "vgg_face.h5").logits(features)
    np.testing.assert_allclose(np.std(logits, axis=1).mean(), 1, rtol=1e-3)


def rows(angle, low):
    return [
        Row({"measure": "training: angle"}, ours=34.0, chance=51.0),
        Row({"measure": "angle"}, ours=angle, chance=51.0),
        Row({"measure": "recall"}, ours=20.0, ci95=(low, 30.0), chance=10.0),
        Row({"measure": "rank"}, ours=3.0),
    ]


@pytest.mark.parametrize(
    ("angle", "low", "is_enough"),
    [(50.0, 12.0, True), (52.0, 12.0, False), (50.0, 9.0, False)],
)
def test_what_a_rehearsal_must_reach(angle, low, is_enough):
    result = Result("rehearsal", "", "", rows(angle, low))
    if is_enough:
        rehearsal.check(result)
    else:
        with pytest.raises(UserError, match="has not trained yet"):
            rehearsal.check(result)


def test_the_iterations_are_those_asked_for(tmp_path, monkeypatch):
    """Whatever the number of clips: the loop counts epochs."""

    class Info:
        def n_examples(self, split):
            return {"train": n_clips}[split]

    monkeypatch.setattr(rehearsal.dataset_info, "read", lambda *_, **__: Info())
    folders = rehearsal.Folders(tmp_path)
    for n_clips in (8, 97, 504, 1_700_000):
        for iterations in (1, 250, 2500):
            epochs = rehearsal._epochs(folders, iterations)
            loop = LoopConfig(epochs=epochs)
            assert int(loop.epochs * n_clips / loop.batch_size) == iterations
