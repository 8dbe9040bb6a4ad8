"""Converts VGG-Face weights, from any file in circulation, for this project.

    python -m speech2face.import_vgg_face --weights=VGG_FACE.t7 \\
        --output=vgg_face.weights.h5

The format is recognised by content: MatConvNet .mat, Caffe .caffemodel, Torch7 .t7,
PyTorch .pth, Keras .h5. Channel order, filter layout and the order of fc6's inputs
come out the same from each, and so does the printed checksum.
"""

import dataclasses
from typing import Literal

from speech2face import flag_config
from speech2face.config_fields import option, required


@dataclasses.dataclass(frozen=True)
class ImportVggFaceFlags:
    """Flags of this command."""

    weights: str = required("VGG-Face weights, in any of the formats above.")
    output: str = option("vgg_face.weights.h5", "Where to write the converted weights.")
    channel_order: Literal["auto", "rgb", "bgr"] = option(
        "auto",
        "Order of the input channels of --weights: 'auto' is the order of its format; "
        "give it only for a file that --check_images shows to differ.",
    )
    class_names: str = option(
        "",
        "Text file of one class name a line (the authors' names.txt), for formats that "
        "carry no names.",
    )
    check_images: str = option(
        "",
        "Folder of face crops to classify with the converted weights; prints the five "
        "best names of each.",
    )


def main(options: ImportVggFaceFlags) -> None:
    """Imports the weights and reports what they are."""
    from speech2face import vgg_face_formats as formats

    names = options.class_names and formats.read_class_names(options.class_names)
    info = formats.import_weights(
        options.weights,
        options.output,
        channel_order=options.channel_order,
        class_names=names or (),
    )
    for line in formats.describe(info, options.output):
        print(line)
    if options.check_images:
        from speech2face import vgg_face_check

        checks = vgg_face_check.check_images(options.output, options.check_images)
        for line in vgg_face_check.report(checks):
            print(line)


if __name__ == "__main__":
    flag_config.run(main, ImportVggFaceFlags)
