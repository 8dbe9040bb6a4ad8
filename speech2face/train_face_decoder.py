"""Trains the face decoder (Cole et al. 2017), which the voice encoder needs frozen.

    python -m speech2face.train_face_decoder --flagfile=configs/paper_decoder.flags \\
        --data_dir=data/faces --run_dir=runs/decoder

Rerun the same command to resume from the newest checkpoint. At the end, give
`run_dir`/decoder to `speech2face.train --decoder_dir`.
"""

import dataclasses
import os
import shlex

from speech2face.config import DecoderTrainingConfig
from speech2face.data import dataset_info
from speech2face.files import as_path
from speech2face.options import Options, option, required, run_command


@dataclasses.dataclass(frozen=True)
class DecoderPaths(Options):
    """Files and folders of a decoder training, and whether to train at all."""

    data_dir: str = required(
        "Face data set made by data_prep.build_decoder_tfrecords.",
        exists="folder",
        bucket=True,
    )
    run_dir: str = required(
        "Run folder to create, or to resume.",
        bucket=True,
    )
    vgg_face_weights: str = option(
        "",
        "Imported VGG-Face weights, if the data set's features are VGG-Face's.",
        exists="file",
    )
    verify_data: bool = option(
        False,
        "Read all shards first, and compare them with the checksums in dataset.json; "
        "their sizes are always compared.",
    )
    voice_data_dir: str = option(
        "",
        "Voice data set that will be trained on: --feature_norm is then the mean norm "
        "of its faces; empty: of the photographs "
        "(docs/decisions/feature-normalizer.md).",
        exists="folder",
        bucket=True,
    )
    dry_run: bool = option(
        False,
        "Check options, data, weights, memory and disk in seconds, print the plan and "
        "how long it will take, and train nothing.",
    )


def main(paths: DecoderPaths, config: DecoderTrainingConfig) -> int:
    """Trains, resumes a training, or prints its plan; returns the exit status."""
    # TensorFlow reads it once, at import. oneDNN's kernels are faster, and TensorFlow
    # chooses them by itself on newer CPUs only: docs/decisions/fast-training-layers.md.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # Before TensorFlow is imported: a wrong folder is reported at once.
    info = dataset_info.read(
        paths.data_dir, kind="face", check_sizes=not config.loop.skip_corrupt
    )
    if paths.verify_data:
        print("comparing the shards with their checksums", flush=True)
        dataset_info.check_content(paths.data_dir, info)
    from speech2face.training import decoder_job, dry_run, ending

    if paths.dry_run:
        print(
            dry_run.plan_decoder_training(
                config,
                paths.data_dir,
                paths.run_dir,
                paths.vgg_face_weights,
                paths.voice_data_dir,
            )
        )
        return 0
    end = ending.Ending(paths.run_dir, paths.data_dir, config.loop)
    step = decoder_job.train_face_decoder(
        config,
        paths.data_dir,
        paths.run_dir,
        paths.vgg_face_weights,
        paths.voice_data_dir,
    )
    decoder_dir = shlex.quote(str(as_path(paths.run_dir) / "decoder"))
    return end.report(
        step,
        f"python -m speech2face.train --decoder_dir={decoder_dir} with the --data_dir "
        "of the voices and a --run_dir of its own",
    )


if __name__ == "__main__":
    run_command(main, DecoderPaths, DecoderTrainingConfig)
