"""Face recognizers: face image -> face feature (v_f) -> face logits (f_VGG of Eq. 1).

Two recognizers with one interface:

  VggFace   the paper's: fc7 before its ReLU, 4096-D, and 2622 logits from fc8.
  DlibFace  dlib's network in Keras, 128-D, on faces aligned by their landmarks. It
            has no classifier; `prototype_head` makes one from training features.

Features are raw: `speech2face.normalizer` maps them to the space of the losses. Images
are RGB, landmarks dlib's 68 points in (x, y) pixels.
"""

import functools
from typing import Callable, List, Sequence, Union

import keras
import numpy as np

from speech2face import dlib_weights, face_boxes, face_chip, files, vgg_face_file
from speech2face.face_boxes import CROP_PX, CROP_SCALE
from speech2face.models import dlib_resnet, vgg_face

VGG_FACE_NAMES = ("vgg_face", "vgg_face_relu")
BATCH = 32
MIN_MEMBERS = 3  # people behind a k-means prototype

MAX_OFF_CENTRE_PX = 45.0  # a third of the centre box; farther off it is somebody else


def load_recognizer(name: str, weights: str = "") -> "Recognizer":
    """Loads the recognizer `name`.

    Args:
      name: 'vgg_face' (fc7 before its ReLU), 'vgg_face_relu' (behind it: BUILD_NOTES
        10) or 'dlib'.
      weights: its weights file; '' takes dlib's from the package
        face_recognition_models. VGG-Face has no default: its weights are a download.

    Raises:
      FileNotFoundError: there is no such file, or no such package.
      ValueError: another name, no weights, or a file that holds something else.
    """
    if name == "dlib":
        return DlibFace(weights)
    if name in VGG_FACE_NAMES:
        return VggFace(weights, fc7_relu=name == "vgg_face_relu")
    raise ValueError(
        f"unknown recognizer {name!r}; expected 'dlib' or one of {VGG_FACE_NAMES}"
    )


class RecognizerHead:
    """From a raw face feature to face logits: W v + b, or W relu(v) + b.

    Attributes:
      weights: float32 [feature_dim, n_classes].
      bias: float32 [n_classes].
      relu_input: whether the feature passes a ReLU first (fc7 of VGG-Face does).
    """

    def __init__(self, weights: np.ndarray, bias: np.ndarray, relu_input: bool):
        """Raises ValueError if the shapes disagree or a value is not finite."""
        self.weights = np.asarray(weights, np.float32)
        self.bias = np.asarray(bias, np.float32)
        self.relu_input = bool(relu_input)
        if self.weights.ndim != 2 or self.bias.shape != self.weights.shape[1:]:
            raise ValueError(
                f"recognizer head: weights {self.weights.shape} and bias "
                f"{self.bias.shape}; expected [feature_dim, n_classes] and [n_classes]"
            )
        if not (np.isfinite(self.weights).all() and np.isfinite(self.bias).all()):
            raise ValueError("recognizer head: a weight is not finite")
        # As numpy arrays they would be in a graph several times: constants of each use.
        self._tensors = [
            keras.ops.convert_to_tensor(array) for array in (self.weights, self.bias)
        ]

    @property
    def feature_dim(self) -> int:
        """Dimension of the raw features."""
        return self.weights.shape[0]

    @property
    def n_classes(self) -> int:
        """Number of logits."""
        return self.weights.shape[1]

    def logits(self, raw_feature):
        """Returns face logits.

        Args:
          raw_feature: [batch, feature_dim] raw face features, numpy or a tensor.

        Returns:
          [batch, n_classes] float32 tensor.
        """
        feature = keras.ops.cast(raw_feature, "float32")
        if self.relu_input:
            feature = keras.ops.relu(feature)
        weights, bias = self._tensors
        return keras.ops.matmul(feature, weights) + bias


