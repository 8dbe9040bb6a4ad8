"""Trains the face decoder (Cole et al. 2017), which the voice encoder needs frozen.

    python -m speech2face.train_face_decoder --flagfile=configs/paper_decoder.flags \\
        --data_dir=data/faces --run_dir=runs/decoder

Started again with the same flags, it resumes from its newest checkpoint. At the end
`run_dir`/decoder is what `speech2face.train --decoder_dir` takes.
"""

import dataclasses
import os

from speech2face import flag_config
from speech2face.config import DecoderTrainingConfig
from speech2face.config_fields import option, required


@dataclasses.dataclass(frozen=True)
class DecoderPaths:
    """Where the parts of a decoder training are, and whether to train at all."""

    data_dir: str = required("Face data set made by data_prep.build_decoder_tfrecords.")
    run_dir: str = required("Run folder to create, or to resume.")
    vgg_face_weights: str = option(
        "", "Imported VGG-Face weights, if the data set's features are VGG-Face's."
    )
    dry_run: bool = option(
        False,
        "Check options, data, weights, memory and disk in seconds, print the plan and "
        "how long it will take, and train nothing.",
    )


def main(paths: DecoderPaths, config: DecoderTrainingConfig) -> int:
    """Trains, resumes a training, or prints its plan; returns the exit status."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # faster: BUILD_NOTES 65
    from speech2face import dry_run, training

    arguments = (config, paths.data_dir, paths.run_dir, paths.vgg_face_weights)
    if paths.dry_run:
        print(dry_run.decoder_training(*arguments))
        return 0
    step = training.train_face_decoder(*arguments)
    return training.exit_status(step, paths.data_dir, config.loop)


if __name__ == "__main__":
    flag_config.run(main, DecoderPaths, DecoderTrainingConfig)
