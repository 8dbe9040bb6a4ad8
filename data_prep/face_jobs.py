"""The face record job: two passes over the photographs, morphs, contact sheets."""

import dataclasses
import pathlib
import time
from typing import Any, Dict, List, Sequence

import numpy as np

from data_prep import jobs, manifest, work_folder
from data_prep.manifest import Clip
from data_prep.options import FaceOptions, FilterOptions, JobOptions
from data_prep.work_folder import WorkFolder

# A texture takes 0.04 s: fewer than these are done before new workers have started.
SMALL_JOB = 1000


def build_face_records(
    options: JobOptions, face: FaceOptions, limits: FilterOptions
) -> Dict[str, Any]:
    """Builds a face data set in `options.output_dir`; returns its report.

    Raises:
      FileNotFoundError, ValueError, OSError: one line on what is wrong with the flags,
        the manifest, the output folder or the disk.
    """
    clips = _read_clips(options)
    with work_folder.full_disk_in_one_line(options.output_dir):
        return _build_face_records(options, face, limits, clips)


def _build_face_records(
    options: JobOptions, face: FaceOptions, limits: FilterOptions, clips: List[Clip]
) -> Dict[str, Any]:
    extra = {**dataclasses.asdict(face), **dataclasses.asdict(limits)}
    job = jobs.job_of(options, clips, "face", extra)
    if jobs.is_finished(options.output_dir, job):
        return jobs.report_of(options.output_dir)
    begin = time.time()
    first = WorkFolder(pathlib.Path(options.output_dir) / jobs.WORK_DIR)
    first.start(job, plan_by_speaker(clips, options.clips_per_chunk))

    with jobs.quiet_imports():
        from data_prep import contact_sheets, dataset_writer, face_stages

        run = _runner(options, jobs.recognizer_info(options))
    stages = face_stages.first_pass(
        options.recognizer,
        options.vgg_face_weights,
        limits if face.filter_faces else None,
    )
    run(first, stages, "photographs", options.n_workers)
    dataset_writer.write_report(options.output_dir, [first], time.time() - begin)
    dataset_writer.require_records(options.output_dir, first)

    mean_landmarks = mean_shape(first)
    second = WorkFolder(first.path / "textures")
    second.start(job, _kept_clips(first))
    warp = face_stages.WarpTextures(
        str(first.path), mean_landmarks, face.min_photographs
    )
    is_small = len(clips) < SMALL_JOB
    run(second, [warp], "textures", 1 if is_small else options.n_workers)

    works = [second]
    if face.n_morphs:
        works.append(_make_morphs(options, face, job, second, mean_landmarks, run))

    secs = time.time() - begin
    report = dataset_writer.write_report(
        options.output_dir, [first, *works], secs, passes=[second]
    )
    contact_sheets.write_all(options.output_dir, works, first)
    dataset_writer.write_dataset(
        options.output_dir, works, "face", job, options.n_shards, mean_landmarks
    )
    first.remove()
    jobs.print_report(options.output_dir, report)
    return report


def _read_clips(options: JobOptions) -> List[Clip]:
    jobs.check_options(options)
    if not options.manifest:
        raise ValueError("--manifest is missing: a CSV, one photograph a row")
    return manifest.read_manifest(
        options.manifest, options.media_dir, manifest.FACE_COLUMNS
    )


def _runner(options: JobOptions, recognizer: Dict[str, Any]):
    """Returns what takes a work folder through one pass."""
    from data_prep import pipeline

    def run(work: WorkFolder, stages, description: str, n_workers: int) -> None:
        pipeline.run_stages(
            work,
            stages,
            recognizer,
            n_workers,
            options.beam_options,
            description,
            options.max_secs_per_clip,
        )

    return run


def _make_morphs(
    options: JobOptions,
    face: FaceOptions,
    job: Dict[str, Any],
    textures: WorkFolder,
    mean_landmarks: np.ndarray,
    run,
) -> WorkFolder:
    """Runs the pass that makes morphs of `textures`; returns its work folder."""
    from data_prep import morphs

    work = WorkFolder(textures.path.parent / "morphs")
    work.start(job, morphs.plan(textures, face, options.clips_per_chunk))
    stages = morphs.stages(
        str(textures.path),
        mean_landmarks,
        options.recognizer,
        options.vgg_face_weights,
    )
    run(work, stages, "morphs", options.n_workers)
    return work


def plan_by_speaker(clips: Sequence[Clip], clips_per_chunk: int) -> List[List[Clip]]:
    """Chunks of one split each that never part the photographs of one speaker."""
    groups: Dict[Any, List[Clip]] = {}
    for clip in sorted(clips, key=lambda clip: clip.sort_key):
        key = (manifest.SPLITS.index(clip.split), manifest.hash_of(clip.speaker_id))
        groups.setdefault(key, []).append(clip)
    chunks: List[List[Clip]] = []
    for key in sorted(groups):
        group = groups[key]
        same_split = chunks and chunks[-1][0].split == group[0].split
        if same_split and len(chunks[-1]) + len(group) <= clips_per_chunk:
            chunks[-1] += group
        else:
            chunks.append(group)
    return chunks


def mean_shape(work: WorkFolder) -> np.ndarray:
    """Mean landmarks [68, 2] over the training split, or over all if it is empty."""
    from speech2face import records

    by_split: Dict[str, List[np.ndarray]] = {}
    for index in sorted(work.done()):
        chunk = work.load(index)
        for record in chunk.records:
            landmarks = records.decode_face_example(record).landmarks
            by_split.setdefault(chunk.summary.split, []).append(landmarks)
    split = next(split for split in manifest.SPLITS if split in by_split)
    return np.mean(by_split[split], axis=0, dtype=np.float64).astype(np.float32)


def _kept_clips(work: WorkFolder) -> List[List[Clip]]:
    """The clips of each chunk that passed, chunk by chunk."""
    kept = []
    for index, clips in work.chunks():
        rejected = {r.clip_id for r in work.summary(index).rejections}
        kept.append([clip for clip in clips if clip.clip_id not in rejected])
    return kept
