"""Tiny networks of the real architecture, their training, and what it leaves."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from speech2face.artifacts import decoder_bundle
from speech2face.config import (
    AudioConfig,
    FaceDecoderConfig,
    LoopConfig,
    VoiceEncoderConfig,
    VoiceTrainingConfig,
)
from speech2face.data import dataset_info
from speech2face.data.normalizer import FeatureNormalizer
from speech2face.inference import model as inference_model
from speech2face.models import face_decoder, voice_encoder
from speech2face.recognizers.base import RecognizerHead
from speech2face.training import summaries, voice_job
from tests.helpers.records import DIM

TINY_DECODER = FaceDecoderConfig(
    decoder_units=6, landmark_units=(4,), texture_channels=(4, 4, 4, 4, 4)
)


def tiny_config(**loop):
    defaults = {
        "batch_size": 2,
        "epochs": 2.0,
        "save_every": 3,
        "summarize_every": 2,
        "validate_every": 5,
    }
    return VoiceTrainingConfig(
        audio=AudioConfig(clip_secs=2.7),
        voice_encoder=VoiceEncoderConfig(width=1 / 64, head_dropout=0.2),
        loop=LoopConfig(**{**defaults, **loop}),
    )


def make_decoder():
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(0)
    mean_landmarks = random.uniform(60, 160, (68, 2)).astype(np.float32)
    return decoder_bundle.DecoderBundle(
        model=face_decoder.build_face_decoder(TINY_DECODER, DIM, mean_landmarks),
        config=TINY_DECODER,
        normalizer=FeatureNormalizer(np.full(DIM, 0.1, np.float32), 0.5),
        head=RecognizerHead(
            random.normal(size=(DIM, 3)).astype(np.float32),
            np.zeros(3, np.float32),
            relu_input=True,
        ),
        mean_landmarks=mean_landmarks,
        mean_feature=np.zeros(DIM, np.float32),
        recognizer=dataset_info.RecognizerInfo("dlib", DIM, "0" * 64),
    )


def make_model(seed=2, **changed):
    config = tiny_config()
    encoder_config = dataclasses.replace(config.voice_encoder, **changed)
    config = dataclasses.replace(config, voice_encoder=encoder_config)
    keras.utils.set_random_seed(seed)
    encoder = voice_encoder.build_voice_encoder(config.voice_encoder, DIM)
    return inference_model.Speech2Face(encoder, make_decoder(), config)


def train(folders, run_dir, config):
    return voice_job.train_voice_encoder(
        config, folders / "voices", folders / "decoder", run_dir
    )


def final_values(run_dir):
    reader = tf.train.load_checkpoint(str(run_dir / "checkpoints"))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if "OBJECT_GRAPH" not in name and "save_counter" not in name
    }


def assert_bit_identical(run_dir, other):
    one, two = final_values(run_dir), final_values(other)
    assert one.keys() == two.keys() and len(one) > 50
    for name, value in one.items():
        np.testing.assert_array_equal(value, two[name], err_msg=name)


def log_of(run_dir, kind):
    return [entry for entry in summaries.read_log(run_dir) if entry["kind"] == kind]
