"""Converts VGG-Face weights, from any file in circulation, for this project.

    python -m speech2face.import_vgg_face --weights=VGG_FACE.t7 \\
        --output=vgg_face.weights.h5

The format is recognized by content: MatConvNet .mat, Caffe .caffemodel, Torch7 .t7,
PyTorch .pth, Keras .h5. Channel order, filter layout and the order of fc6's inputs are
the same whatever the source, and so is the printed checksum.
"""

import dataclasses
from typing import Literal

from speech2face.options import Options, option, required, run_command
from speech2face.weights import vgg_face_import


@dataclasses.dataclass(frozen=True)
class ImportVggFaceFlags(Options):
    """Flags of this command."""

    weights: str = required(
        "VGG-Face weights, in any of the formats above.", exists="file"
    )
    output: str = option("vgg_face.weights.h5", "Where to write the converted weights.")
    channel_order: Literal["auto", "rgb", "bgr"] = option(
        "auto",
        "Order of the input channels of --weights: 'auto' follows from its format and "
        "the names of its layers. Give it for a file with other names, or one that "
        "--check_images shows to differ.",
    )
    class_names: str = option(
        "",
        "Text file of one class name a line (the authors' names.txt), for formats "
        "without names.",
        exists="file",
    )
    check_images: str = option(
        "",
        "Folder of face crops to classify with the converted weights; prints the five "
        "best names of each.",
        exists="folder",
    )


def main(options: ImportVggFaceFlags) -> None:
    """Imports the weights and prints a description."""
    names = []
    if options.class_names:
        names = vgg_face_import.read_class_names(options.class_names)
    info = vgg_face_import.import_weights(
        options.weights,
        options.output,
        channel_order=options.channel_order,
        class_names=names,
    )
    for line in vgg_face_import.describe(info, options.output):
        print(line)
    if options.check_images:
        from speech2face.recognizers import vgg_face_check  # needs TensorFlow

        checks = vgg_face_check.check_images(options.output, options.check_images)
        for line in vgg_face_check.report(checks):
            print(line)


if __name__ == "__main__":
    run_command(main, ImportVggFaceFlags)
