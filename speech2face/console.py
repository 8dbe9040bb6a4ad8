"""Entry points of the console scripts: `speech2face-train` runs `speech2face.train`.

`setup.py` maps each script to an attribute of this module named after the command's
module. A script runs that module as `python -m` does, so both are the same command.
"""

import functools
import runpy
from collections.abc import Callable

COMMANDS = {
    "train": "speech2face.train",
    "train_face_decoder": "speech2face.train_face_decoder",
    "calibrate_loss": "speech2face.calibrate_loss",
    "evaluate": "speech2face.evaluate",
    "reconstruct": "speech2face.reconstruct",
    "retrieve": "speech2face.retrieve",
    "export": "speech2face.export",
    "import_vgg_face": "speech2face.import_vgg_face",
    "app": "speech2face.app",
    "build_tfrecords": "data_prep.build_tfrecords",
    "build_decoder_tfrecords": "data_prep.build_decoder_tfrecords",
    "download_avspeech": "data_prep.download_avspeech",
    "inspect_tfrecords": "data_prep.inspect_tfrecords",
    "sample_people": "data_prep.sample_people",
    "demo": "experiments.demo",
    "run_all": "experiments.run_all",
}


def __getattr__(name: str) -> Callable[[], object]:
    # One attribute per command: entry points name an attribute, not a module to run.
    if name not in COMMANDS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return functools.partial(
        runpy.run_module, COMMANDS[name], run_name="__main__", alter_sys=True
    )
