"""Clips embedded once train the head as clips embedded at every step do."""

import numpy as np
import pytest
from test_records import write_voice_dataset
from test_training import final_values, make_decoder

from speech2face import (
    dataset_info,
    frozen_embeddings,
    input_pipeline,
    training,
)
from speech2face.config import (
    AudioConfig,
    AugmentConfig,
    LoopConfig,
    OptimizerConfig,
    VoiceEncoderConfig,
    VoiceTrainingConfig,
)
from speech2face.models import speaker_embedding

CONFIG = VoiceTrainingConfig(
    audio=AudioConfig(clip_secs=1.0),
    voice_encoder=VoiceEncoderConfig(
        encoder="speaker_embedding",
        speaker_embedders=("resemblyzer",),
        speaker_noise=0.5,
    ),
    loop=LoopConfig(batch_size=4, epochs=2.0, validate_every=0),
)


TABLE_1 = VoiceTrainingConfig(
    audio=AudioConfig(clip_secs=2.7),
    voice_encoder=VoiceEncoderConfig(width=1 / 64, head_dropout=0.2),
    optimizer=OptimizerConfig(last_layer_only=True),
    loop=CONFIG.loop,
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("frozen")
    write_voice_dataset(root / "voices", n=9)
    make_decoder().save(root / "decoder")
    return root


def train(folders, config, name):
    run_dir = folders / f"{config.voice_encoder.encoder}_{name}"
    training.train_voice_encoder(
        config, folders / "voices", folders / "decoder", run_dir
    )
    return final_values(run_dir)


@pytest.mark.parametrize("config", [CONFIG, TABLE_1], ids=["embedder", "table_1"])
def test_training_is_the_same_as_with_waveforms(config, folders, monkeypatch):
    once = train(folders, config, "once")
    monkeypatch.setattr(frozen_embeddings, "is_possible", lambda config: False)
    each_time = train(folders, config, "each_time")
    assert once.keys() == each_time.keys()
    assert len(once) > 10
    for name, value in once.items():
        np.testing.assert_allclose(
            value, each_time[name], rtol=1e-4, atol=1e-4, err_msg=name
        )


def test_each_clip_has_its_own_embedding(folders):
    embed = speaker_embedding.build_embedding(("resemblyzer",))
    data_dir = folders / "voices"
    info = dataset_info.read(data_dir)
    parse = input_pipeline.voice_parser(info, CONFIG.audio, CONFIG.augment, seed=0)
    cached = frozen_embeddings.embedding_parser(data_dir, info, "train", parse, embed)
    arguments = (data_dir, info, CONFIG.loop)
    waveforms = list(input_pipeline.training_batches(*arguments, parse))
    embeddings = list(input_pipeline.training_batches(*arguments, cached))
    for one, two in zip(waveforms, embeddings):
        np.testing.assert_array_equal(one["clip_id"], two["clip_id"])
        expected = embed(one["waveform"])
        np.testing.assert_allclose(two["embedding"], expected, atol=1e-5)
    assert np.ptp(embeddings[0]["embedding"], axis=0).max() > 0.01


def test_only_unchanged_waveforms_have_one_embedding():
    assert frozen_embeddings.is_possible(CONFIG)
    louder = AugmentConfig(gain_db=6.0)
    assert not frozen_embeddings.is_possible(
        VoiceTrainingConfig(voice_encoder=CONFIG.voice_encoder, augment=louder)
    )
    assert frozen_embeddings.is_possible(TABLE_1)
    assert not frozen_embeddings.is_possible(VoiceTrainingConfig())
