"""Faster layers and gradients for TensorFlow on CPUs; the results are Keras' own.

Nothing here changes what is computed; it saves time and memory. A training step of
paper size on a CPU takes 0.68 of plain Keras' time and 6.6 GB instead of 11.4 GB
(docs/decisions/fast-training-layers.md). Everything works on TensorFlow's graphs; with
another Keras back end, each layer is Keras' own.

`plain_keras` turns it off for a comparison:

    with fast.plain_keras():
        outputs = model(inputs, training=True)  # computed by Keras' layers alone
"""

import contextlib
from collections.abc import Iterator

_is_on = True


@contextlib.contextmanager
def plain_keras() -> Iterator[None]:
    """Makes the layers of this package behave as their Keras base classes.

    It decides when a layer is called. A `tf.function` keeps what it has been traced
    with, so trace within the context whatever should be plain.
    """
    global _is_on  # noqa: PLW0603 one switch for the process, as Keras' own config
    before, _is_on = _is_on, False
    try:
        yield
    finally:
        _is_on = before


def is_on() -> bool:
    """Returns whether the layers of this package may differ from Keras'."""
    return _is_on
