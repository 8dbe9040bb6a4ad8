"""Which clips are those of the same job: moved media, changed manifests."""

import dataclasses
import re

import pytest

from data_prep.clips.manifest import Clip
from data_prep.stages import same_job
from data_prep.stages.work_folder import WorkFolder
from speech2face.errors import UserError


def test_the_identity_sees_every_field_but_not_the_order():
    a = Clip("a", "anna", media="m", labels=(("age", "3"),))
    b = Clip("b", "anna")
    assert same_job.identity_of([a, b]) == same_job.identity_of([b, a])
    other = Clip("a", "anna", media="m", labels=(("age", "4"),))
    assert same_job.identity_of([a, b]) != same_job.identity_of([other, b])


def moved_clips(root):
    return [
        Clip("a", "anna", media=f"{root}/videos/a.mp4", face=f"{root}/faces/a.png"),
        Clip("b", "ben", media=f"{root}/videos/b.mp4", start_secs=2.0, split="train"),
    ]


def test_moved_media_are_the_same_clips_and_what_differs_is_said_in_words(tmp_path):
    here, there = moved_clips("/mnt/one"), moved_clips("/srv/two/deep")
    assert same_job.identity_of(here) == same_job.identity_of(there)
    job = same_job.identity_of
    work = WorkFolder(tmp_path / ".work")
    work.start(job(here), [here])
    work.start(job(there), [there])
    # A resumed job looks for the media where they are now.
    assert [clips for _, clips in work.chunks()] == [there]
    for changes, words in (
        ({"media": "/srv/two/deep/videos/c.mp4"}, "other paths of media files"),
        ({"start_secs": 1.0}, "other start_secs or end_secs"),
        ({"speaker_id": "carla"}, "other speakers or splits"),
        ({"face_x": 0.5}, "other positions of faces"),
        ({"labels": (("age", "3"),)}, "other labels"),
        ({"clip_id": "z"}, "other clip_ids"),
    ):
        clips = [there[0], dataclasses.replace(there[1], **changes)]
        with pytest.raises(ValueError, match=words) as error:
            work.start(job(clips), [clips])
        assert re.search("[0-9a-f]{64}", str(error.value)) is None
    with pytest.raises(ValueError, match="number 2 -> 1"):
        work.start(job(there[:1]), [there[:1]])


def test_records_of_the_other_kind_are_named_and_nothing_else():
    job = {"kind": "voice", "max_audio_secs": 6.0}
    with pytest.raises(UserError, match=r"^out holds voice records, not face records;"):
        same_job.check_same_job(job, {"kind": "face", "max_roll_degrees": 30}, "out")


def test_a_job_from_before_an_option_ran_with_its_default():
    old = {"kind": "voice"}
    same = {**old, "recognizer_precision": "float32"}
    same_job.check_same_job(old, same, "here")
    with pytest.raises(UserError, match="recognizer_precision 'float32' -> 'bfloat16'"):
        same_job.check_same_job(
            old, {**old, "recognizer_precision": "bfloat16"}, "here"
        )
