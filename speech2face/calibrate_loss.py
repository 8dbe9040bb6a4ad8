"""Measures the gradients of the losses of a run, and the weights that even them out.

    python -m speech2face.calibrate_loss --run_dir=runs/paper
    python -m speech2face.calibrate_loss --run_dir=runs/decoder

The paper's rule (Sec. 3): at iteration 1000, the gradients of the three terms with
respect to v_s have a similar magnitude. Train to that iteration, run this command, and
start again in a new run folder with the flags it prints.

Of a run of the face decoder, the start is measured, which is built again from the seed,
and the newest checkpoint (docs/decisions/face-decoder-training.md).
"""

import dataclasses

from speech2face.artifacts import run_folder
from speech2face.config import DecoderTrainingConfig, VoiceTrainingConfig
from speech2face.data import dataset_info
from speech2face.options import Options, option, required, run_command


@dataclasses.dataclass(frozen=True)
class CalibrationOptions(Options):
    """Run to measure, and amount of data."""

    run_dir: str = required(
        "Run folder of speech2face.train or speech2face.train_face_decoder; its newest "
        "checkpoint is measured.",
        exists="folder",
    )
    data_dir: str = option(
        "",
        "Data set whose training split is used; empty: the run's own.",
        exists="folder",
    )
    n_batches: int = option(
        8,
        "Number of batches to average over, each of the run's batch size.",
        minimum=1,
        maximum=1_000_000,
    )
    vgg_face_weights: str = option(
        "",
        "Imported VGG-Face weights, for a face decoder trained with VGG-Face.",
        exists="file",
    )
    voice_data_dir: str = option(
        "",
        "For a face decoder trained with --voice_data_dir: the same.",
        exists="folder",
    )


def main(options: CalibrationOptions) -> None:
    """Prints the table and the flags."""
    # Before TensorFlow is imported: a wrong folder is reported at once.
    data_dir = options.data_dir or run_folder.data_dir_of(options.run_dir)
    if run_folder.is_decoder_run(options.run_dir):
        _print_decoder_tables(options, data_dir)
        return
    run_folder.read_config(options.run_dir, VoiceTrainingConfig)
    dataset_info.read(data_dir, kind="voice")
    from speech2face.training import loss_calibration

    print(
        loss_calibration.calibrate(options.run_dir, data_dir, options.n_batches).table()
    )


def _print_decoder_tables(options: CalibrationOptions, data_dir: str) -> None:
    run_folder.read_config(options.run_dir, DecoderTrainingConfig)
    dataset_info.read(data_dir, kind="face")
    from speech2face.training import decoder_calibration

    results = decoder_calibration.calibrate(
        options.run_dir,
        data_dir,
        options.n_batches,
        options.vgg_face_weights,
        options.voice_data_dir,
    )
    print("\n\n".join(result.table() for result in results))


if __name__ == "__main__":
    run_command(main, CalibrationOptions)
