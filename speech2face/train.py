"""Trains the voice encoder (Sec. 3).

    python -m speech2face.train --flagfile=configs/paper.flags \\
        --data_dir=data/avspeech --decoder_dir=runs/decoder --run_dir=runs/paper

Rerun the same command to resume from the newest checkpoint.
"""

import dataclasses
import os
import shlex

from speech2face.artifacts.decoder_files import check_decoder_folder
from speech2face.config import VoiceTrainingConfig
from speech2face.data import dataset_info
from speech2face.data.dataset_info import DatasetInfo
from speech2face.options import Options, option, required, run_command


@dataclasses.dataclass(frozen=True)
class TrainPaths(Options):
    """Folders of a training, and whether to train at all."""

    data_dir: str = required(
        "Voice data set made by data_prep.build_tfrecords.",
        exists="folder",
        bucket=True,
    )
    decoder_dir: str = required(
        "Face decoder made by speech2face.train_face_decoder.",
        exists="folder",
        bucket=True,
    )
    run_dir: str = required(
        "Run folder to create, or to resume.",
        bucket=True,
    )
    verify_data: bool = option(
        False,
        "Read all shards first, and compare them with the checksums in dataset.json; "
        "their sizes are always compared.",
    )
    dry_run: bool = option(
        False,
        "Check options, data, weights, memory and disk in seconds, print the plan and "
        "how long it will take, and train nothing.",
    )


def main(paths: TrainPaths, config: VoiceTrainingConfig) -> int:
    """Trains, resumes a training, or prints its plan; returns the exit status."""
    # TensorFlow reads it once, at import. oneDNN's kernels are faster, and TensorFlow
    # chooses them by itself on newer CPUs only: docs/decisions/fast-training-layers.md.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # Before TensorFlow is imported: a wrong folder is reported at once.
    info = dataset_info.read(
        paths.data_dir, kind="voice", check_sizes=not config.loop.skip_corrupt
    )
    check_decoder_folder(paths.decoder_dir)
    if paths.verify_data:
        print("comparing the shards with their checksums", flush=True)
        dataset_info.check_content(paths.data_dir, info)
    from speech2face.training import dry_run, ending, voice_job

    if paths.dry_run:
        print(
            dry_run.plan_voice_training(
                config, paths.data_dir, paths.decoder_dir, paths.run_dir
            )
        )
        return 0
    end = ending.Ending(paths.run_dir, paths.data_dir, config.loop)
    step = voice_job.train_voice_encoder(
        config, paths.data_dir, paths.decoder_dir, paths.run_dir
    )
    return end.report(step, _what_next(paths, info))


def _what_next(paths: TrainPaths, info: DatasetInfo) -> str:
    """Returns the command that measures the run, with every flag that it needs."""
    split = next(name for name in ("test", "val", "train") if info.splits.get(name))
    words = [
        "python",
        "-m",
        "speech2face.evaluate",
        f"--data_dir={paths.data_dir}",
        f"--run_dir={paths.run_dir}",
        "--output_dir=evaluation",
        *([] if split == "test" else [f"--split={split}"]),
    ]
    return shlex.join(words)


if __name__ == "__main__":
    run_command(main, TrainPaths, VoiceTrainingConfig)
