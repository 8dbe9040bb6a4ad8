"""The landmark branch's last layer in closed form: ridge regression.

With hundreds of faces, gradient descent fits this layer to the faces it sees long
before the texture is drawn (held-out error of the compact decoder: 2.46 px; of the mean
shape 2.60). Once the rest is trained, the layer is a linear regression on what reaches
it, and a regression with a penalty has a solution (2.21 px). BUILD_NOTES 70.
"""

import os

import keras
import numpy as np

from speech2face import records
from speech2face.models import face_decoder
from speech2face.normalizer import FeatureNormalizer

LAYER = "landmarks_fc_out"


def refit(
    model: keras.Model,
    normalizer: FeatureNormalizer,
    data_dir: "os.PathLike[str]",
    penalty: float,
) -> None:
    """Solves the last layer of the landmark branch on the training faces.

    Args:
      model: a trained face decoder; its layer `landmarks_fc_out` is overwritten.
      normalizer: of the features that it takes.
      data_dir: face data set, whose training split is read.
      penalty: see `ridge`.
    """
    examples = list(records.iterate_face_examples(data_dir, "train"))
    features = normalizer.normalize(np.stack([e.face_feature for e in examples]))
    layer = model.get_layer(LAYER)
    below = keras.Model(model.input, layer.input)
    mean_landmarks = np.reshape(model.get_layer("landmarks").offset, (-1, 2))
    offsets = np.stack([e.landmarks for e in examples]) - mean_landmarks
    offsets = offsets.reshape(len(examples), -1) / face_decoder.IMAGE_PX
    inputs = below.predict(features, verbose=0)
    layer.set_weights(ridge(inputs, offsets, penalty))


def ridge(
    inputs: np.ndarray, targets: np.ndarray, penalty: float
) -> "list[np.ndarray]":
    """Ridge regression with a free constant.

    Args:
      inputs: [n, d].
      targets: [n, k].
      penalty: on the squared weights, in sums of squares of the average unit of
        `inputs` about its mean; so it does not depend on their scale or on n.

    Returns:
      Weights [d, k] and constant [k] that minimise
      |targets - inputs @ weights - constant|^2 + penalty * s * |weights|^2,
      with s the mean over the units of |unit - its mean|^2; float32.
    """
    inputs, targets = np.asarray(inputs, np.float64), np.asarray(targets, np.float64)
    centred = inputs - inputs.mean(axis=0)
    products = centred.T @ centred
    scale = max(np.trace(products) / len(products), 1e-12)
    system = products + penalty * scale * np.eye(len(products))
    weights = np.linalg.solve(system, centred.T @ (targets - targets.mean(axis=0)))
    constant = targets.mean(axis=0) - inputs.mean(axis=0) @ weights
    return [weights.astype(np.float32), constant.astype(np.float32)]
