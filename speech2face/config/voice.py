"""Options of the voice encoder and of its training (Sec. 3, Table 1, Eq. 1)."""

import dataclasses
from typing import Literal

from speech2face import paper
from speech2face.config.loop import LoopConfig, OptimizerConfig
from speech2face.options import Options, option, section


@dataclasses.dataclass(frozen=True)
class AudioConfig(Options):
    """Part of a recording that the voice encoder sees (Sec. 3)."""

    clip_secs: float = option(
        paper.CLIP_SECS,
        "Seconds of audio per training example. Shorter clips are repeated, longer "
        "ones cut to their beginning (Sec. 3: 6 s; Fig. 8 also trains on 3 s).",
        minimum=0.025,  # one window of the spectrogram
        maximum=600,
    )


@dataclasses.dataclass(frozen=True)
class VoiceEncoderConfig(Options):
    """The voice encoder (Table 1)."""

    encoder: Literal["table1", "speaker_embedding"] = option(
        "table1",
        "Network. 'table1' is the paper's. 'speaker_embedding' is a pretrained speaker "
        "recognizer with a small head, beyond the paper.",
    )
    width: float = option(
        1.0,
        "Factor on all channel counts of Table 1 except the last one (Table 1: 1).",
        above=0,
        maximum=16,
    )
    padding: Literal["valid", "same"] = option(
        "valid",
        "Padding of the convolutions. Not in the paper: "
        "docs/decisions/convolution-padding.md.",
    )
    batch_norm: bool = option(
        True,
        "Batch normalization after each ReLU (Table 1: yes; Fig. 8 also without).",
    )
    batch_norm_momentum: float = option(
        0.99,
        "Decay of the moving statistics. Not in the paper: TensorFlow's default in "
        "2019 (docs/decisions/batch-norm-settings.md).",
        minimum=0,
        below=1,
    )
    batch_norm_epsilon: float = option(
        1e-3,
        "Number added to the variance of batch normalization. Not in the paper: "
        "TensorFlow's default in 2019 (docs/decisions/batch-norm-settings.md).",
        above=0,
        maximum=1,
    )
    global_batch_norm: bool = option(
        False,
        "Compute batch statistics over all replicas instead of within each. Not in the "
        "paper: docs/decisions/replicas-and-micro-batches.md.",
    )
    speaker_noise: float = option(
        0.0,
        "Standard deviation of noise on the voice vector in training, in standard "
        "deviations of a unit. It makes a linear head a ridge regression. Beyond the "
        "paper: docs/decisions/compact-head-options.md.",
        minimum=0,
        maximum=1000,
    )
    speaker_hidden_units: tuple[int, ...] = option(
        (),
        "Widths of the hidden layers of the head of --encoder=speaker_embedding. "
        "Beyond the paper.",
        minimum=1,
        maximum=65_536,
    )
    speaker_gain: float = option(
        1.0,
        "Mean length of the features that --encoder=speaker_embedding predicts for new "
        "voices, as a share of that of true features; 0 leaves the regression's. "
        "Beyond the paper: docs/decisions/feature-gain.md.",
        minimum=0,
        maximum=10,
    )
    head_dropout: float = option(
        0.0,
        "Dropout rate before the fully connected layers. The paper mentions none: 0.",
        minimum=0,
        below=1,
    )


@dataclasses.dataclass(frozen=True)
class LossConfig(Options):
    """The weights of Eq. 1, and what the supplementary and we add to it."""

    loss_reduction: Literal["sum", "mean"] = option(
        "mean",
        "How the L1 is reduced over units and the cross-entropy over classes. Eq. 1 "
        "prints sums; its weights and Fig. 8 fit means "
        "(docs/decisions/eq1-reduction.md).",
    )
    decoder_weight: float = option(
        1.0,
        "Weight of |f_dec(v_f) - f_dec(v_s)|_1 (Eq. 1: 1; 0 in an ablation).",
        minimum=0,
        maximum=1e9,
    )
    # They fit the paper's feature scale only: docs/decisions/loss-weights.md
    lambda1: float = option(
        0.025,
        "Weight of |v_f/|v_f| - v_s/|v_s||_2^2 (Sec. 3: 0.025).",
        minimum=0,
        maximum=1e9,
    )
    lambda2: float = option(
        200.0, "Weight of the distillation term (Sec. 3: 200).", minimum=0, maximum=1e9
    )
    temperature: float = option(
        2.0, "Temperature T of the distillation (Sec. 3: 2).", above=0, maximum=1e6
    )
    feature_l1_weight: float = option(
        0.0,
        "Weight of |v_f - v_s|_1, summed or averaged as the other L1. Not in Eq. 1: 0; "
        "Sec. 3 tried it alone and found training slow and unstable.",
        minimum=0,
        maximum=1e9,
    )
    pixel_weight: float = option(
        0.0,
        "Weight of the mean absolute difference between the images decoded from face "
        "and voice. Not in Eq. 1: 0; the supplementary tries such a loss.",
        minimum=0,
        maximum=1e9,
    )
    contrastive_weight: float = option(
        0.0,
        "Weight of an InfoNCE term between the voices and faces of a batch. Beyond the "
        "paper: docs/decisions/compact-head-options.md.",
        minimum=0,
        maximum=1e9,
    )
    contrastive_temperature: float = option(
        0.1,
        "Temperature of the InfoNCE term. Beyond the paper.",
        above=0,
        maximum=1e6,
    )


@dataclasses.dataclass(frozen=True)
class AugmentConfig(Options):
    """Augmentation of the training waveforms. The paper mentions none: all are off."""

    random_window: bool = option(
        False,
        "Take a random window of each clip instead of its beginning (Sec. 3: the "
        "beginning).",
    )
    gain_db: float = option(
        0.0,
        "Change the level at random by up to this many dB; 0 disables it.",
        minimum=0,
        maximum=100,
    )
    noise_snr_db: float = option(
        0.0,
        "Add noise at a random signal-to-noise ratio between this and 40 dB; 0 "
        "disables it.",
        minimum=0,
        maximum=40,
    )
    speed: float = option(
        0.0,
        "Change speed, pitch and formants together at random, by up to this share: "
        "0.03 keeps the character of a voice, 0.3 makes another voice; 0 disables it.",
        minimum=0,
        below=1,
    )
    reverb_secs: float = option(
        0.0,
        "Add the reverberation of a random room that decays by 60 dB within up to this "
        "many seconds; 0 disables it.",
        minimum=0,
        maximum=10,
    )
    band_limit_hz: float = option(
        0.0,
        "Apply a low-pass filter with a random cutoff between this and 8000 Hz; 0 "
        "disables it.",
        minimum=0,
        maximum=8000,
    )
    telephone_codec: bool = option(
        False, "Pass half of the clips through 8-bit mu-law coding (ITU-T G.711)."
    )


@dataclasses.dataclass(frozen=True)
class VoiceTrainingConfig(Options):
    """All options of `speech2face.train`."""

    audio: AudioConfig = section(AudioConfig)
    voice_encoder: VoiceEncoderConfig = section(VoiceEncoderConfig)
    loss: LossConfig = section(LossConfig)
    optimizer: OptimizerConfig = section(OptimizerConfig)
    augment: AugmentConfig = section(AugmentConfig)
    loop: LoopConfig = section(LoopConfig)
