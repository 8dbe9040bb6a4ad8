"""The weights of the best validation, in a run that is killed and resumed."""

import types

import keras
import numpy as np
import pytest

from speech2face.training.best_weights import BestWeights


def make_trainer():
    # As in the decoder, names that do not count the models of the process.
    layer = keras.layers.Dense(1, name="dense")
    model = keras.Sequential([keras.Input((2,)), layer], name="model")
    return types.SimpleNamespace(
        model=model, optimizer=types.SimpleNamespace(iterations=0)
    )


def set_step(trainer, step):
    """Weights that say which iteration they are of."""
    trainer.optimizer.iterations = step
    trainer.model.set_weights([np.full((2, 1), step), np.full(1, step)])


def validate_all(trainer, run_dir, errors):
    current = {}
    validate = BestWeights(trainer, run_dir).after(lambda: (current, None))
    for step, error in errors:
        set_step(trainer, step)
        current["picture"] = error
        assert validate() == (current, None)


def kept_step(trainer, run_dir):
    set_step(trainer, 999)
    BestWeights(trainer, run_dir).restore()
    weights = {float(value) for w in trainer.model.get_weights() for value in w.flat}
    assert len(weights) == 1
    return weights.pop()


def test_the_smallest_error_is_kept_not_the_last(tmp_path):
    trainer = make_trainer()
    errors = [(10, 0.3), (20, 0.1), (30, 0.2), (40, 0.1)]
    validate_all(trainer, tmp_path, errors)
    assert kept_step(trainer, tmp_path) == 20


def test_a_resumed_run_goes_on_from_the_best_so_far(tmp_path):
    validate_all(make_trainer(), tmp_path, [(10, 0.2), (20, 0.1)])
    trainer = make_trainer()
    validate_all(trainer, tmp_path, [(30, 0.15)])
    assert kept_step(trainer, tmp_path) == 20


def test_iterations_that_come_again_replace_themselves(tmp_path):
    """Killed after iteration 30, resumed at 10: the result of 30 may be another one."""
    validate_all(make_trainer(), tmp_path, [(10, 0.3), (30, 0.1)])
    trainer = make_trainer()
    validate_all(trainer, tmp_path, [(20, 0.2), (30, 0.25)])
    assert kept_step(trainer, tmp_path) == 20


def test_without_any_validation_the_weights_stay(tmp_path):
    trainer = make_trainer()
    assert kept_step(trainer, tmp_path) == 999


def test_a_damaged_result_is_named(tmp_path):
    validate_all(make_trainer(), tmp_path, [(10, 0.3)])
    (tmp_path / "best.json").write_text("{")
    with pytest.raises(ValueError, match=r"best\.json"):
        BestWeights(make_trainer(), tmp_path).restore()
