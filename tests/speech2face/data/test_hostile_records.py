"""Records that somebody else wrote: other schemas, other sound, other pictures."""

import io

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from PIL import Image

from speech2face.data import (
    dataset_info,
    parsing,
    records,
)
from speech2face.errors import UserError
from speech2face.training import failures
from tests.helpers.records import DIM, face_example, voice_example


def test_a_record_of_another_schema_is_refused():
    with pytest.raises(ValueError, match="lacks audio, audio_encoding"):
        records.decode_voice_example(records.encode_face_example(face_example()))
    with pytest.raises(ValueError, match=r"not a tf.train.Example"):
        records.decode_voice_example(b"\xff\xff\xff")


def test_values_of_another_kind_are_refused():
    record = records.encode_voice_example(voice_example(), "flac")
    position = record.index(b"fLaC")
    damaged = record[:position] + b"XXXX" + record[position + 4 :]
    with pytest.raises(UserError, match="unreadable FLAC audio"):
        records.decode_voice_example(damaged)
    labels = records.encode_voice_example(voice_example()).replace(b'{"', b'["')
    with pytest.raises(UserError, match="labels of a record is not JSON"):
        records.decode_voice_example(labels)


def with_audio(content, encoding=b"flac"):
    """A record with other audio."""
    record = records.encode_voice_example(voice_example(), "flac")
    example = tf.train.Example.FromString(record)
    example.features.feature["audio"].bytes_list.value[0] = content
    example.features.feature["audio_encoding"].bytes_list.value[0] = encoding
    return example.SerializeToString()


def encoded(n_samples=1600, rate_hz=16000, shape=(), **kwargs):
    file = io.BytesIO()
    options = {"format": "FLAC", "subtype": "PCM_16", **kwargs}
    soundfile.write(file, np.zeros((n_samples, *shape), np.int16), rate_hz, **options)
    return file.getvalue()


def claiming(n_samples):
    """A FLAC file of 0.1 s that claims more."""
    content = bytearray(encoded())
    content[21] = content[21] & 0xF0 | n_samples >> 32
    content[22:26] = (n_samples & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        claiming(records.MAX_SAMPLES + 1),
        claiming(2**36 - 1),
        claiming(0),
        encoded(rate_hz=48_000),
        encoded(shape=(2,)),
        encoded(subtype="PCM_24"),
        encoded(format="WAV"),
        b"",
        b"fLaC",
        encoded()[:20],
    ],
)
def test_encoded_audio_is_refused_by_its_header(content):
    with pytest.raises(UserError, match="unreadable FLAC audio"):
        records.decode_voice_example(with_audio(content))
    with pytest.raises(tf.errors.InvalidArgumentError):
        parsing.check_flac(tf.constant(content))


def test_sound_of_an_hour_is_a_record():
    assert parsing.check_flac(tf.constant(claiming(57_600_000))) is not None


def test_a_record_that_the_graph_refuses_is_named(tmp_path):
    shards = [
        records.encode_face_example(face_example(0)),
        with_texture(picture((1000, 1000), "PNG")),
    ]
    info = dataset_info.DatasetInfo(
        kind="face",
        recognizer=dataset_info.RecognizerInfo("dlib", DIM, "0" * 64),
        config={},
        splits={"train": records.write_shards(tmp_path, "train", shards, 1)},
        feature_statistics=dataset_info.FeatureStatistics.measure(np.ones((2, DIM))),
    )
    with pytest.raises(UserError, match=r"00001.tfrecord: record 1 is damaged"):
        failures.name_unreadable_record(
            tmp_path,
            info,
            lambda record, _: parsing.parse_face_example(record, DIM, 68),
        )


def test_half_a_sample_is_refused():
    with pytest.raises(UserError, match="not 16-bit PCM"):
        records.decode_voice_example(with_audio(b"123", b"pcm"))


def picture(size, kind):
    file = io.BytesIO()
    Image.new("RGB", size).save(file, kind)
    return file.getvalue()


def with_texture(content):
    """A record with another texture."""
    record = records.encode_face_example(face_example())
    example = tf.train.Example.FromString(record)
    example.features.feature["texture_png"].bytes_list.value[0] = content
    return example.SerializeToString()


@pytest.mark.parametrize(
    "content",
    [
        picture((1000, 1000), "PNG"),
        picture((224, 225), "PNG"),
        picture((224, 224), "BMP"),
        picture((224, 224), "PNG")[:20],
        b"",
    ],
)
def test_a_texture_of_another_size_or_kind_is_never_decoded(content, monkeypatch):
    monkeypatch.setattr(tf.io, "decode_png", pytest.fail)
    with pytest.raises(tf.errors.InvalidArgumentError, match="texture of a record"):
        parsing.parse_face_example(with_texture(content), DIM, 68)


@pytest.mark.parametrize("name", ["audio", "audio_encoding", "clip_id"])
def test_a_value_of_another_type_is_refused(name):
    example = tf.train.Example.FromString(records.encode_voice_example(voice_example()))
    example.features.feature[name].int64_list.value.append(1)
    with pytest.raises(UserError, match=f"lacks {name}"):
        records.decode_voice_example(example.SerializeToString())
