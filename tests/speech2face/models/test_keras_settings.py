"""Keras has the settings of the networks, whatever the user's `keras.json` says."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from speech2face.errors import UserError
from speech2face.models import check_keras_settings
from tests.helpers.paths import REPOSITORY

VOICE = REPOSITORY / "speech2face" / "examples" / "woman_27.ogg"


@pytest.mark.rehearsal
def test_a_command_has_its_own_settings(tmp_path):
    settings = {
        "backend": "torch",
        "floatx": "float16",
        "image_data_format": "channels_first",
        "epsilon": 1e-3,
    }
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "speech2face.reconstruct", f"--audio={VOICE}"]
    features = []
    for name, settings_of_user in (
        ("plain", {}),
        ("other", {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "jax"}),
    ):
        environment = {k: v for k, v in os.environ.items() if k[:5] != "KERAS"}
        subprocess.run(
            [*command, f"--output_dir={tmp_path / name}"],
            env={**environment, **settings_of_user},
            cwd=REPOSITORY,
            check=True,
        )
        results = json.loads((tmp_path / name / "results.json").read_text())
        features.append(results[0]["feature"])
    np.testing.assert_array_equal(*features)


def test_in_python_other_settings_are_named():
    check_keras_settings()
    try:
        keras.config.set_floatx("float16")
        with pytest.raises(
            UserError, match=r"Keras has floatx=float16.* need .*float32"
        ):
            check_keras_settings()
    finally:
        keras.config.set_floatx("float32")
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        with pytest.raises(UserError, match="dtype_policy=mixed_bfloat16"):
            check_keras_settings()
    finally:
        keras.config.set_dtype_policy(before)
