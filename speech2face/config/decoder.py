"""Options of the face decoder and of its training (Cole et al. 2017)."""

import dataclasses

from speech2face.config.loop import LoopConfig, OptimizerConfig
from speech2face.options import Options, option, section


@dataclasses.dataclass(frozen=True)
class FaceDecoderConfig(Options):
    """The face decoder of Cole et al. 2017, Fig. 3."""

    decoder_units: int = option(
        1000,
        "Units of the shared first layer, f_dec (Sec. 3: 1000).",
        minimum=1,
        maximum=65_536,
    )
    landmark_units: tuple[int, ...] = option(
        (256, 256),
        "Widths of the hidden layers of the landmark branch. Not in the papers: "
        "docs/decisions/face-decoder.md.",
        minimum=1,
        maximum=65_536,
    )
    texture_channels: tuple[int, ...] = option(
        (256, 128, 64, 32, 32),
        "Channels of the 14 x 14 map and of each transposed convolution (Cole et al., "
        "Fig. 3).",
        minimum=1,
        maximum=65_536,
    )
    texture_components: int = option(
        0,
        "Limit every texture to this many principal components of the training "
        "textures, which avoids smears if faces are few; 0 disables it. Not in the "
        "papers: docs/decisions/texture-components.md.",
        minimum=0,
        maximum=65_536,
    )
    mean_texture: bool = option(
        False,
        "Start every texture from the mean training texture, as landmarks start "
        "from their mean. Not in the papers: docs/decisions/mean-texture.md.",
    )
    white_background: bool = option(
        False,
        "Paint every texture white outside the outline of the mean face; needs records "
        "with --outline_points. Not in the papers: docs/decisions/outline-points.md.",
    )
    warp_order: int = option(
        1,
        "Order of the polyharmonic spline that warps the texture to the landmarks "
        "(Cole et al.: 1).",
        minimum=1,
        maximum=8,
    )


@dataclasses.dataclass(frozen=True)
class NormalizerConfig(Options):
    """The map from raw recognizer features to v_f.

    docs/decisions/feature-normalizer.md
    """

    center_features: bool = option(
        False,
        "Subtract the mean of the training set from face features. The paper mentions "
        "no centering.",
    )
    feature_norm: float = option(
        0.2316,
        "Mean norm of the training set's face features after scaling. Not in the "
        "paper: 0.2316 explains both rows of Table 2 "
        "(docs/decisions/feature-normalizer.md).",
        above=0,
        maximum=1e6,
    )


@dataclasses.dataclass(frozen=True)
class HeadConfig(Options):
    """The classes of f_VGG in Eq. 1, for a recognizer without a classifier."""

    n_prototypes: int = option(
        0,
        "Number of classes for a recognizer without a classifier (dlib): k-means "
        "centroids of the training set; 0 makes one class per speaker. VGG-Face has "
        "2622 classes of its own (Sec. 3).",
        minimum=0,
        maximum=10_000_000,
    )
    prototype_sharpness: float = option(
        100.0,
        "Factor a of the prototype logits -a/2 |v - p|^2. Not in the paper: "
        "docs/decisions/prototype-classes.md.",
        above=0,
        maximum=1e9,
    )


@dataclasses.dataclass(frozen=True)
class DecoderLossConfig(Options):
    """Losses of the face decoder (Cole et al. 2017).

    Cole et al. weight them 1, 1 and 10 and give no units. Ours make the weighted
    gradients similar when training starts: docs/decisions/face-decoder-training.md
    """

    texture_weight: float = option(
        100.0,
        "Weight of the mean absolute error of the texture, in [0, 1].",
        minimum=0,
        maximum=1e9,
    )
    landmark_weight: float = option(
        0.4,
        "Weight of the mean squared error of the landmarks, in pixels squared of a "
        "224-pixel image.",
        minimum=0,
        maximum=1e9,
    )
    identity_weight: float = option(
        1.0,
        "Weight of the negative cosine between the recognizer's features of the "
        "decoded and of the true face; 0 saves its time.",
        minimum=0,
        maximum=1e9,
    )


@dataclasses.dataclass(frozen=True)
class FaceAugmentConfig(Options):
    """Augmentation of the faces from which the decoder learns."""

    face_mixing: float = option(
        0.0,
        "Share of the examples of a batch that are blended with its other examples. "
        "The decoder then knows features near the average face, as voices give them. "
        "Beyond the paper: 0.",
        minimum=0,
        maximum=1,
    )
    feature_noise: float = option(
        0.0,
        "Norm of the random vector that is added to the feature of a face, relative to "
        "the mean norm of the features. Beyond the paper: 0.",
        minimum=0,
        maximum=100,
    )
    recognizer_jitter: float = option(
        0.0,
        "How strongly a decoded face is changed before the recognizer sees it: place, "
        "size, light, color, noise and blur, drawn anew each step; 1 is 3 px and 6 %. "
        "Beyond the papers: docs/decisions/recognizer-jitter.md.",
        minimum=0,
        maximum=10,
    )


@dataclasses.dataclass(frozen=True)
class DecoderOptimizerConfig(OptimizerConfig):
    """ADAM and its schedule for the face decoder.

    The papers do not say: docs/decisions/face-decoder-training.md. The decay fits a
    thousand photographs; it should grow with their number.
    """

    learning_rate: float = option(
        5e-4, "Initial learning rate. Not in the papers.", above=0, maximum=1000
    )
    decay_rate: float = option(
        0.5,
        "Factor on the learning rate every decay_steps iterations. Not in the papers.",
        above=0,
        maximum=1,
    )
    decay_steps: int = option(
        500,
        "Iterations between decays of the learning rate. Not in the papers.",
        minimum=1,
        maximum=1_000_000_000,
    )
    staircase: bool = option(
        True,
        "Decay the learning rate in steps, not continuously. Not in the papers.",
    )
    beta1: float = option(
        0.5,
        "Decay of ADAM's first moment. Not in the papers: the voice encoder's.",
        minimum=0,
        below=1,
    )
    beta2: float = option(
        0.999,
        "Decay of ADAM's second moment. Not in the papers: ADAM's default.",
        minimum=0,
        below=1,
    )
    # The voice encoder's 1e-4 is larger than the gradient of a landmark weight.
    epsilon: float = option(
        1e-7, "ADAM's epsilon. Not in the papers: Keras's default.", above=0, maximum=1
    )
    keep_best: bool = option(
        False,
        "Keep the weights of the validation with the smallest error of the picture, "
        "not the last ones. With a thousand faces the decoder overfits. Not in the "
        "papers: docs/decisions/best-validation.md.",
    )
    weight_decay: float = option(
        0.0,
        "Decoupled weight decay of all weights. The papers mention none: 0.",
        minimum=0,
        maximum=1,
    )


@dataclasses.dataclass(frozen=True)
class DecoderTrainingConfig(Options):
    """All options of `speech2face.train_face_decoder`."""

    face_decoder: FaceDecoderConfig = section(FaceDecoderConfig)
    normalizer: NormalizerConfig = section(NormalizerConfig)
    head: HeadConfig = section(HeadConfig)
    decoder_loss: DecoderLossConfig = section(DecoderLossConfig)
    face_augment: FaceAugmentConfig = section(FaceAugmentConfig)
    optimizer: DecoderOptimizerConfig = section(DecoderOptimizerConfig)
    loop: LoopConfig = section(LoopConfig)
