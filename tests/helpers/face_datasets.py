"""Face data sets for the trainings of the face decoder, and a small VGG-Face."""

import dataclasses

import numpy as np

from data_prep.sample import photographs
from data_prep.sample.traits import draw_people
from data_prep.stages.face import warp_to
from speech2face import images
from speech2face.data import dataset_info, records
from speech2face.faces import detection
from speech2face.recognizers.loading import load_recognizer
from speech2face.weights import vgg_face_file, vgg_face_size
from tests.helpers.records import face_example
from tests.helpers.vgg_face_writers import random_weights

VGG_DIM = 12


def write_small_vgg_face(path):
    """Writes a VGG-Face with few channels and random weights."""
    size = vgg_face_size.VggFaceSize(
        blocks=((3,), (4,), (4,), (4,), (4,)), fc_units=VGG_DIM, n_classes=5
    )
    weights = random_weights(size)
    vgg_face_file.write(path, weights, size=size, source_format="random")


def write_noise_faces(folder, vgg_file, n=6):
    """Writes a data set of noise, with that network's features of it."""
    recognizer = load_recognizer("vgg_face", vgg_file)
    examples = [face_example(index) for index in range(n)]
    features = recognizer.features(np.stack([e.normalized for e in examples]))
    _write(folder, examples, features, recognizer, "vgg_face")


def write_drawn_faces(folder, n=4):
    """Writes a data set of generated people, with dlib's features and landmarks."""
    folder.mkdir()
    normalized = [_drawn_face(person, folder) for person in draw_people(n, seed=0)]
    boxes = [detection.detect_faces(image)[0] for image in normalized]
    landmarks = np.stack(
        [detection.landmarks68(*pair) for pair in zip(normalized, boxes)]
    )
    recognizer = load_recognizer("dlib")
    features = recognizer.canonical_features(np.stack(normalized), landmarks)
    examples = [
        dataclasses.replace(
            face_example(index),
            landmarks=points,
            texture=warp_to(image, points, landmarks.mean(axis=0)),
            normalized=image,
        )
        for index, (image, points) in enumerate(zip(normalized, landmarks))
    ]
    _write(folder, examples, np.asarray(features), recognizer, "dlib")


def _drawn_face(person, folder):
    (folder / "faces").mkdir(exist_ok=True)
    portraits = photographs.write_photographs(person, 0, 0, folder)
    return images.decode_image((folder / portraits.normalized).read_bytes())


def _write(folder, examples, features, recognizer, name):
    examples = [
        dataclasses.replace(e, face_feature=f) for e, f in zip(examples, features)
    ]
    serialized = list(map(records.encode_face_example, examples))
    info = dataset_info.DatasetInfo(
        kind="face",
        recognizer=dataset_info.RecognizerInfo(
            name, features.shape[1], recognizer.checksum
        ),
        config={},
        splits={"train": records.write_shards(folder, "train", serialized, 1)},
        feature_statistics=dataset_info.FeatureStatistics.measure(features),
        mean_landmarks=np.mean([e.landmarks for e in examples], axis=0).tolist(),
    )
    dataset_info.write(folder, info)
