"""The face record job: photographs in, face decoder records and contact sheets out.

Two passes, because a texture is warped to the mean landmarks of all faces:

    photographs -> measured, normalized faces -> mean landmarks
                -> textures [-> morphs] -> shards, report, contact sheets
"""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from data_prep.clips import layouts, manifest
from data_prep.clips.layouts import MANIFEST_OF_FACES, FaceLayoutOptions
from data_prep.clips.manifest import Clip
from data_prep.jobs import record_job
from data_prep.options import JobOptions
from data_prep.stages.face_filter import FilterOptions
from data_prep.stages.work_folder import WorkFolder
from speech2face.files import as_path
from speech2face.options import Options, option

# Warping a texture takes 0.04 s: this many are done before new workers have started.
SMALL_JOB = 1000


@dataclasses.dataclass(frozen=True)
class FaceOptions(Options):
    """Options of face records alone."""

    filter_faces: bool = option(
        True, "Reject photographs that are not frontal, neutral, sharp and in color."
    )
    min_photographs: int = option(
        3,
        "Average the faces of an identity that has at least this many photographs; 0 "
        "never averages.",
        minimum=0,
        maximum=1_000_000,
    )
    outline_points: int = option(
        0,
        "Landmarks on the outline of the head, beyond dlib's 68; textures are aligned "
        "on them too, so that hair meets hair. 26 fit the normalized faces of the "
        "authors. Not in the papers: docs/decisions/outline-points.md.",
        minimum=0,
        maximum=128,
    )
    outline_margin_px: float = option(
        0.0,
        "Least distance of these from the jaw. Where some people have hair beside the "
        "face and others none, the warp folds over at the ears of the latter: 8 "
        "prevents it. Not in the papers: docs/decisions/outline-margin.md.",
        minimum=0,
        maximum=100,
    )
    n_morphs: int = option(
        0,
        "Random morphs between near neighbors, added to the training split (Cole et "
        "al.: 1,000,000; docs/decisions/morphs.md).",
        minimum=0,
        maximum=1_000_000_000,
    )
    # A flag that jobs and flag files name, so its British spelling stays.
    morph_neighbours: int = option(
        200,
        "Draw the partner of a morph from this many nearest faces (Cole et al.: 200).",
        minimum=1,
        maximum=1_000_000,
    )
    morph_landmark_weight: float = option(
        10.0,
        "Weight of the landmarks, in pixels, beside the textures, in [0, 1], in the "
        "distance between two faces (Cole et al.: 10).",
        minimum=0,
        maximum=1e9,
    )
    morph_seed: int = option(
        0, "Decides which faces are morphed, and how far.", minimum=0, maximum=2**31 - 1
    )


def build_face_records(
    options: JobOptions,
    face: FaceOptions,
    limits: FilterOptions,
    layout: FaceLayoutOptions = MANIFEST_OF_FACES,
) -> dict[str, Any]:
    """Builds a face data set in `options.output_dir`, or resumes building it.

    Args:
      options: inputs, output, recognizer and workers.
      face: averages and morphs.
      limits: which photographs are good enough.
      layout: how the photographs are stored.

    Returns:
      The report: numbers of clips, records and rejections by split, stage and reason.

    Raises:
      FileNotFoundError, UserError, OSError: one line on what is wrong with the flags,
        the manifest, the output folder or the disk.
    """
    record_job.check_options(options)
    clips = layouts.read_faces(options, layout)
    extra = {**dataclasses.asdict(face), **dataclasses.asdict(limits)}
    job = record_job.describe(options, clips, "face", extra)
    steps = _FaceJob(options, face, limits, clips, job)
    return record_job.build(options, job, steps.run)


