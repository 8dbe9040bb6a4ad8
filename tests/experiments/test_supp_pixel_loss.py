"""The loss in image space: runs with and without it, and the loss itself."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from experiments import supp_pixel_loss
from experiments.lib import results
from experiments.lib.inputs import Runs
from speech2face import images
from speech2face.config import LossConfig
from speech2face.images import MARGIN_PX
from speech2face.training.voice import Eq1
from tests.helpers.face_sheets import STEP
from tests.helpers.records import DIM
from tests.helpers.tiny_material import shared_material
from tests.helpers.tiny_models import make_decoder, tiny_config
from tests.helpers.tiny_runs import write_run


@pytest.mark.slow
def test_a_run_is_compared_with_and_one_without(run_dir, tmp_path):
    inputs = dataclasses.replace(shared_material().inputs, output_dir=str(tmp_path))
    with pytest.raises(results.NotApplicable, match="ablation_pixel_loss"):
        supp_pixel_loss.run(Runs((run_dir, run_dir)), inputs)
    config = dataclasses.replace(tiny_config(), loss=LossConfig(pixel_weight=1.0))
    pixel_run = write_run(tmp_path / "pixels", config)
    result = supp_pixel_loss.run(Runs((run_dir, pixel_run)), inputs, 2.7)
    losses = [row.keys["loss"] for row in result.rows]
    assert losses == ["feature losses"] * 4 + ["image loss"] * 4
    sheet = images.decode_image(result.picture)
    # A photograph, F2F, and a column for each run.
    assert sheet.shape[1] == 4 * STEP + MARGIN_PX


def test_the_image_loss_is_of_the_decoded_pictures_and_reaches_the_voice():
    decoder = make_decoder()
    generator = np.random.default_rng(0)
    raw = generator.normal(size=(2, DIM)).astype(np.float32)
    voice = tf.Variable(generator.normal(size=(2, DIM)).astype(np.float32))
    config = LossConfig(decoder_weight=0.0, lambda1=0.0, lambda2=0.0, pixel_weight=3.0)
    with tf.GradientTape() as tape:
        terms = Eq1(decoder)(config, raw, voice)
    true = decoder.model(decoder.normalizer.normalize(raw))["image"].numpy()
    own = decoder.model(voice.numpy())["image"].numpy()
    expected = np.abs(own - true).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(terms["pixel"], expected, rtol=1e-5)
    np.testing.assert_allclose(terms["total"], 3 * expected, rtol=1e-5)
    assert np.abs(tape.gradient(terms["total"], voice)).max() > 0
    assert "pixel" not in Eq1(decoder)(LossConfig(), raw, voice)
