"""Fig. 6: angles by hand, and the gain of a longer clip."""

import numpy as np
import pytest

from experiments import fig06_duration
from tests.helpers.predictions import predictions
from tests.helpers.tiny_material import shared_material


def test_angles_by_hand():
    faces = [[1.0, 0.0], [0.0, 1.0]]
    measured = fig06_duration.compute_angles(
        {
            3: predictions(faces, [[0.0, 2.0], [0.0, 3.0]]),
            6: predictions(faces, [[1.0, 1.0], [0.0, 3.0]]),
        }
    )
    np.testing.assert_allclose(measured[3], [90.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(measured[6], [45.0, 0.0], atol=1e-6)


@pytest.mark.slow
def test_the_gain_is_of_the_same_clips():
    rows = fig06_duration.run(shared_material()).rows
    assert rows[2].ours == pytest.approx(rows[0].ours - rows[1].ours)
