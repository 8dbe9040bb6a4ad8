"""Configuration: frozen dataclasses whose defaults are the paper's.

Every field carries a help text that cites where its default comes from, becomes one
command-line flag of the same name (`speech2face.flag_config`), and is saved with
every run and every bundle as JSON. A size (paper, compact, sample) is a flag file
under `configs/`, never a second implementation.
"""

import dataclasses
from typing import Literal, Tuple

from speech2face.config_fields import option, section

Precision = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]


@dataclasses.dataclass(frozen=True)
class AudioConfig:
    """How much of a recording the voice encoder sees (Sec. 3)."""

    clip_secs: float = option(
        6.0,
        "Seconds of audio per training example; shorter clips are tiled, longer ones "
        "cut to their first seconds. Sec. 3: 6 s; Fig. 8 also trains on 3 s.",
    )


@dataclasses.dataclass(frozen=True)
class VoiceEncoderConfig:
    """The voice encoder (Table 1)."""

    encoder: Literal["table1", "speaker_embedding"] = option(
        "table1",
        "Network: 'table1' is the paper's; 'speaker_embedding' puts a head on a "
        "pretrained speaker recogniser and goes beyond the paper.",
    )
    width: float = option(
        1.0, "Multiplier on every channel count of Table 1 but the last (Table 1: 1)."
    )
    padding: Literal["valid", "same"] = option(
        "valid",
        "Padding of the convolutions. Not in the paper: 'valid' (BUILD_NOTES 5).",
    )
    batch_norm: bool = option(
        True, "Batch normalisation behind each ReLU (Table 1; Fig. 8 also without)."
    )
    batch_norm_momentum: float = option(
        0.99, "Decay of the moving statistics. Not in the paper: TensorFlow's of 2019."
    )
    batch_norm_epsilon: float = option(
        1e-3, "Added to the variance. Not in the paper: TensorFlow's default of 2019."
    )
    global_batch_norm: bool = option(
        False,
        "Statistics over all replicas instead of per replica. Not in the paper.",
    )
    speaker_embedders: Tuple[str, ...] = option(
        ("resemblyzer", "voicefilter"),
        "Pretrained speaker recognisers of 'speaker_embedding', of those in "
        "models/speaker_encoder.py. Beyond the paper.",
    )
    speaker_noise: float = option(
        0.0,
        "Noise on the embedding in training, in standard deviations of a unit: to a "
        "linear head it is ridge regression, 1.5 with 671 clips. Beyond the paper.",
    )
    speaker_hidden_units: Tuple[int, ...] = option(
        (), "Hidden widths of the head of 'speaker_embedding'. Beyond the paper."
    )
    speaker_feature_norm: float = option(
        0.0,
        "Length given to the feature of 'speaker_embedding', for losses that only see "
        "its direction; 0 leaves it. Beyond the paper.",
    )
    head_dropout: float = option(
        0.0, "Dropout rate before the fully connected layers. Not in the paper: 0."
    )


@dataclasses.dataclass(frozen=True)
class FaceDecoderConfig:
    """The face decoder of Cole et al. 2017, Fig. 3."""

    decoder_units: int = option(
        1000, "Width of the shared first layer, f_dec (Sec. 3: 1000)."
    )
    landmark_units: Tuple[int, ...] = option(
        (256, 256),
        "Hidden widths of the landmark branch. Not in the papers: BUILD_NOTES 16.",
    )
    texture_channels: Tuple[int, ...] = option(
        (256, 128, 64, 32, 32),
        "Channels of the 14 x 14 map and of each transposed convolution (Cole et al.).",
    )
    texture_components: int = option(
        0,
        "Principal components of the training textures that make up every texture: "
        "against smears where faces are few. Not in the papers: 0 for any texture.",
    )
    warp_order: int = option(
        1, "Order of the polyharmonic spline of the warp (Cole et al.: 1)."
    )


@dataclasses.dataclass(frozen=True)
class NormalizerConfig:
    """The map from raw recognizer features to v_f (BUILD_NOTES 11)."""

    center_features: bool = option(
        False, "Subtract the training mean from face features. Paper config: no."
    )
    feature_norm: float = option(
        0.2316,
        "Mean norm of face features after scaling, fitted on the training set; 0.2316 "
        "explains both rows of Table 2.",
    )


