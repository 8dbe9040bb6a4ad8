"""Trains the voice encoder (Sec. 3).

    python -m speech2face.train --flagfile=configs/paper.flags \\
        --data_dir=data/avspeech --decoder_dir=runs/decoder --run_dir=runs/paper

Started again with the same flags, it resumes from its newest checkpoint.
"""

import dataclasses

from speech2face import config as config_lib
from speech2face import flag_config


@dataclasses.dataclass(frozen=True)
class TrainPaths:
    """Where the parts of a training are."""

    data_dir: str = dataclasses.field(
        metadata={"help": "Voice data set made by data_prep.build_tfrecords."}
    )
    decoder_dir: str = dataclasses.field(
        metadata={"help": "Face decoder made by speech2face.train_face_decoder."}
    )
    run_dir: str = dataclasses.field(
        metadata={"help": "Run folder to create, or to resume."}
    )


def main(_) -> None:
    """Trains, or resumes a training."""
    from speech2face import training

    paths = flag_config.read(TrainPaths)
    training.train_voice_encoder(
        flag_config.read(config_lib.VoiceTrainingConfig),
        data_dir=paths.data_dir,
        decoder_dir=paths.decoder_dir,
        run_dir=paths.run_dir,
    )


flag_config.define(TrainPaths)
flag_config.define(config_lib.VoiceTrainingConfig)

if __name__ == "__main__":
    flag_config.run(main)
