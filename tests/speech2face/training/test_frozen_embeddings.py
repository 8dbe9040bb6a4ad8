"""Clips embedded once train the head as clips embedded at every step do."""

import numpy as np
import pytest

from speech2face.config import (
    AudioConfig,
    AugmentConfig,
    LoopConfig,
    VoiceEncoderConfig,
    VoiceTrainingConfig,
)
from speech2face.data import dataset_info, input_pipeline
from speech2face.models import speaker_embedding
from speech2face.training import frozen_embeddings, voice_job
from tests.helpers.records import write_voice_dataset
from tests.helpers.tiny_models import final_values, make_decoder

CONFIG = VoiceTrainingConfig(
    audio=AudioConfig(clip_secs=1.0),
    voice_encoder=VoiceEncoderConfig(
        encoder="speaker_embedding",
        speaker_noise=0.5,
    ),
    loop=LoopConfig(batch_size=4, epochs=2.0, validate_every=0),
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("frozen")
    write_voice_dataset(root / "voices", n=9)
    make_decoder().save(root / "decoder")
    return root


def train(folders, config, name):
    run_dir = folders / name
    voice_job.train_voice_encoder(
        config, folders / "voices", folders / "decoder", run_dir
    )
    return final_values(run_dir)


@pytest.mark.rehearsal
def test_training_is_the_same_as_with_waveforms(folders, monkeypatch):
    once = train(folders, CONFIG, "once")
    monkeypatch.setattr(frozen_embeddings, "is_possible", lambda config: False)
    each_time = train(folders, CONFIG, "each_time")
    assert once.keys() == each_time.keys()
    assert len(once) > 10
    for name, value in once.items():
        np.testing.assert_allclose(
            value, each_time[name], rtol=1e-4, atol=1e-4, err_msg=name
        )


@pytest.mark.slow
def test_each_clip_has_its_own_embedding(folders):
    embed = speaker_embedding.build_embedding()
    data_dir = folders / "voices"
    info = dataset_info.read(data_dir)
    parse = input_pipeline.voice_parser(info, CONFIG.audio, CONFIG.augment, seed=0)
    clips = frozen_embeddings.embed_split(data_dir, info, "train", parse, embed)
    cached = frozen_embeddings.embedding_parser(clips, parse)
    arguments = (data_dir, info, CONFIG.loop)
    waveforms = list(input_pipeline.training_batches(*arguments, parse))
    embeddings = list(input_pipeline.training_batches(*arguments, cached))
    for one, two in zip(waveforms, embeddings):
        np.testing.assert_array_equal(one["clip_id"], two["clip_id"])
        expected = embed(one["waveform"])
        np.testing.assert_allclose(two["embedding"], expected, atol=1e-4)
    assert np.ptp(embeddings[0]["embedding"], axis=0).max() > 0.01


def test_only_unchanged_waveforms_have_one_embedding():
    assert frozen_embeddings.is_possible(CONFIG)
    louder = AugmentConfig(gain_db=6.0)
    assert not frozen_embeddings.is_possible(
        VoiceTrainingConfig(voice_encoder=CONFIG.voice_encoder, augment=louder)
    )
    assert not frozen_embeddings.is_possible(VoiceTrainingConfig())
