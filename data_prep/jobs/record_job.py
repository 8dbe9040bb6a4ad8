"""Common parts of the voice and the face job: checks, resumption, passes, summary."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from data_prep.clips.manifest import Clip
from data_prep.options import JobOptions
from data_prep.stages import same_job, work_folder
from data_prep.stages.stage import Stage
from data_prep.stages.work_folder import WorkFolder
from speech2face import files, locks
from speech2face.data import dataset_info
from speech2face.errors import UserError
from speech2face.json_codec import read_json
from speech2face.messages import counted, slow_bfloat16
from speech2face.system import has_fast_bfloat16

WORK_DIR = ".work"
# Names that jobs write, besides those in WORK_DIR.
_FILES = (
    "dataset.json",
    "report.json",
    "quarantine.csv",
    "*-of-*.tfrecord",
    "kept.png",
    "mean_face.png",
    "rejected_*.png",
)


def build(
    options: JobOptions, job: dict[str, Any], steps: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Takes the steps of a job unless its data set is there already.

    Args:
      options: inputs, output and workers.
      job: what `describe` returned.
      steps: build the data set in `options.output_dir`, and return the report.

    Returns:
      The report.

    Raises:
      UserError: the output folder belongs to another job, or another process builds.
      OSError: the disk is full.
    """
    with work_folder.full_disk_in_one_line(options.output_dir):
        if is_finished(options.output_dir, job):
            return read_report(options.output_dir)
        with locks.locked(options.output_dir):
            require_own_folder(options.output_dir)
            return steps()


def check_options(options: JobOptions) -> None:
    """Checks the options that can be wrong, before anything heavy is imported.

    Raises:
      UserError: names the flag and what it expects.
    """
    if files.as_path(options.output_dir).is_file():
        raise UserError(f"--output_dir={options.output_dir} is a file")
    if options.recognizer == "dlib" and options.recognizer_precision != "float32":
        raise UserError(
            f"--recognizer_precision={options.recognizer_precision} is for VGG-Face: "
            "dlib's recognizer computes in float32"
        )


def describe(
    options: JobOptions, clips: Sequence[Clip], kind: str, extra: dict[str, Any]
) -> dict[str, Any]:
    """Returns all that decides the records: a folder of another job is refused.

    Args:
      options: the command's options.
      clips: what the manifest or layout lists.
      kind: 'voice' or 'face'.
      extra: options of this kind of job.

    Raises:
      FileNotFoundError, UserError: the recognizer's weights are missing.
    """
    weights = _weights_file(options)
    return {
        "kind": kind,
        **same_job.identity_of(clips),
        "recognizer": options.recognizer,
        "recognizer_weights_sha256": files.sha256(weights) if weights else "",
        "recognizer_precision": options.recognizer_precision,
        "n_shards": options.n_shards,
        "clips_per_chunk": options.clips_per_chunk,
        **extra,
    }


def _weights_file(options: JobOptions) -> str:
    """Returns the recognizer's weights file; '' for dlib, which ships with its own."""
    if options.recognizer == "dlib":
        return ""
    if not options.vgg_face_weights:
        raise UserError(
            f"--recognizer={options.recognizer} needs --vgg_face_weights: make that "
            "file with python -m speech2face.import_vgg_face"
        )
    if not files.as_path(options.vgg_face_weights).is_file():
        raise FileNotFoundError(
            f"--vgg_face_weights={options.vgg_face_weights} does not exist"
        )
    return options.vgg_face_weights


