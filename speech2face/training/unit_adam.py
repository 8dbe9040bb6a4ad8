"""ADAM for weights of different units.

A step of ADAM moves every weight by up to the learning rate, however small its
gradient. The paper's 0.001 fits layers whose outputs are about 1. Those of the last
layer are v_s, whose numbers are about 0.0036, and 4096 weights add up in each: two
steps would make v_s 300 times as long as v_f. Not in the paper:
docs/decisions/first-weights.md
"""

from collections.abc import Mapping
from typing import Any

import keras


class UnitAdam(keras.optimizers.Adam):
    """ADAM of weight / unit, for the weights that have a unit; of the others, ADAM.

    Attributes:
      unit_by_path: path of a variable -> its unit.
    """

    def __init__(self, units: Mapping[str, float], **options: Any):
        """Creates the optimizer.

        Args:
          units: path of a variable -> its unit.
          **options: options of `keras.optimizers.Adam`.
        """
        super().__init__(**options)
        self.unit_by_path = dict(units)
        self._units: list[float] = []  # by index of the variable

    def build(self, variables: Any) -> None:
        """Makes the moments of each variable."""
        super().build(variables)
        self._units = [self.unit_by_path.get(v.path, 1.0) for v in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Takes one step with one variable.

        Args:
          gradient: gradient of the variable.
          variable: variable to change.
          learning_rate: scalar.
        """
        unit = self._units[self._get_variable_index(variable)]
        if unit != 1:
            # With W = unit w: d loss / d w = unit d loss / d W, and W moves unit times
            # as far as w.
            gradient, learning_rate = gradient * unit, learning_rate * unit
        super().update_step(gradient, variable, learning_rate)
