"""Trains the voice encoder (Sec. 3).

    python -m speech2face.train --flagfile=configs/paper.flags \\
        --data_dir=data/avspeech --decoder_dir=runs/decoder --run_dir=runs/paper

Started again with the same flags, it resumes from its newest checkpoint.
"""

import dataclasses

from speech2face import flag_config
from speech2face.config import VoiceTrainingConfig, option, required


@dataclasses.dataclass(frozen=True)
class TrainPaths:
    """Where the parts of a training are."""

    data_dir: str = required("Voice data set made by data_prep.build_tfrecords.")
    decoder_dir: str = required("Face decoder made by speech2face.train_face_decoder.")
    run_dir: str = required("Run folder to create, or to resume.")
    init_dir: str = option(
        "",
        "Run of speech2face.pretrain_voice_encoder whose weights, but for the last "
        "layer, start a new run. Not in the paper.",
    )


def main(paths: TrainPaths, config: VoiceTrainingConfig) -> None:
    """Trains, or resumes a training."""
    from speech2face import training

    training.train_voice_encoder(
        config,
        data_dir=paths.data_dir,
        decoder_dir=paths.decoder_dir,
        run_dir=paths.run_dir,
        init_dir=paths.init_dir,
    )


if __name__ == "__main__":
    flag_config.run(main, TrainPaths, VoiceTrainingConfig)