@dataclasses.dataclass(frozen=True)
class _FaceJob:
    """One job; its steps stand in order in `run`."""

    options: JobOptions
    face: FaceOptions
    limits: FilterOptions
    clips: list[Clip]
    job: dict[str, Any]  # `record_job.describe`

    def run(self) -> dict[str, Any]:
        begin_secs = time.time()
        photographs = self._measure_photographs(begin_secs)
        mean_landmarks = mean_shape(photographs)
        textures = self._warp_textures(photographs, mean_landmarks)
        works = [textures]
        if self.face.n_morphs:
            works.append(self._make_morphs(photographs, textures, mean_landmarks))
        return self._write(photographs, works, mean_landmarks, begin_secs)

    def _measure_photographs(self, begin_secs: float) -> WorkFolder:
        """First pass: photographs -> filtered, normalized faces and their features."""
        output_dir = self.options.output_dir
        work = WorkFolder(as_path(output_dir) / record_job.WORK_DIR)
        work.start(self.job, plan_by_speaker(self.clips, self.options.clips_per_chunk))
        from data_prep.jobs import dataset_writer
        from data_prep.stages import face as face_stages

        stages = face_stages.first_pass(
            self.options.recognizer_choice,
            self.limits if self.face.filter_faces else None,
            self.face.outline_points,
            self.face.outline_margin_px,
        )
        record_job.run_pass(
            self.options, work, stages, "photographs", self.options.n_workers
        )
        # If all photographs are rejected, the report says why.
        dataset_writer.write_report(output_dir, [work], time.time() - begin_secs)
        dataset_writer.require_records(output_dir, work)
        return work

    def _warp_textures(
        self, photographs: WorkFolder, mean_landmarks: np.ndarray
    ) -> WorkFolder:
        """Second pass: warps to the mean landmarks and averages identities."""
        from data_prep.stages.face import WarpTextures

        work = WorkFolder(photographs.path / "textures")
        work.start(self.job, _kept_clips(photographs))
        stage = WarpTextures(
            photographs.path, mean_landmarks, self.face.min_photographs
        )
        n_workers = 1 if len(self.clips) < SMALL_JOB else self.options.n_workers
        record_job.run_pass(self.options, work, [stage], "textures", n_workers)
        return work

    def _make_morphs(
        self,
        photographs: WorkFolder,
        textures: WorkFolder,
        mean_landmarks: np.ndarray,
    ) -> WorkFolder:
        """Third pass: morphs between faces of the training split."""
        from data_prep.stages import morphs

        work = WorkFolder(photographs.path / "morphs")
        chunks = morphs.plan(
            textures,
            self.face.n_morphs,
            self.face.morph_neighbours,
            self.face.morph_landmark_weight,
            self.face.morph_seed,
            self.options.clips_per_chunk,
        )
        work.start(self.job, chunks)
        stages = morphs.stages(
            textures.path,
            mean_landmarks,
            self.options.recognizer_choice,
        )
        record_job.run_pass(
            self.options, work, stages, "morphs", self.options.n_workers
        )
        return work

    def _write(
        self,
        photographs: WorkFolder,
        works: Sequence[WorkFolder],
        mean_landmarks: np.ndarray,
        begin_secs: float,
    ) -> dict[str, Any]:
        """Writes report, contact sheets and shards, and removes the work folder."""
        from data_prep.jobs import contact_sheets, dataset_writer

        output_dir, textures = self.options.output_dir, works[0]
        report = dataset_writer.write_report(
            output_dir,
            [photographs, *works],
            time.time() - begin_secs,
            passes=[textures],
        )
        contact_sheets.write_all(output_dir, works, photographs)
        dataset_writer.write_dataset(
            output_dir,
            works,
            "face",
            self.job,
            self.options.n_shards,
            mean_landmarks,
        )
        photographs.remove()  # with the textures and the morphs inside
        record_job.print_report(output_dir, report)
        return report


def plan_by_speaker(clips: Sequence[Clip], clips_per_chunk: int) -> list[list[Clip]]:
    """Returns chunks of one split each that keep a speaker's photographs together."""
    groups: dict[tuple[int, str], list[Clip]] = {}
    for clip in sorted(clips, key=lambda clip: clip.sort_key):
        key = (manifest.SPLITS.index(clip.split), manifest.hash_of(clip.speaker_id))
        groups.setdefault(key, []).append(clip)
    chunks: list[list[Clip]] = []
    for key in sorted(groups):
        group = groups[key]
        same_split = chunks and chunks[-1][0].split == group[0].split
        if same_split and len(chunks[-1]) + len(group) <= clips_per_chunk:
            chunks[-1] += group
        else:
            chunks.append(group)
    return chunks


def mean_shape(work: WorkFolder) -> np.ndarray:
    """Returns the mean landmarks [n, 2] float32 of the training split.

    Without a training split, the next one that has faces stands in for it.
    """
    from speech2face.data import records

    by_split: dict[str, list[np.ndarray]] = {}
    for index in sorted(work.done()):
        chunk = work.load(index)
        for record in chunk.records:
            landmarks = records.decode_face_example(record).landmarks
            by_split.setdefault(chunk.summary.split, []).append(landmarks)
    split = next(split for split in manifest.SPLITS if split in by_split)
    # float64: the sum over millions of faces would lose digits.
    return np.mean(by_split[split], axis=0, dtype=np.float64).astype(np.float32)


def _kept_clips(work: WorkFolder) -> list[list[Clip]]:
    """Returns the clips that passed, in the chunks of `work`."""
    kept = []
    for index, clips in work.chunks():
        rejected = {r.clip_id for r in work.summary(index).rejections}
        kept.append([clip for clip in clips if clip.clip_id not in rejected])
    return kept
