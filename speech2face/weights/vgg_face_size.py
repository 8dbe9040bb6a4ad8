"""The widths of VGG-Face, and the shapes of its layers."""

import dataclasses
import math

from speech2face import paper
from speech2face.bounds import Bounds

_BLOCKS = Bounds(1, 8)  # and convolutions of a block; the paper has 5 of 2 or 3
_UNITS = Bounds(1, 2**20)
_PARAMETERS = Bounds(1, 2**28)  # the paper's network has 145 million


@dataclasses.dataclass(frozen=True)
class VggFaceSize:
    """Widths of VGG-Face. The defaults are the network of Parkhi et al. (BMVC 2015).

    Attributes:
      blocks: channels of the 3 x 3 convolutions of each block; a 2 x 2 max pool with
        stride 2 follows every block.
      fc_units: units of fc6 and of fc7, the width of the face feature.
      n_classes: units of fc8, the identities of the training set.
      input_px: height and width of the input image.
    """

    blocks: tuple[tuple[int, ...], ...] = (
        (64, 64),
        (128, 128),
        (256, 256, 256),
        (512, 512, 512),
        (512, 512, 512),
    )
    fc_units: int = 4096
    n_classes: int = 2622
    input_px: int = paper.FACE_PX

    def __post_init__(self) -> None:
        """Raises UserError for sizes that no VGG network has."""
        _BLOCKS.check(f"{len(self.blocks)} blocks", len(self.blocks), int)
        for block in self.blocks:
            _BLOCKS.check(f"a block of {len(block)} convolutions", len(block), int)
        for units in (*self.blocks, self.fc_units, self.n_classes):
            _UNITS.check(f"{units} units", units, int)
        sides = Bounds(2 ** len(self.blocks), 2**12)  # each block halves the image
        sides.check(f"input_px={self.input_px}", self.input_px, int)
        _PARAMETERS.check(f"{self.n_parameters:,} parameters", self.n_parameters, int)

    @property
    def pool5_shape(self) -> tuple[int, int, int]:
        """Shape (height, width, channels) of the last pooling layer's output."""
        side = self.input_px // 2 ** len(self.blocks)  # each pool halves
        return side, side, self.blocks[-1][-1]

    @property
    def kernel_shapes(self) -> dict[str, tuple[int, ...]]:
        """Kernel shape of every layer with weights, by layer name, in network order."""
        shapes: dict[str, tuple[int, ...]] = {}
        n_in = 3
        for block, channels in enumerate(self.blocks, start=1):
            for index, n_out in enumerate(channels, start=1):
                shapes[f"conv{block}_{index}"] = (3, 3, n_in, n_out)
                n_in = n_out
        shapes["fc6"] = (math.prod(self.pool5_shape), self.fc_units)
        shapes["fc7"] = (self.fc_units, self.fc_units)
        shapes["fc8"] = (self.fc_units, self.n_classes)
        return shapes

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases: 145,002,878 for the paper's network."""
        shapes = self.kernel_shapes.values()
        return sum(math.prod(shape) + shape[-1] for shape in shapes)


PAPER_SIZE = VggFaceSize()
