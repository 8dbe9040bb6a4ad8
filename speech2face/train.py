"""Trains the voice encoder (Sec. 3).

    python -m speech2face.train --flagfile=configs/paper.flags \\
        --data_dir=data/avspeech --decoder_dir=runs/decoder --run_dir=runs/paper

Started again with the same flags, it resumes from its newest checkpoint.
"""

import dataclasses
import os

from speech2face import flag_config
from speech2face.config import VoiceTrainingConfig
from speech2face.config_fields import option, required


@dataclasses.dataclass(frozen=True)
class TrainPaths:
    """Where the parts of a training are, and whether to train at all."""

    data_dir: str = required("Voice data set made by data_prep.build_tfrecords.")
    decoder_dir: str = required("Face decoder made by speech2face.train_face_decoder.")
    run_dir: str = required("Run folder to create, or to resume.")
    init_dir: str = option(
        "",
        "Run of speech2face.pretrain_voice_encoder whose weights, but for the last "
        "layer, start a new run. Not in the paper.",
    )
    dry_run: bool = option(
        False,
        "Check options, data, weights, memory and disk in seconds, print the plan and "
        "how long it will take, and train nothing.",
    )


def main(paths: TrainPaths, config: VoiceTrainingConfig) -> int:
    """Trains, resumes a training, or prints its plan; returns the exit status."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # faster: BUILD_NOTES 65
    from speech2face import dry_run, training

    arguments = (config, paths.data_dir, paths.decoder_dir, paths.run_dir)
    if paths.dry_run:
        print(dry_run.voice_training(*arguments, paths.init_dir))
        return 0
    step = training.train_voice_encoder(*arguments, paths.init_dir)
    return training.exit_status(step, paths.data_dir, config.loop)


if __name__ == "__main__":
    flag_config.run(main, TrainPaths, VoiceTrainingConfig)
