"""Teaches Table 1 what a voice is, before it sees a face. Beyond the paper.

    python -m speech2face.pretrain_voice_encoder \\
        --flagfile=configs/compact_pretrain.flags --data_dir=data/voices \\
        --run_dir=runs/pretrained
    python -m speech2face.train --flagfile=configs/compact_table1.flags \\
        --init_dir=runs/pretrained ...

The teacher is a pretrained speaker recogniser (`--speaker_embedders`). It needs no
faces, so any voice will do, and with `--speed` each one is many voices.
"""

import dataclasses
import os

from speech2face import flag_config
from speech2face.config import PretrainingConfig
from speech2face.config_fields import required


@dataclasses.dataclass(frozen=True)
class PretrainingPaths:
    """Where the parts of a pretraining are."""

    data_dir: str = required("Voice data set made by data_prep.build_tfrecords.")
    run_dir: str = required("Run folder to create, or to resume.")


def main(paths: PretrainingPaths, config: PretrainingConfig) -> int:
    """Trains, or resumes a training; returns the exit status."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # faster: BUILD_NOTES 65
    from speech2face import pretraining, training

    step = pretraining.pretrain_voice_encoder(config, paths.data_dir, paths.run_dir)
    return training.exit_status(step, paths.data_dir, config.loop)


if __name__ == "__main__":
    flag_config.run(main, PretrainingPaths, PretrainingConfig)
