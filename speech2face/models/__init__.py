"""The networks, in keras.layers and keras.ops only; TensorFlow is in `models.fast`."""

import keras

from speech2face.errors import UserError


def check_keras_settings() -> None:
    """Checks that Keras builds the networks as they were trained.

    A command sees to it by itself (`options.run_command`); in Python, Keras has the
    settings of the user. See docs/decisions/keras-settings.md.

    Raises:
      UserError: the back end, the type of numbers or the order of axes is another one.
    """
    settings = {
        "backend": (keras.config.backend(), "tensorflow"),
        "floatx": (keras.config.floatx(), "float32"),
        "image_data_format": (keras.config.image_data_format(), "channels_last"),
        "dtype_policy": (keras.config.dtype_policy().name, "float32"),
    }
    for name, (value, expected) in settings.items():
        if value != expected:
            raise UserError(
                f"Keras has {name}={value}, from keras.json, KERAS_BACKEND or a call "
                f"of keras.config; these networks need {name}={expected}",
                reason="keras_settings",
            )


check_keras_settings()
