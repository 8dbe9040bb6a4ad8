"""Stages whose clips are words, so that what a pipeline does is known exactly."""

import time

from data_prep.clips.manifest import Clip
from data_prep.stages.stage import Stage
from data_prep.stages.work_folder import WorkFolder
from speech2face.errors import UserError

RECOGNIZER = {"name": "none", "feature_dim": 1, "checksum": "0"}
JOB = {"kind": "test", "tuple": (1, 2)}


class Parse(Stage):
    """Reads the word as a number; another word is rejected."""

    name = "parse"

    def process(self, item):
        try:
            item.values["number"] = int(item.clip.media)
        except ValueError:
            raise UserError("it is no number", reason="no_number") from None


class Slow(Stage):
    """Makes a record of the word, slowly enough to be killed meanwhile."""

    name = "slow"
    secs = 0.2

    def process(self, item):
        time.sleep(self.secs)
        item.values["record"] = item.clip.media.encode()


def chunks_of(words, size=3):
    clips = [Clip(f"clip {w}", "anna", media=w, split="train") for w in words]
    return [clips[i : i + size] for i in range(0, len(clips), size)]


def run(folder, words, stages, **options):
    """Takes the words through the stages; returns the finished chunks."""
    from data_prep.stages import pipeline  # loads Beam

    work = WorkFolder(folder / ".work")
    work.start(JOB, chunks_of(words))
    pipeline.run_stages(work, stages, RECOGNIZER, **options)
    return [work.load(index) for index in sorted(work.done())]
