"""The record jobs from options to data set: plan, run, assemble, clean up."""

import contextlib
import dataclasses
import json
import logging
import os
import pathlib
import time
from typing import Any, Dict, Iterator, List, Sequence

from data_prep import layouts, manifest, work_folder
from data_prep.manifest import Clip
from data_prep.options import JobOptions, LayoutOptions, VoiceOptions
from data_prep.work_folder import WorkFolder
from speech2face import files

WORK_DIR = ".work"
MANIFEST = LayoutOptions()


def build_voice_records(
    options: JobOptions, voice: VoiceOptions, layout: LayoutOptions = MANIFEST
) -> Dict[str, Any]:
    """Builds a voice data set in `options.output_dir`; returns its report.

    Raises:
      FileNotFoundError, ValueError, OSError: one line on what is wrong with the flags,
        the manifest, the output folder or the disk.
    """
    check_options(options)
    clips = layouts.read_clips(options, layout)
    with work_folder.full_disk_in_one_line(options.output_dir):
        return _build_voice_records(options, voice, clips)


def _build_voice_records(
    options: JobOptions, voice: VoiceOptions, clips: List[Clip]
) -> Dict[str, Any]:
    job = job_of(options, clips, "voice", dataclasses.asdict(voice))
    if is_finished(options.output_dir, job):
        return report_of(options.output_dir)
    begin = time.time()
    work = WorkFolder(pathlib.Path(options.output_dir) / WORK_DIR)
    work.start(job, plan_by_clip(clips, options.clips_per_chunk))

    with quiet_imports():
        from data_prep import dataset_writer, pipeline, voice_stages

        recognizer = recognizer_info(options)
    pipeline.run_stages(
        work,
        voice_stages.voice_stages(
            options.recognizer,
            options.vgg_face_weights,
            voice.audio_encoding,
            voice.max_audio_secs,
        ),
        recognizer,
        options.n_workers,
        options.beam_options,
        max_secs_per_clip=options.max_secs_per_clip,
    )
    report = dataset_writer.write_report(
        options.output_dir, [work], time.time() - begin
    )
    dataset_writer.require_records(options.output_dir, work)
    dataset_writer.write_dataset(
        options.output_dir, [work], "voice", job, options.n_shards
    )
    work.remove()
    print_report(options.output_dir, report)
    return report


def plan_by_clip(clips: Sequence[Clip], clips_per_chunk: int) -> List[List[Clip]]:
    """Chunks of one split each, in the order of the clips' hashes."""
    chunks = []
    for split in manifest.SPLITS:
        members = sorted((c for c in clips if c.split == split), key=_sort_key)
        starts = range(0, len(members), clips_per_chunk)
        chunks += [members[i : i + clips_per_chunk] for i in starts]
    return chunks


def is_finished(output_dir: str, job: Dict[str, Any]) -> bool:
    """Whether `output_dir` holds this job's data set already; says so if it does.

    Raises:
      ValueError: it holds another job's.
    """
    path = pathlib.Path(output_dir) / "dataset.json"
    if not path.exists():
        return False
    try:
        config = json.loads(path.read_text())["config"]
    except (ValueError, KeyError):
        raise ValueError(f"{path} is damaged; delete {output_dir}") from None
    work_folder.check_same_job(config, json.loads(json.dumps(job)), output_dir)
    files.remove(pathlib.Path(output_dir) / WORK_DIR)
    print(f"{output_dir} holds this data set already; nothing to do")
    return True


def check_options(options: JobOptions) -> None:
    """Raises ValueError if an option is wrong."""
    if options.clips_per_chunk < 1:
        raise ValueError("--clips_per_chunk must be at least 1")
    if not options.max_secs_per_clip > 0:
        raise ValueError("--max_secs_per_clip must be more than 0")
    if os.path.exists(options.output_dir) and not os.path.isdir(options.output_dir):
        raise ValueError(f"--output_dir={options.output_dir} is a file")


def job_of(
    options: JobOptions, clips: Sequence[Clip], kind: str, extra: Dict[str, Any]
) -> Dict[str, Any]:
    """What decides the records; the same job may be resumed, another is refused."""
    weights = "" if options.recognizer == "dlib" else options.vgg_face_weights
    if weights and not os.path.isfile(weights):
        raise FileNotFoundError(f"--vgg_face_weights={weights} does not exist")
    return {
        "kind": kind,
        "manifest_sha256": work_folder.fingerprint(clips),
        "recognizer": options.recognizer,
        "recognizer_weights_sha256": files.sha256(weights) if weights else "",
        "n_shards": options.n_shards,
        "clips_per_chunk": options.clips_per_chunk,
        **extra,
    }


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Beam warns of Google clients that are not installed; nobody needs them here."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def recognizer_info(options: JobOptions) -> Dict[str, Any]:
    """Name, dimension and checksum of the recognizer.

    Loads the recognizer once here, so that wrong weights end the job at once.
    """
    from data_prep import voice_stages

    recognizer = voice_stages.load_recognizer(
        options.recognizer, options.vgg_face_weights
    )
    return {
        "name": recognizer.name,
        "feature_dim": recognizer.feature_dim,
        "checksum": recognizer.checksum,
    }


def report_of(output_dir: str) -> Dict[str, Any]:
    """Reads `report.json`."""
    return json.loads((pathlib.Path(output_dir) / "report.json").read_text())


def print_report(output_dir: str, report: Dict[str, Any]) -> None:
    """Says in a few lines what became of the clips."""
    splits = ", ".join(f"{s} {n['records']}" for s, n in report["splits"].items())
    n_records, n_clips = report["records"], report["clips"]
    print(f"{output_dir}: {n_records} records of {n_clips} clips ({splits})")
    if report["rejected"]:
        print(f"{report['rejected']} rejected, see {output_dir}/quarantine.csv:")
    for stage, counts in report["stages"].items():
        for reason, number in sorted(counts["rejected"].items()):
            print(f"  {stage}: {reason} {number}")


def _sort_key(clip: Clip) -> str:
    return clip.sort_key