@dataclasses.dataclass(frozen=True)
class HeadConfig:
    """f_VGG of Eq. 1: where the classes come from if the recognizer has none."""

    n_prototypes: int = option(
        0,
        "Classes of a recognizer without a classifier (dlib): this many k-means "
        "centroids of the training set, or 0 for one prototype per speaker. VGG-Face "
        "has 2622 classes of its own (Sec. 3).",
    )
    prototype_sharpness: float = option(
        100.0,
        "Scale a of the prototype logits -a/2 |v - p|^2. Not in the paper: "
        "BUILD_NOTES 27.",
    )


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """Eq. 1."""

    loss_reduction: Literal["sum", "mean"] = option(
        "sum",
        "Eq. 1 as printed sums the L1 over units and the cross-entropy over classes; "
        "'mean' divides them by their counts (BUILD_NOTES 12).",
    )
    decoder_weight: float = option(
        1.0, "Weight of |f_dec(v_f) - f_dec(v_s)|_1 (Eq. 1: 1; 0 for ablations)."
    )
    lambda1: float = option(
        0.025, "Weight of |v_f/|v_f| - v_s/|v_s||_2^2 (Eq. 1: 0.025)."
    )
    lambda2: float = option(200.0, "Weight of the distillation term (Eq. 1: 200).")
    temperature: float = option(2.0, "Temperature T of the distillation (Sec. 3: 2).")
    pixel_weight: float = option(
        0.0,
        "Weight of the mean absolute difference of the decoded images, F2F and S2F: "
        "the image-space loss that the supplementary tries. Not in Eq. 1: 0.",
    )
    contrastive_weight: float = option(
        0.0,
        "Weight of an InfoNCE term between the voices and faces of a batch. Beyond "
        "the paper: 0 in its config.",
    )
    contrastive_temperature: float = option(
        0.1, "Temperature of the InfoNCE term. Beyond the paper."
    )


@dataclasses.dataclass(frozen=True)
class DecoderLossConfig:
    """Losses of the face decoder (Cole et al. 2017)."""

    texture_weight: float = option(1.0, "Weight of the texture mean absolute error.")
    landmark_weight: float = option(
        1.0, "Weight of the landmark mean squared error (in image widths)."
    )
    identity_weight: float = option(
        10.0,
        "Weight of the negative cosine between the recognizer's features of the "
        "warped output and of the input (Cole et al.: 10); 0 saves its cost.",
    )


@dataclasses.dataclass(frozen=True)
class FaceAugmentConfig:
    """What is done to the faces from which the decoder learns."""

    face_mixing: float = option(
        0.0,
        "Share of the examples of a batch that are blended with others of it, so that "
        "features near the average face, such as voices give, have a face, too. Not "
        "in the paper: 0.",
    )


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """ADAM and its schedule (Sec. 3, "Implementation details")."""

    learning_rate: float = option(1e-3, "Initial learning rate (Sec. 3: 0.001).")
    decay_rate: float = option(0.95, "Factor per decay_steps (Sec. 3: 0.95).")
    decay_steps: int = option(10_000, "Iterations per decay (Sec. 3: 10,000).")
    staircase: bool = option(
        True, "Decay in steps rather than continuously. Not in the paper."
    )
    beta1: float = option(0.5, "ADAM beta1 (Sec. 3: 0.5).")
    beta2: float = option(0.999, "ADAM beta2. Not in the paper: ADAM's default.")
    epsilon: float = option(1e-4, "ADAM epsilon (Sec. 3: 1e-4).")
    weight_decay: float = option(
        0.0, "Decoupled weight decay of all kernels. Not in the paper: 0."
    )
    last_layer_only: bool = option(
        False,
        "Train only the last layer of Table 1, on what --init_dir has brought. Not in "
        "the paper.",
    )


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """What is done to a training waveform. All off in the paper's config."""

    random_window: bool = option(
        False, "Take a random window of the clip instead of its beginning (Sec. 3)."
    )
    gain_db: float = option(0.0, "Random level change of up to +- this many dB.")
    noise_snr_db: float = option(
        0.0, "Add noise at a random ratio between this and 40 dB; 0 adds none."
    )
    speed: float = option(
        0.0,
        "Random change of speed, pitch and formants together, by up to this share: "
        "0.03 keeps a voice's character, 0.3 makes other voices.",
    )
    reverb_secs: float = option(
        0.0, "Random room: time to decay by 60 dB of up to this; 0 leaves it dry."
    )
    band_limit_hz: float = option(
        0.0, "Random low-pass between this and 8000 Hz; 0 keeps all frequencies."
    )
    telephone_codec: bool = option(
        False, "Half of the clips go through 8-bit mu-law (ITU-T G.711)."
    )


