"""The main job, from media to faces, on generated people and on real clips.

Every component is the real one: dlib, its network, the trainings, the libraries of the
commands. Only the sizes are small.
"""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from data_prep.jobs import face as face_jobs
from data_prep.jobs import voice as voice_jobs
from data_prep.jobs.face import FaceOptions
from data_prep.jobs.voice import VoiceOptions
from data_prep.options import JobOptions
from data_prep.sample.dataset import SampleConfig, generate
from data_prep.stages.face_filter import FilterOptions
from speech2face.config import (
    AudioConfig,
    DecoderLossConfig,
    DecoderOptimizerConfig,
    DecoderTrainingConfig,
    FaceDecoderConfig,
    LoopConfig,
    NormalizerConfig,
    VoiceEncoderConfig,
    VoiceTrainingConfig,
)
from speech2face.data import dataset_info
from speech2face.inference import evaluation, reconstruction
from speech2face.inference.model import Speech2Face
from speech2face.training import decoder_job, voice_job

DECODER = DecoderTrainingConfig(
    face_decoder=FaceDecoderConfig(
        decoder_units=32, landmark_units=(8,), texture_channels=(16, 16, 8, 8, 8)
    ),
    normalizer=NormalizerConfig(center_features=True, feature_norm=1.0),
    # Few iterations: a texture that is soon there, and a high rate.
    decoder_loss=DecoderLossConfig(
        texture_weight=1.0, landmark_weight=1 / 224**2, identity_weight=0.1
    ),
    optimizer=DecoderOptimizerConfig(learning_rate=0.005),
    loop=LoopConfig(batch_size=2, epochs=6.0, validate_every=0),
)
VOICE = VoiceTrainingConfig(
    audio=AudioConfig(clip_secs=3.0),
    voice_encoder=VoiceEncoderConfig(width=1 / 32),
    loop=LoopConfig(batch_size=2, epochs=1.0, validate_every=0),
)


def run_job(root, media_dir, clips_csv, faces_csv, recordings):
    common = dict(media_dir=str(media_dir), recognizer="dlib", n_workers=1)
    voices = JobOptions(
        manifest=str(clips_csv), output_dir=str(root / "voices"), **common
    )
    faces = JobOptions(
        manifest=str(faces_csv), output_dir=str(root / "faces"), **common
    )
    voice_jobs.build_voice_records(voices, VoiceOptions())
    face_jobs.build_face_records(faces, FaceOptions(), FilterOptions())
    decoder_job.train_face_decoder(DECODER, root / "faces", root / "decoder_run")
    voice_job.train_voice_encoder(
        VOICE, root / "voices", root / "decoder_run/decoder", root / "run"
    )
    model = Speech2Face.load(root / "run")
    split = next(iter(dataset_info.read(root / "voices").splits))
    metrics = evaluation.evaluate(model, root / "voices", split, root / "evaluation")
    reconstruction.reconstruct(model, recordings, root / "out")
    assert metrics["n"] == dataset_info.read(root / "voices").n_examples(split)
    for recording in json.loads((root / "out/results.json").read_text()):
        picture = np.asarray(Image.open(root / "out" / recording["image"]))
        assert np.ptp(picture[:224], axis=(0, 1)).max() > 0, (
            "the face is a single color"
        )


@pytest.mark.rehearsal
@pytest.mark.slow
def test_generated_people(tmp_path):
    generate(SampleConfig(3, 2, 0, photographs_per_person=3), tmp_path / "people")
    people = tmp_path / "people"
    recording = next((people / "media").glob("*.mp4"))
    run_job(
        tmp_path,
        people,
        people / "manifest.csv",
        people / "faces.csv",
        [str(recording)],
    )


@pytest.mark.rehearsal
@pytest.mark.slow
@pytest.mark.real_data
def test_real_clips(real_data_dir, tmp_path):
    """Pairs of sound and photograph, and every video; two of them must be skipped."""
    with (real_data_dir / "avspeech/clips.csv").open(newline="") as file:
        chosen = list(csv.DictReader(file))[::94]
    rows = [
        (row["clip_id"], "avspeech/audio/{clip_id}.flac", "avspeech/face/{clip_id}.jpg")
        for row in chosen
    ]
    videos = sorted((real_data_dir / "video").iterdir())
    rows += [(path.stem, f"video/{path.name}", "") for path in videos]
    with (tmp_path / "clips.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["clip_id", "media", "face", "speaker_id", "split"])
        for clip_id, media, face in rows:
            named = [part.format(clip_id=clip_id) for part in (media, face)]
            writer.writerow([clip_id, *named, clip_id, "train"])
    with (tmp_path / "faces.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["clip_id", "face", "normalized_face", "speaker_id", "split"])
        for row in chosen:
            name = f"{row['clip_id']}.jpg"
            normalized = f"avspeech/face_normalized/{name}"
            face = f"avspeech/face/{name}"
            writer.writerow([name, face, normalized, name, "train"])
    recordings = [str(real_data_dir / "video/grid_bbaf2n.mpg")]
    run_job(
        tmp_path,
        real_data_dir,
        tmp_path / "clips.csv",
        tmp_path / "faces.csv",
        recordings,
    )
    with (tmp_path / "voices/quarantine.csv").open(newline="") as file:
        skipped = {row["clip_id"]: row["reason"] for row in csv.DictReader(file)}
    assert set(skipped) == {"no_audio_track", "silent_audio"}
