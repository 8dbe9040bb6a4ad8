"""Table 1 taught by a speaker recogniser, and what it keeps for learning faces."""

import dataclasses

import keras
import numpy as np
import pytest
from test_records import write_voice_dataset
from test_training import make_decoder

from speech2face import checkpoints, pretraining, training, transfer
from speech2face.config import (
    AudioConfig,
    AugmentConfig,
    LoopConfig,
    OptimizerConfig,
    PretrainingConfig,
    VoiceEncoderConfig,
    VoiceTrainingConfig,
)
from speech2face.models import speaker_embedding, voice_encoder

ENCODER = VoiceEncoderConfig(width=1 / 64, speaker_embedders=("resemblyzer",))
CONFIG = PretrainingConfig(
    audio=AudioConfig(clip_secs=2.7),
    voice_encoder=ENCODER,
    augment=AugmentConfig(speed=0.3),
    loop=LoopConfig(batch_size=4, epochs=2.0, validate_every=2),
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("pretraining")
    write_voice_dataset(root / "voices", n=5, splits=("train", "val"))
    make_decoder().save(root / "decoder")
    pretraining.pretrain_voice_encoder(CONFIG, root / "voices", root / "pretrained")
    return root


def layers_of(encoder):
    return {
        layer.name: [np.array(w) for w in layer.get_weights()]
        for layer in voice_encoder.table_1_layers(encoder)
        if layer.weights
    }


def restored(run_dir, model):
    checkpoints.Checkpointer(run_dir, model).restore_latest(required=True)
    return layers_of(model)


def test_the_loss_is_the_share_of_the_teachers_variance_that_is_missed():
    trainer = pretraining.DistillationTrainer(CONFIG)
    rng = np.random.default_rng(0)
    waveform = (0.1 * rng.normal(size=(2, 48_000))).astype(np.float32)
    embedding = speaker_embedding.build_embedding(("resemblyzer",))(waveform)
    found = np.asarray(trainer.model(waveform, training=False))
    expected = np.mean((found - np.asarray(embedding) / 0.038) ** 2, axis=1)
    loss = trainer.losses({"waveform": waveform}, training=False)["total"]
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    last = voice_encoder.table_1_layers(trainer.model)[-1]
    last.kernel.assign(np.zeros(last.kernel.shape))
    last.bias.assign(np.asarray(embedding)[0] / 0.038)  # the student knows one voice
    loss = trainer.losses({"waveform": waveform}, training=False)["total"]
    assert float(loss[0]) == pytest.approx(0, abs=1e-4) and float(loss[1]) > 1e-3


def test_a_student_starts_at_the_mean_of_its_teacher():
    trainer = pretraining.DistillationTrainer(CONFIG)
    rng = np.random.default_rng(0)
    waveform = (0.1 * rng.normal(size=(3, 48_000))).astype(np.float32)
    embedding = speaker_embedding.build_embedding(("resemblyzer",))(waveform)
    trainer.start_at_mean({"waveform": waveform})
    last = voice_encoder.table_1_layers(trainer.model)[-1]
    np.testing.assert_allclose(
        last.bias, np.mean(embedding, axis=0) / 0.038, rtol=1e-4, atol=1e-4
    )


def test_a_damaged_data_set_is_the_same_to_it_as_to_any_training(tmp_path):
    write_voice_dataset(tmp_path / "voices", n=5, n_shards=2, splits=("train",))
    shard = sorted((tmp_path / "voices").glob("train-*"))[0]
    shard.write_bytes(shard.read_bytes()[:-100])
    loop = dataclasses.replace(CONFIG.loop, validate_every=0, epochs=1.0)
    arguments = tmp_path / "voices", tmp_path / "run"
    with pytest.raises(ValueError, match=shard.name):
        config = dataclasses.replace(CONFIG, loop=loop)
        pretraining.pretrain_voice_encoder(config, *arguments)
    loop = dataclasses.replace(loop, skip_corrupt=True)
    config = dataclasses.replace(CONFIG, loop=loop)
    assert pretraining.pretrain_voice_encoder(config, *arguments) == 1


def test_a_student_learns(folders):
    names = [v.path for v in transfer.build_student(ENCODER, "float32").variables]
    student = transfer.build_student(ENCODER, "float32")
    before = {k: v for k, v in layers_of(student).items()}
    after = restored(folders / "pretrained", student)
    assert len(names) > 30 and before.keys() == after.keys()
    assert all(np.abs(after[k][0] - before[k][0]).max() > 0 for k in after)
    log = (folders / "pretrained" / "summaries" / "log.jsonl").read_text()
    assert '"validation"' in log


def test_all_but_the_last_layer_is_taken_over(folders):
    student = transfer.build_student(ENCODER, "float32")
    taught = restored(folders / "pretrained", student)
    encoder = voice_encoder.build_voice_encoder(ENCODER, 128)
    own = layers_of(encoder)
    transfer.start_from(folders / "pretrained", encoder)
    for name, weights in layers_of(encoder).items():
        source = own if name == "fc2" else taught
        for weight, expected in zip(weights, source[name]):
            np.testing.assert_array_equal(weight, expected, err_msg=name)
    assert taught["fc2"][0].shape[-1] == 256 and own["fc2"][0].shape[-1] == 128


def test_only_the_last_layer_is_trained_on_it(folders):
    config = VoiceTrainingConfig(
        audio=CONFIG.audio,
        voice_encoder=ENCODER,
        optimizer=OptimizerConfig(last_layer_only=True),
        loop=LoopConfig(batch_size=4, epochs=2.0, validate_every=0),
    )
    training.train_voice_encoder(
        config,
        folders / "voices",
        folders / "decoder",
        folders / "run",
        init_dir=folders / "pretrained",
    )
    decoder = make_decoder()
    encoder = voice_encoder.build_voice_encoder(ENCODER, decoder.recognizer.feature_dim)
    learned = restored(folders / "run", encoder)
    taught = restored(
        folders / "pretrained", transfer.build_student(ENCODER, "float32")
    )
    for name in taught.keys() - {"fc2"}:  # moving averages of the batches, too
        for weight, expected in zip(learned[name], taught[name]):
            np.testing.assert_array_equal(weight, expected, err_msg=name)
    assert np.abs(learned["fc2"][1]).max() > 1e-4  # biases start at 0


def test_another_network_is_refused(folders):
    wider = dataclasses.replace(ENCODER, width=1 / 32)
    encoder = voice_encoder.build_voice_encoder(wider, 128)
    with pytest.raises(ValueError, match="its conv1 differs; give both .* the same"):
        transfer.start_from(folders / "pretrained", encoder)
    keras.utils.clear_session()
    head = VoiceEncoderConfig(
        encoder="speaker_embedding", speaker_embedders=("resemblyzer",)
    )
    with pytest.raises(ValueError, match="not Table 1: give --encoder=table1"):
        transfer.start_from(
            folders / "pretrained", voice_encoder.build_voice_encoder(head, 128)
        )
    with pytest.raises(ValueError, match="is the teacher; pretrain table1"):
        config = dataclasses.replace(CONFIG, voice_encoder=head)
        pretraining.pretrain_voice_encoder(config, folders / "voices", folders / "x")