@dataclasses.dataclass(frozen=True)
class LoopConfig:
    """The training loop: how long, in which precision, what is kept."""

    batch_size: int = option(8, "Examples per iteration over all replicas (Sec. 3: 8).")
    epochs: float = option(3.0, "Passes over the training set (Sec. 3: 3).")
    seed: int = option(0, "Decides weights, data order and augmentation.")
    precision: Precision = option(
        "float32",
        "Arithmetic of the networks; 'auto' is mixed_bfloat16 where the hardware is "
        "fast at it and float32 elsewhere.",
    )
    strategy: Literal["none", "mirrored", "multi_worker", "tpu"] = option(
        "none",
        "Devices: 'none' is one, 'mirrored' all GPUs of this machine, 'multi_worker' "
        "the machines of TF_CONFIG, 'tpu' that of TPU_NAME (speech2face/distribution).",
    )
    accumulate_steps: int = option(
        1,
        "Parts in which each device computes its examples of a batch, for small "
        "memories. Batch normalisation sees a part as it sees a device.",
    )
    steps_per_call: int = option(
        1,
        "Iterations per call into TensorFlow, at most: more saves the time between "
        "them, on a TPU above all.",
    )
    xla: bool = option(False, "Compile the networks and their gradients with XLA.")
    host_spectrogram: bool = option(
        False,
        "Table 1: make spectrograms in the input pipeline, on the host's cores, not in "
        "the network, on the accelerator. The result is the same.",
    )
    shuffle_buffer: int = option(
        4096, "Records among which the order of an epoch is drawn."
    )
    skip_corrupt: bool = option(
        False,
        "Replace the lost records of a damaged shard by others of the data set, and "
        "report how many, instead of stopping.",
    )
    save_every: int = option(1000, "Iterations between checkpoints.")
    keep_checkpoints: int = option(3, "Newest checkpoints kept.")
    keep_every_hours: float = option(
        0.0, "Of the older checkpoints, keep one in so many hours; 0 for none."
    )
    summarize_every: int = option(100, "Iterations between summaries.")
    validate_every: int = option(
        5000, "Iterations between passes over the validation split; 0 for none."
    )
    validation_examples: int = option(
        5000, "Examples of a validation pass, at most (Tables 2 and 3: 5,000)."
    )
    histograms_every: int = option(
        0, "Iterations between TensorBoard histograms of all weights; 0 for none."
    )
    projector_examples: int = option(
        0,
        "Validation clips whose face and voice features TensorBoard's projector shows "
        "after each pass; 0 for none.",
    )
    deterministic_ops: bool = option(
        False,
        "Only operations that give the same bits every time: slower on a GPU, where "
        "the others add in any order.",
    )


@dataclasses.dataclass(frozen=True)
class VoiceTrainingConfig:
    """Everything `speech2face.train` needs to know."""

    audio: AudioConfig = section(AudioConfig)
    voice_encoder: VoiceEncoderConfig = section(VoiceEncoderConfig)
    loss: LossConfig = section(LossConfig)
    optimizer: OptimizerConfig = section(OptimizerConfig)
    augment: AugmentConfig = section(AugmentConfig)
    loop: LoopConfig = section(LoopConfig)


@dataclasses.dataclass(frozen=True)
class PretrainingConfig:
    """Everything `speech2face.pretrain_voice_encoder` needs to know."""

    audio: AudioConfig = section(AudioConfig)
    voice_encoder: VoiceEncoderConfig = section(VoiceEncoderConfig)
    optimizer: OptimizerConfig = section(OptimizerConfig)
    augment: AugmentConfig = section(AugmentConfig)
    loop: LoopConfig = section(LoopConfig)


@dataclasses.dataclass(frozen=True)
class DecoderTrainingConfig:
    """Everything `speech2face.train_face_decoder` needs to know."""

    face_decoder: FaceDecoderConfig = section(FaceDecoderConfig)
    normalizer: NormalizerConfig = section(NormalizerConfig)
    head: HeadConfig = section(HeadConfig)
    decoder_loss: DecoderLossConfig = section(DecoderLossConfig)
    face_augment: FaceAugmentConfig = section(FaceAugmentConfig)
    optimizer: OptimizerConfig = section(OptimizerConfig)
    loop: LoopConfig = section(LoopConfig)
