"""Numbers and layer tables as published; nothing here is computed or chosen by us."""

from typing import NamedTuple, Optional, Tuple


class PublishedLayer(NamedTuple):
    """One layer of a published architecture; None where the source says nothing.

    Attributes:
      name: our name of the layer.
      operations: what it does, in order.
      channels: channels or units that come out.
      stride: time x frequency, or height x width.
      kernel: likewise; 'inf' is all of time.
    """

    name: str
    operations: Optional[str]
    channels: Optional[int]
    stride: Optional[Tuple[int, int]]
    kernel: Optional[Tuple[float, int]]


INF = float("inf")

# Oh et al., CVPR 2019, Table 1 (time x frequency), for an input of 598 x 257 x 2.
TABLE_1 = (
    PublishedLayer("conv1", "CONV RELU BN", 64, (1, 1), (4, 4)),
    PublishedLayer("conv2", "CONV RELU BN", 64, (1, 1), (4, 4)),
    PublishedLayer("conv3", "CONV RELU BN", 128, (1, 1), (4, 4)),
    PublishedLayer("maxpool3", "MAXPOOL", None, (2, 1), (2, 1)),
    PublishedLayer("conv4", "CONV RELU BN", 128, (1, 1), (4, 4)),
    PublishedLayer("maxpool4", "MAXPOOL", None, (2, 1), (2, 1)),
    PublishedLayer("conv5", "CONV RELU BN", 128, (1, 1), (4, 4)),
    PublishedLayer("maxpool5", "MAXPOOL", None, (2, 1), (2, 1)),
    PublishedLayer("conv6", "CONV RELU BN", 256, (1, 1), (4, 4)),
    PublishedLayer("maxpool6", "MAXPOOL", None, (2, 1), (2, 1)),
    PublishedLayer("conv7", "CONV RELU BN", 512, (1, 1), (4, 4)),
    PublishedLayer("conv8", "CONV RELU BN", 512, (2, 2), (4, 4)),
    PublishedLayer("conv9", "CONV", 512, (2, 2), (4, 4)),
    PublishedLayer("avgpool", "AVGPOOL RELU BN", None, (1, 1), (INF, 1)),
    PublishedLayer("fc1", "FC RELU", 4096, (1, 1), (1, 1)),
    PublishedLayer("fc2", "FC", 4096, (1, 1), (1, 1)),
)
TABLE_1_INPUT = (598, 257, 2)  # for 6 seconds

# Parkhi et al., BMVC 2015, Table 3, network D. Its softmax is not part of fc8 here.
VGG_FACE = (
    PublishedLayer("conv1_1", "CONV RELU", 64, (1, 1), (3, 3)),
    PublishedLayer("conv1_2", "CONV RELU", 64, (1, 1), (3, 3)),
    PublishedLayer("pool1", "MAXPOOL", None, (2, 2), (2, 2)),
    PublishedLayer("conv2_1", "CONV RELU", 128, (1, 1), (3, 3)),
    PublishedLayer("conv2_2", "CONV RELU", 128, (1, 1), (3, 3)),
    PublishedLayer("pool2", "MAXPOOL", None, (2, 2), (2, 2)),
    PublishedLayer("conv3_1", "CONV RELU", 256, (1, 1), (3, 3)),
    PublishedLayer("conv3_2", "CONV RELU", 256, (1, 1), (3, 3)),
    PublishedLayer("conv3_3", "CONV RELU", 256, (1, 1), (3, 3)),
    PublishedLayer("pool3", "MAXPOOL", None, (2, 2), (2, 2)),
    PublishedLayer("conv4_1", "CONV RELU", 512, (1, 1), (3, 3)),
    PublishedLayer("conv4_2", "CONV RELU", 512, (1, 1), (3, 3)),
    PublishedLayer("conv4_3", "CONV RELU", 512, (1, 1), (3, 3)),
    PublishedLayer("pool4", "MAXPOOL", None, (2, 2), (2, 2)),
    PublishedLayer("conv5_1", "CONV RELU", 512, (1, 1), (3, 3)),
    PublishedLayer("conv5_2", "CONV RELU", 512, (1, 1), (3, 3)),
    PublishedLayer("conv5_3", "CONV RELU", 512, (1, 1), (3, 3)),
    PublishedLayer("pool5", "MAXPOOL", None, (2, 2), (2, 2)),
    PublishedLayer("fc6", "FC RELU", 4096, (1, 1), (7, 7)),
    PublishedLayer("fc7", "FC RELU", 4096, (1, 1), (1, 1)),
    PublishedLayer("fc8", "FC", 2622, (1, 1), (1, 1)),
)
VGG_FACE_INPUT = (224, 224, 3)

# Cole et al., CVPR 2017, Fig. 3, with f_dec of Oh et al. (1000). The landmark branch is
# a "shallow" perceptron of unstated depth and width.
FACE_DECODER = (
    PublishedLayer("f_dec", "FC RELU", 1000, None, None),
    PublishedLayer("landmarks_fc_1", None, None, None, None),
    PublishedLayer("landmarks_fc_2", None, None, None, None),
    PublishedLayer("landmarks_fc_out", "FC", 68 * 2, None, None),
    PublishedLayer("texture_fc", "FC RELU", 14 * 14 * 256, None, None),
    PublishedLayer("texture_deconv_1", "DECONV RELU", 128, (2, 2), (5, 5)),
    PublishedLayer("texture_deconv_2", "DECONV RELU", 64, (2, 2), (5, 5)),
    PublishedLayer("texture_deconv_3", "DECONV RELU", 32, (2, 2), (5, 5)),
    PublishedLayer("texture_deconv_4", "DECONV RELU", 32, (2, 2), (5, 5)),
    PublishedLayer("texture_rgb", "CONV", 3, (1, 1), (1, 1)),
)
FACE_DECODER_INPUT = (4096,)
