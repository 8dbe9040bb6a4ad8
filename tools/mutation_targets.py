"""The modules that `tools.mutate` mutates, and the quickest tests that judge them."""

from typing import NamedTuple


class Target(NamedTuple):
    """A module's tests, which judge its mutants.

    Attributes:
      tests: files of tests, those that fail soonest first. Of them, neither tests that
        start processes, which would not see the mutant, nor (`slow`) slow ones.
      expression: the tests whose names match it, as after `pytest -k`.
      slow: take the slow tests too, where the others do not judge the module.
    """

    tests: str
    expression: str = ""
    slow: bool = False


_TESTS = "tests/speech2face"
_CONFIG = "defaults_are or 637_500"
TARGETS = {
    "speech2face/paper.py": Target(
        f"{_TESTS}/test_config.py {_TESTS}/audio/test_spectrogram.py"
        f" {_TESTS}/models/test_table_1.py",
        "defaults_are or compression or frame_count or shape_is or counts_are",
    ),
    "speech2face/config/voice.py": Target(f"{_TESTS}/test_config.py", _CONFIG),
    "speech2face/config/decoder.py": Target(f"{_TESTS}/test_config.py", _CONFIG),
    "speech2face/config/loop.py": Target(f"{_TESTS}/test_config.py", _CONFIG),
    "speech2face/audio/spectrogram.py": Target(f"{_TESTS}/audio/test_spectrogram.py"),
    "speech2face/audio/fourier.py": Target(f"{_TESTS}/audio/test_spectrogram.py"),
    "speech2face/audio/channels.py": Target(f"{_TESTS}/audio/test_channels.py"),
    "speech2face/models/voice_encoder.py": Target(
        f"{_TESTS}/models/test_table_1.py {_TESTS}/models/test_voice_encoder.py"
        " tests/experiments/test_table1_architecture.py"
    ),
    "speech2face/models/fast/batch_norm.py": Target(
        f"{_TESTS}/models/fast/test_batch_norm.py"
    ),
    "speech2face/models/fast/convolution.py": Target(
        f"{_TESTS}/models/fast/test_convolution.py"
    ),
    "speech2face/models/fast/backward_pass.py": Target(
        f"{_TESTS}/models/fast/test_backward_pass.py"
    ),
    "speech2face/training/losses.py": Target(
        f"{_TESTS}/training/test_losses.py {_TESTS}/training/test_decoder_losses.py"
    ),
    "speech2face/training/voice.py": Target(
        f"{_TESTS}/training/test_loss_calibration.py"
        f" {_TESTS}/training/test_training.py",
        "closed_form or losses_that_train or weights or only_the_voice",
        slow=True,
    ),
    "speech2face/training/loss_calibration.py": Target(
        f"{_TESTS}/training/test_loss_calibration.py",
        "not has_balanced and not too_early and not comes_once",
        slow=True,
    ),
    "speech2face/training/decoder_calibration.py": Target(
        f"{_TESTS}/training/test_decoder_calibration.py",
        "not starts_balanced",
        slow=True,
    ),
    "speech2face/training/decoder_gradients.py": Target(
        f"{_TESTS}/training/test_decoder_calibration.py",
        "not starts_balanced",
        slow=True,
    ),
    "speech2face/training/trainer.py": Target(
        f"{_TESTS}/training/test_optimizer.py {_TESTS}/training/test_distribution.py",
        "adam or learning_rate or own_statistics",
    ),
    "speech2face/training/unit_adam.py": Target(
        f"{_TESTS}/training/test_optimizer.py", "adam"
    ),
    "speech2face/training/decoder.py": Target(
        f"{_TESTS}/training/test_face_mixing.py"
        f" {_TESTS}/training/test_decoder_augment.py"
        f" {_TESTS}/training/test_decoder_training.py"
    ),
    "speech2face/data/records.py": Target(
        f"{_TESTS}/data/test_records.py {_TESTS}/data/test_hostile_records.py"
    ),
    "speech2face/data/input_pipeline.py": Target(
        f"{_TESTS}/data/test_input_pipeline.py", slow=True
    ),
    "speech2face/data/normalizer.py": Target(f"{_TESTS}/data/test_normalizer.py"),
    "speech2face/models/warp.py": Target(f"{_TESTS}/models/test_warp.py"),
    "speech2face/models/face_decoder.py": Target(
        f"{_TESTS}/models/test_face_decoder.py {_TESTS}/models/test_texture_space.py"
    ),
    "speech2face/metrics/similarity.py": Target(
        f"{_TESTS}/metrics/test_metrics.py", "similarity or angles or norm"
    ),
    "speech2face/metrics/features.py": Target(
        f"{_TESTS}/metrics/test_metrics.py",
        "similarity or angles or refuses or zeros",
    ),
    "speech2face/metrics/recall.py": Target(
        f"{_TESTS}/metrics/test_metrics.py", "retrieval or percent or chance or perfect"
    ),
    "speech2face/metrics/statistics.py": Target(
        f"{_TESTS}/metrics/test_metrics.py", "pearson or confusion or bootstrap"
    ),
    "speech2face/metrics/neighbors.py": Target(f"{_TESTS}/metrics/test_neighbors.py"),
    "experiments/lib/published.py": Target(
        "tests/experiments/lib/test_published.py "
        "tests/experiments/test_table1_architecture.py",
        "printed or whole or rates or published_one or the_one_difference",
    ),
}
