"""Fig. 10: two languages of one speaker, and the same language as a control."""

import numpy as np
import pytest

from experiments import fig10_language
from experiments.lib import results
from tests.helpers.tiny_material import shared_material


def test_takes_two_languages_of_a_speaker():
    speakers = ["x", "x", "x", "y", "y", "z"]
    languages = ["german", "german", "english", "english", None, "german"]
    labels = [{"language": v} if v else {} for v in languages]
    two = fig10_language.compute_pairs_of_two_values(speakers, labels, "language")
    assert two == [(2, 0)]
    one = fig10_language.compute_pairs_of_one_value(speakers, labels, "language")
    assert one == [(0, 1)]
    assert fig10_language.compute_angles(np.eye(6), one) == pytest.approx([90.0])
    with pytest.raises(results.NotApplicable, match="no label 'accent'"):
        fig10_language.compute_pairs_of_two_values(speakers, labels, "accent")


def test_a_model():
    result = fig10_language.run(shared_material())
    assert result.rows[0].n == 4 and len(result.rows) == 1
    with pytest.raises(results.NotApplicable, match="two values of 'gender'"):
        fig10_language.run(shared_material(), "gender")
