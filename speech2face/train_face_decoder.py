"""Trains the face decoder (Cole et al. 2017), which the voice encoder needs frozen.

    python -m speech2face.train_face_decoder --flagfile=configs/paper_decoder.flags \\
        --data_dir=data/faces --run_dir=runs/decoder

Started again with the same flags, it resumes from its newest checkpoint. At the end
`run_dir`/decoder is what `speech2face.train --decoder_dir` takes.
"""

import dataclasses

from speech2face import flag_config
from speech2face.config import DecoderTrainingConfig, option, required


@dataclasses.dataclass(frozen=True)
class DecoderPaths:
    """Where the parts of a decoder training are."""

    data_dir: str = required("Face data set made by data_prep.build_decoder_tfrecords.")
    run_dir: str = required("Run folder to create, or to resume.")
    vgg_face_weights: str = option(
        "", "Imported VGG-Face weights, if the data set's features are VGG-Face's."
    )


def main(paths: DecoderPaths, config: DecoderTrainingConfig) -> None:
    """Trains, or resumes a training."""
    from speech2face import training

    training.train_face_decoder(
        config,
        data_dir=paths.data_dir,
        run_dir=paths.run_dir,
        vgg_face_weights=paths.vgg_face_weights,
    )


if __name__ == "__main__":
    flag_config.run(main, DecoderPaths, DecoderTrainingConfig)