def is_finished(output_dir: str, job: dict[str, Any]) -> bool:
    """Returns whether `output_dir` holds this job's data set, and prints so if it does.

    Every shard must have the size that `dataset.json` gives.
    `data_prep.inspect_tfrecords` compares the contents too, which takes as long as
    reading them.

    Raises:
      UserError: it holds the data set of another job, or a damaged one.
    """
    if not (files.as_path(output_dir) / dataset_info.DATASET_FILE).exists():
        return False
    try:
        info = dataset_info.read(output_dir)
    except (UserError, FileNotFoundError) as error:
        raise UserError(
            f"{error}; the finished data set is damaged: delete {output_dir} and run "
            "again"
        ) from None
    same_job.check_same_job(info.config, same_job.as_json(job), output_dir)
    # A kill between the last two steps of a job leaves the work folder behind.
    if (files.as_path(output_dir) / WORK_DIR / "job.json").is_file():
        files.remove(files.as_path(output_dir) / WORK_DIR)
    files.sweep(output_dir, is_ours=True)
    print(f"{output_dir} holds this data set already; nothing to do")
    return True


def require_own_folder(output_dir: str) -> None:
    """Checks that a job may write its files into a folder, and sweeps it if it is ours.

    Raises:
      UserError: names a file that the job would replace or delete and has not made.
    """
    folder = files.as_path(output_dir)
    work = folder / WORK_DIR
    if (work / "job.json").is_file():  # whose it is: `WorkFolder.start`
        files.sweep(folder, is_ours=True)
        files.sweep_tree(work)
        return
    foreign = [p for pattern in _FILES for p in sorted(folder.glob(pattern))]
    # A kill before job.json leaves the plan behind.
    begun = ("plan.jsonl", "done")
    foreign += [p for p in sorted(work.glob("*")) if p.name not in begun]
    foreign = [path for path in foreign if not path.name.endswith(".tmp")]
    foreign += sorted((work / "done").glob("*"))
    if foreign:
        raise UserError(
            f"{output_dir} has {foreign[0].relative_to(folder)}, which is not of "
            "this job and would be replaced; choose another --output_dir or move it "
            "away",
            reason="foreign_files",
        )


def run_pass(
    options: JobOptions,
    work: WorkFolder,
    stages: Sequence[Stage],
    description: str,
    n_workers: int,
) -> None:
    """Takes every unfinished chunk of a work folder through `stages`.

    Args:
      options: recognizer, runner and time limit.
      work: the folder, started.
      stages: the stages in order; the last one makes the record.
      description: what the progress bar counts.
      n_workers: processes on this machine; 0 is one for each core.
    """
    with _quiet_imports():
        from data_prep.stages import pipeline

    pipeline.run_stages(
        work,
        stages,
        _recognizer_info(options),
        n_workers,
        options.beam_options,
        description,
        options.max_secs_per_clip,
    )


@contextlib.contextmanager
def _quiet_imports() -> Iterator[None]:
    """Silences Beam's warnings about Google clients, which nothing here needs."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _recognizer_info(options: JobOptions) -> dict[str, Any]:
    """Returns the recognizer's name, dimension and checksum.

    Loading it here, before the workers do, ends a job with wrong weights at once.
    """
    from data_prep.stages import voice as voice_stages

    if options.recognizer_precision == "bfloat16" and not has_fast_bfloat16():
        print(slow_bfloat16("recognizer_precision"))
    recognizer = voice_stages.load_recognizer(options.recognizer_choice)
    return {
        "name": recognizer.name,
        "feature_dim": recognizer.feature_dim,
        "checksum": recognizer.checksum,
    }


def read_report(output_dir: str) -> dict[str, Any]:
    """Reads `report.json`.

    Raises:
      FileNotFoundError, UserError: it is missing or damaged.
    """
    path = files.as_path(output_dir) / "report.json"
    return read_json(path, dict[str, Any])


def print_report(output_dir: str, report: dict[str, Any]) -> None:
    """Prints the numbers of records and of rejected clips by stage and reason."""
    splits = ", ".join(f"{s} {n['records']}" for s, n in report["splits"].items())
    n_records = counted(report["records"], "record")
    n_clips = counted(report["clips"], "clip")
    print(f"{output_dir}: {n_records} of {n_clips} ({splits})")
    if report["rejected"]:
        print(f"{report['rejected']} rejected, see {output_dir}/quarantine.csv:")
    for stage, counts in report["stages"].items():
        for reason, number in sorted(counts["rejected"].items()):
            print(f"  {stage}: {reason} {number}")
