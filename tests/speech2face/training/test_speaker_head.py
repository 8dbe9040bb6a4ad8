"""The head in closed form against least squares and against noise."""

import numpy as np

from speech2face.training import speaker_head


def test_regression_is_ridge_regression():
    """Ridge regression is least squares with sqrt(strength) I under the inputs."""
    draw = np.random.default_rng(0)
    x, y = draw.normal(2, 1, (30, 50)), draw.normal(1, 1, (30, 3))
    kernel, bias = speaker_head.regression(x, y, noise=0.5)
    center, mean = x.mean(0), y.mean(0)
    rows = np.concatenate([x - center, np.sqrt(30 * 0.25) * np.eye(50)])
    expected = np.linalg.lstsq(
        rows, np.concatenate([y - mean, np.zeros((50, 3))]), None
    )[0]
    np.testing.assert_allclose(kernel, expected, atol=1e-8)
    np.testing.assert_allclose(center @ kernel + bias, mean, atol=1e-8)


def test_regression_is_the_best_for_noisy_inputs():
    """Among kernels nearby, none has a smaller squared error on noisy copies."""
    draw = np.random.default_rng(1)
    x, y = draw.normal(0, 1, (20, 4)), draw.normal(0, 1, (20, 1))
    kernel, bias = speaker_head.regression(x, y, noise=0.8)
    noisy = np.tile(x, (20_000, 1)) + 0.8 * draw.normal(size=(400_000, 4))

    def error(kernel):
        return np.square(noisy @ kernel + bias - np.tile(y, (20_000, 1))).mean()

    for direction in np.eye(4):
        for step in (-0.1, 0.1):
            assert error(kernel) < error(kernel + step * direction[:, None])


def test_folds_keep_a_speaker_together_and_cover_all():
    speakers = [f"speaker {i % 17}" for i in range(100)]
    folds = list(speaker_head.folds(speakers))
    np.testing.assert_array_equal(np.sum(folds, axis=0), 1)
    for fold in folds:
        inside = {s for s, is_in in zip(speakers, fold) if is_in}
        assert not inside & {s for s, is_in in zip(speakers, fold) if not is_in}


def test_lengths_are_those_of_new_speakers():
    """Predictions of what inputs do not tell are short; of what they tell, full."""
    draw = np.random.default_rng(2)
    x = draw.normal(size=(200, 10))
    speakers = [str(i) for i in range(200)]
    told = speaker_head.length_share(x, 3 * x[:, :2], speakers, noise=0.01)
    assert abs(told - 1) < 0.01
    untold = speaker_head.length_share(x, draw.normal(size=(200, 2)), speakers, 0.01)
    assert untold < 0.4