def prototype_head(
    features: np.ndarray,
    speaker_ids: Sequence[str],
    n_prototypes: int = 0,
    sharpness: float = 100.0,
) -> RecognizerHead:
    """Makes a head whose classes are prototypes p_k of training features.

    With weights a p_k and biases -a/2 |p_k|^2, softmax(logits) equals
    softmax_k(-a/2 |v - p_k|^2): the posterior of a mixture of spheres of variance 1/a.

    Args:
      features: [n, feature_dim] raw face features of the training set.
      speaker_ids: n identities.
      n_prototypes: 0 for one per speaker, the mean of the speaker's features, in the
        sorted order of the ids; else this many k-means centroids of the features,
        less those of fewer than three people.
      sharpness: a. Not in the paper: BUILD_NOTES 46. For dlib's features 100 is the
        maximum-likelihood value for finding a face by its normalised picture among
        752 real faces (70 to 140 within 0.07 nats): the softmax is then about the
        probability of being that person. Two pictures of one person lay 0.34 +- 0.09
        apart, two people 0.80 +- 0.09 (dlib's threshold: 0.6).

    Raises:
      ValueError: no features, one id too few, fewer distinct faces than prototypes.
    """
    features = np.asarray(features, np.float64)
    ids = np.asarray(speaker_ids)
    if features.ndim != 2 or not len(features) or len(ids) != len(features):
        raise ValueError(
            f"prototypes need [n, d] features and n speaker ids; got {features.shape} "
            f"and {len(ids)}"
        )
    if sharpness <= 0:
        raise ValueError(f"prototype sharpness must be positive; got {sharpness}")
    if n_prototypes:
        prototypes = _centroids(features, ids, n_prototypes)
    else:
        prototypes = np.stack([features[ids == i].mean(0) for i in np.unique(ids)])
    return RecognizerHead(
        sharpness * prototypes.T,
        -0.5 * sharpness * np.sum(prototypes**2, axis=1),
        relu_input=False,
    )


class VggFace:
    """VGG-Face (Parkhi et al. 2015): fc7 of the whole crop, as the paper uses it."""

    def __init__(self, weights: str, fc7_relu: bool = False):
        """Loads the weights that `speech2face.import_vgg_face` wrote.

        Args:
          weights: its output file.
          fc7_relu: take fc7 after its ReLU. Not in the paper: BUILD_NOTES 10.

        Raises:
          FileNotFoundError, ValueError: no file, or not that format.
        """
        if not weights:
            raise ValueError(
                "the recognizer vgg_face needs its weights file: make one with "
                "python -m speech2face.import_vgg_face and give its path"
            )
        info = vgg_face_file.read_info(weights)
        self.input_px = info.size.input_px
        self.feature_dim = info.size.fc_units
        # features behind the ReLU are others: data made with them says so
        self.name = "vgg_face_relu" if fc7_relu else "vgg_face"
        self.checksum = info.checksum
        self._net = vgg_face.load_vgg_face(weights, fc7_relu=fc7_relu)

    def features(self, face_crops: np.ndarray) -> np.ndarray:
        """Returns raw face features.

        Args:
          face_crops: uint8 [n, 224, 224, 3] RGB, as `faces.crop_face` makes.

        Returns:
          float32 [n, 4096].
        """
        crops = _checked_crops(face_crops, self.input_px)
        return _in_batches(
            lambda batch: self._net.predict_on_batch(batch)["fc7"],
            crops,
            self.feature_dim,
        )

    def canonical_features(self, images, landmarks=None):
        """Returns raw features of canonical faces, differentiable.

        Args:
          images: [n, 224, 224, 3] RGB, 0..255, such as the face decoder makes.
          landmarks: ignored; VGG-Face sees the whole image.

        Returns:
          [n, 4096] float32 tensor.
        """
        del landmarks
        return self._net(keras.ops.cast(images, "float32"), training=False)["fc7"]


def vgg_face_head(weights: str) -> RecognizerHead:
    """Returns fc8 of VGG-Face from its imported file, without loading the rest.

    Its input passes a ReLU: of fc7 taken after its ReLU that changes nothing.
    """
    return RecognizerHead(*vgg_face_file.load_head(weights), relu_input=True)


