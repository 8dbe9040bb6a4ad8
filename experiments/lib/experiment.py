"""An item of the paper, as `experiments.run_all` knows it.

Each file of an item exports `EXPERIMENT`, for example

    EXPERIMENT = Experiment(NAME, Section.ABLATIONS, run, takes=(Material, Provider))

and `run_all` calls its `run` with one object of each type in `takes`, in that order.
"""

import dataclasses
import enum
from collections.abc import Callable

from experiments.lib.material import Material
from experiments.lib.results import Result


class Section(enum.Enum):
    """The sections of the results page, in the order of the paper."""

    MODEL = "3. The model"
    RESULTS = "4. Results"
    FACIAL_FEATURES = "4.1. Facial features"
    ABLATIONS = "4.2. Ablations, observations, limitations"
    CARTOON = "4.3. Speech to cartoon"


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One table or figure.

    Attributes:
      name: name of its module and of its files.
      section: where it stands on the results page.
      run: measures it and returns the `Result`; its other arguments have defaults.
      takes: types of the arguments of `run`: `Material`, `Inputs`, `Runs`, `Provider`,
        `RecognizerFile`.
    """

    name: str
    section: Section
    run: Callable[..., Result]
    takes: tuple[type, ...] = (Material,)
