"""The range in which a number must lie: see docs/decisions/number-bounds.md."""

import dataclasses
import math
import numbers
from typing import Any, cast

from speech2face.errors import UserError


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The range of a number: `minimum` and `maximum` belong to it, the others do not.

    NaN and the infinities lie in no range.
    """

    minimum: float = -math.inf
    maximum: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    def contain(self, number: float) -> bool:
        """Returns whether `number` lies in the range."""
        in_closed = self.minimum <= number <= self.maximum
        return in_closed and self.above < number < self.below

    def check(self, what: str, value: Any, kind: type = float) -> None:
        """Checks a number, or each of a tuple.

        Args:
          what: the number's name and value, for the error.
          value: anything.
          kind: int or float; for float, integers will do.

        Raises:
          UserError: the value is not a number of this kind, or is out of the range.
        """
        number_type = numbers.Integral if kind is int else numbers.Real
        for number in value if isinstance(value, tuple) else (value,):
            is_number = isinstance(number, number_type) and not isinstance(number, bool)
            if not is_number or not self.contain(cast(float, number)):
                noun = "an integer" if kind is int else "a number"
                raise UserError(
                    f"{what}: expected {noun} {self}", reason="out_of_bounds"
                )

    def __str__(self) -> str:
        lower = f"from {self.minimum:,}"
        if self.above >= self.minimum:
            lower = f"more than {self.above:,}"
        upper = f"to {self.maximum:,}"
        if self.below <= self.maximum:
            upper = f"and less than {self.below:,}"
        elif self.above >= self.minimum:
            upper = f"and at most {self.maximum:,}"
        return f"{lower} {upper}"
