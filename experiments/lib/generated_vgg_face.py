"""VGG-Face of its true size with generated weights, where the authors' are not at hand.

Random weights tell faces apart, though not as well as trained ones. Three properties of
the trained network that the training of a voice encoder depends on are set after them:
the angle between the features of two people, their length, and the spread of the
logits (docs/decisions/rehearsal.md).
"""

import numpy as np

from speech2face.files import PathLike
from speech2face.weights import vgg_face_file, vgg_face_size
from speech2face.weights.vgg_face_file import LayerWeights, Weights
from speech2face.weights.vgg_face_size import VggFaceSize

# Length of the mean feature over the mean distance from it. One answer for all voices
# is then about 51 degrees from the faces, and two people about 67 from each other.
MEAN_TO_SPREAD = 0.8
FEATURE_NORM = 64.0  # mean length of fc7; the normalizer makes it 0.2316
LOGIT_SPREAD = 1.0  # standard deviation over the classes, as eq1-reduction has measured


def random_weights(size: VggFaceSize, seed: int = 0) -> Weights:
    """Returns random weights (He et al. scale) in the layout of an imported file."""
    generator = np.random.default_rng(seed)
    weights = {}
    for name, shape in size.kernel_shapes.items():
        scale = np.float32(np.sqrt(2.0 / np.prod(shape[:-1])))
        kernel = generator.standard_normal(shape, dtype=np.float32) * scale
        bias = generator.standard_normal(shape[-1], dtype=np.float32) * np.float32(0.1)
        weights[name] = LayerWeights(kernel, bias)
    return weights


def write(
    path: PathLike, face_crops: np.ndarray, size: VggFaceSize = vgg_face_size.PAPER_SIZE
) -> None:
    """Writes the file that `speech2face.import_vgg_face` would.

    Args:
      path: the file to write.
      face_crops: uint8 [n, 224, 224, 3], on which the weights of fc7 and fc8 are set.
      size: size of the network.
    """
    from speech2face.models import vgg_face

    weights = random_weights(size)
    network = vgg_face.build_vgg_face(size=size)
    vgg_face.set_weights(network, weights)
    outputs = [network.predict_on_batch(crop[np.newaxis]) for crop in face_crops]
    fc7 = np.concatenate([output["fc7"] for output in outputs])
    scale, shift = _geometry(fc7)
    kernel, bias = weights["fc7"]
    weights["fc7"] = LayerWeights(kernel * scale, (bias - shift) * scale)
    kernel, bias = weights["fc8"]
    logits = np.maximum((fc7 - shift) * scale, 0) @ kernel + bias
    factor = np.float32(LOGIT_SPREAD / logits.std(1).mean())
    weights["fc8"] = LayerWeights(kernel * factor, bias * factor)
    vgg_face_file.write(path, weights, size=size, source_format="generated")


def _geometry(features: np.ndarray) -> tuple[np.float32, np.ndarray]:
    """Returns (scale, shift [d]) that give (features - shift) * scale the geometry."""
    mean = features.mean(0)
    spread = np.linalg.norm(features - mean, axis=1).mean()
    shift = mean * (1 - MEAN_TO_SPREAD * spread / np.linalg.norm(mean))
    norm = np.linalg.norm(features - shift, axis=1).mean()
    return np.float32(FEATURE_NORM / norm), shift.astype(np.float32)