class DlibFace:
    """dlib's face recognition network (128-D) on faces aligned by 68 landmarks."""

    name = "dlib"
    input_px = face_chip.CHIP_PX
    feature_dim = dlib_resnet.FEATURE_DIM

    def __init__(self, weights: str = ""):
        """Loads the network.

        Args:
          weights: dlib's file; '' takes the one of face_recognition_models.

        Raises:
          FileNotFoundError: no such file or package.
          ValueError: the file is damaged or holds another network.
        """
        path = weights or dlib_weights.package_file(dlib_weights.NETWORK_FILE)
        self._net = dlib_resnet.load_dlib_resnet(path)
        self.checksum = files.sha256(path)
        if not weights and self.checksum != dlib_weights.NETWORK_SHA256:
            raise ValueError(
                f"{path}: damaged or changed (SHA-256 {self.checksum[:12]}..., not "
                f"{dlib_weights.NETWORK_SHA256[:12]}...); install "
                "face_recognition_models again"
            )

    def features(self, face_crops: np.ndarray) -> np.ndarray:
        """Returns raw face features.

        Args:
          face_crops: uint8 [n, 224, 224, 3] RGB, as `faces.crop_face` makes.

        Returns:
          float32 [n, 128].
        """
        return _in_batches(
            self._net.predict_on_batch, self.align(face_crops), self.feature_dim
        )

    def align(self, face_crops: np.ndarray) -> np.ndarray:
        """Aligns face crops as dlib does, by their landmarks.

        The landmarks start from the box of dlib's HOG detector nearest to the centre,
        or, where it sees no face (turned ones, 1 in 10), from where its box would be.

        Returns:
          uint8 [n, 150, 150, 3].
        """
        import dlib

        size_px = face_chip.CHIP_PX
        chips = np.zeros((len(face_crops), size_px, size_px, 3), np.uint8)
        for i, crop in enumerate(_checked_crops(face_crops, CROP_PX)):
            landmarks = self._landmark_model(crop, self._landmark_box(crop))
            chips[i] = dlib.get_face_chip(
                crop, landmarks, size_px, face_chip.CHIP_PADDING
            )
        return chips

    def canonical_features(self, images, landmarks):
        """Returns raw features of faces with known landmarks, differentiable.

        Args:
          images: [n, 224, 224, 3] RGB, 0..255, numpy or a tensor.
          landmarks: [n, 68, 2] (x, y) px in `images`; they may carry a gradient too.

        Returns:
          [n, 128] float32 tensor.
        """
        return self._net(face_chip.align_to_chip(images, landmarks), training=False)

    def _landmark_box(self, crop: np.ndarray):
        """The dlib.rectangle from which the landmarks of a crop start."""
        import dlib

        expected = dlib.rectangle(*centre_box())
        middle = dlib.center(expected)

        def off_centre_px(box):
            centre = dlib.center(box)
            return np.hypot(centre.x - middle.x, centre.y - middle.y)

        found = min(self._detector(crop, 0), key=off_centre_px, default=None)
        if found is None or off_centre_px(found) > MAX_OFF_CENTRE_PX:
            return expected
        return found

    @functools.cached_property
    def _detector(self):
        import dlib

        return dlib.get_frontal_face_detector()

    @functools.cached_property
    def _landmark_model(self):
        import dlib

        return dlib.shape_predictor(
            dlib_weights.package_file(dlib_weights.LANDMARKS_FILE)
        )


Recognizer = Union[VggFace, DlibFace]


def centre_box() -> List[int]:
    """Where the HOG detector's box lies in a crop, see `face_boxes.landmark_box`."""
    middle = CROP_PX / 2
    return face_boxes.landmark_box(middle, middle, CROP_PX / CROP_SCALE)


def _in_batches(network: Callable, images: np.ndarray, feature_dim: int) -> np.ndarray:
    """Applies `network` to [n, h, w, 3] in batches. -> float32 [n, feature_dim]"""
    features = np.zeros((len(images), feature_dim), np.float32)
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH].astype(np.float32)
        features[start : start + BATCH] = network(batch)
    return features


def _checked_crops(face_crops: np.ndarray, size_px: int) -> np.ndarray:
    crops = np.ascontiguousarray(face_crops)
    if crops.dtype != np.uint8 or crops.shape[1:] != (size_px, size_px, 3):
        raise ValueError(
            f"face crops are {crops.dtype} {list(crops.shape)}; expected uint8 "
            f"[n, {size_px}, {size_px}, 3]"
        )
    return crops


def _centroids(features: np.ndarray, ids: np.ndarray, n: int) -> np.ndarray:
    """k-means centroids of at least MIN_MEMBERS people. [m, d] -> [<= n, d]

    A centroid of one face would be that face, and ships with the model.
    """
    from sklearn import cluster

    n_distinct = len(np.unique(features, axis=0))
    if not 0 < n <= n_distinct:
        raise ValueError(f"{n} prototypes of {n_distinct} distinct face features")
    fitted = cluster.KMeans(n, n_init=4, random_state=0).fit(features)
    n_members = [len(np.unique(ids[fitted.labels_ == label])) for label in range(n)]
    kept = np.array(n_members) >= MIN_MEMBERS
    if not kept.any():
        raise ValueError(
            f"none of {n} prototypes has {MIN_MEMBERS} people; ask for fewer"
        )
    return fitted.cluster_centers_[kept]
