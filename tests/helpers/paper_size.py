"""Every experiment's computation on 5,000 generated features of 4096 dimensions.

The networks are tiny, since their memory does not depend on the number of clips; the
features, the gallery, the pairs and the split are of the paper's size.
"""

import dataclasses
import json
import pathlib
import sys
import time

import numpy as np

from experiments import (
    fig03_qualitative,
    fig04_attributes,
    fig05_craniofacial,
    fig06_duration,
    fig07_retrieval_examples,
    fig08_convergence,
    fig09_consistency,
    fig10_language,
    fig11_failures,
    fig12_cartoon,
    supp_face_decoder,
    supp_pixel_loss,
    supp_random_results,
    supp_sf2f_protocol,
    supp_tsne,
    table1_architecture,
    table2_feature_similarity,
    table3_retrieval,
)
from experiments.lib.inputs import Inputs, Provider, Runs
from experiments.lib.material import Material
from experiments.lib.picture_sets import SetReading
from experiments.lib.runs import measure_run
from experiments.lib.sf2f_measures import compute_distances, compute_means
from speech2face import images
from speech2face.artifacts import decoder_bundle
from speech2face.data import dataset_info, records
from speech2face.data.normalizer import FeatureNormalizer
from speech2face.inference import evaluation
from speech2face.inference import model as inference_model
from speech2face.inference.evaluation import Predictions
from speech2face.metrics import neighbors
from speech2face.models import face_decoder, voice_encoder
from speech2face.recognizers.base import RecognizerHead
from tests.helpers.tiny_models import TINY_DECODER, tiny_config
from tests.helpers.tiny_runs import write_log

N, N_TRAIN, DIM = 5_000, 400, 4096
_LABELS = {
    "gender": ("female", "male"),
    "age": ("17", "25", "34", "47", "58", "63", "71", "85"),
    "ethnicity": ("asian", "black", "india", "white"),
    "language": ("english", "german", "english"),
}
_JPEG = images.encode_jpeg(np.full((224, 224, 3), 120, np.uint8))


def run_all(folder):
    """Runs every computation; writes {name: reason why it failed, or ''}."""
    neighbors._distances = _of_fewer_dimensions(neighbors._distances)
    material = _make_material(pathlib.Path(folder))
    outcomes = {}
    for name, compute in _computations(material).items():
        start_secs = time.monotonic()
        try:
            compute()
            outcomes[name] = ""
        except Exception as error:  # reported by the test, with all others
            outcomes[name] = f"{type(error).__name__}: {error}"
        print(f"{name}: {time.monotonic() - start_secs:.1f} s", file=sys.stderr)
    pathlib.Path(folder, "outcomes.json").write_text(json.dumps(outcomes))


def _of_fewer_dimensions(distances):
    """64 of them: the sums over 4096 take minutes, but no memory beyond one block's."""
    seen = set()

    def of_fewer(queries, gallery, metric):
        if metric not in seen:
            seen.add(metric)
            distances(queries, gallery, metric)  # one block of all 4096
        return distances(queries[:, :64], gallery[:, :64], metric)

    return of_fewer


def _computations(material):
    """By name. A search of all pairs by L1 takes most of the time: it is done once."""
    predictions = material.predictions()
    provider = Provider()
    runs, inputs = Runs((material.inputs.run_dir,)), material.inputs
    half = _part(predictions, N // 2)
    return {
        "table1_architecture": table1_architecture.run,
        "fig03_qualitative": lambda: fig03_qualitative.run(material, 2),
        "supp_face_decoder": lambda: _read_back(material),
        "supp_random_results": lambda: supp_random_results.run(material, 4, 20),
        "fig04_attributes": lambda: fig04_attributes.run(material, provider),
        "fig05_craniofacial": lambda: fig05_craniofacial.run(material, "decoder", 50),
        "table2_feature_similarity": lambda: table2_feature_similarity.run(material),
        "table3_retrieval": lambda: table3_retrieval.compute_retrieval(predictions),
        "fig07_retrieval_examples": lambda: fig07_retrieval_examples.run(material, 2),
        "supp_sf2f_protocol": lambda: _people(material),
        "supp_tsne": lambda: _map(material),
        "fig06_duration": lambda: fig06_duration.run(material, 2),
        "supp_durations": lambda: measure_run(material, 3),
        "fig08_convergence": lambda: fig08_convergence.run(runs, inputs),
        "ablations": lambda: None,  # measures runs as supp_durations does
        "supp_pixel_loss": lambda: supp_pixel_loss.compute_spread(
            predictions.voice_features
        ),
        "fig09_consistency": lambda: _pairs(material),
        "fig10_language": lambda: fig10_language.run(material, n_shown=2),
        "fig11_failures": lambda: fig11_failures.run(material, provider),
        "fig12_cartoon": lambda: fig12_cartoon.run(material, 2),
        "evaluate": lambda: _evaluate(material, half),
    }


def _evaluate(material, predictions):
    """The encoder hears a few of the clips: they pass in batches."""
    inputs = material.inputs
    evaluation.predict(material.model, inputs.data_dir, "test", 3.0, N // 50)
    evaluation.measure(predictions)


def _read_back(material):
    """5,000 pictures' features; the pictures themselves pass in batches."""
    features = material.predictions().face_features
    reading = SetReading(features, 1.0, [])
    supp_face_decoder.compare(material, {"our F2F": reading})


def _people(material):
    """Every face and every person; L1 of an eighth of the dimensions, as elsewhere."""
    predictions = material.predictions()
    _, person = np.unique(predictions.speaker_ids, return_inverse=True)
    means = compute_means(predictions.face_features, person)
    features, n = predictions.voice_features, DIM // 8
    distances = compute_distances(features[:, :n], means[:, :n])
    supp_sf2f_protocol.render_rows("ours", distances, person, 100, 0)


def _map(material):
    """The space of the table is whole; one of the four maps is drawn."""
    labels = supp_tsne.values_of("age", material.predictions().labels)
    spaces = supp_tsne._spaces(material)
    supp_tsne.render_rows(spaces, labels, material.predictions().speaker_ids, "age")
    supp_tsne.compute_map(spaces["true features"][: supp_tsne.N_POINTS])


def _pairs(material):
    """As many pairs as the figure measures; halves of a few clips."""
    predictions, n = material.predictions(), fig09_consistency.MAX_CLIPS
    pairs = fig09_consistency.compute_pair_angles(
        predictions.voice_features[:n], predictions.speaker_ids[:n], [None] * n
    )
    halves = fig09_consistency.measure_half_angles(material, range(4))
    fig09_consistency.render_rows(pairs, halves, predictions.speaker_ids[:4])


def _part(predictions, n):
    fields = dataclasses.fields(Predictions)
    return Predictions(**{f.name: getattr(predictions, f.name)[:n] for f in fields})


def _make_material(folder):
    raw = np.random.default_rng(0).normal(size=(N, DIM)).astype(np.float32)
    recognizer = dataset_info.RecognizerInfo("vgg_face", DIM, "0" * 64)
    clips = [_example(index, feature) for index, feature in enumerate(raw)]
    serialized = [records.encode_voice_example(clip) for clip in clips]
    voices, bundle = folder / "voices", folder / "bundle"
    info = dataset_info.DatasetInfo(
        kind="voice",
        recognizer=recognizer,
        config={"audio_encoding": "pcm"},
        splits={
            "train": records.write_shards(voices, "train", serialized[:N_TRAIN], 1),
            "test": records.write_shards(voices, "test", serialized, 4),
        },
        feature_statistics=dataset_info.FeatureStatistics.measure(raw[:N_TRAIN]),
    )
    dataset_info.write(voices, info)
    model = _make_model(recognizer)
    model.save(bundle)
    write_log(bundle)
    material = Material(
        Inputs(
            data_dir=str(voices), run_dir=str(bundle), output_dir=str(folder / "out")
        )
    )
    faces = model.decoder.normalizer.normalize(raw).astype(np.float32)
    noise = np.random.default_rng(1).normal(size=faces.shape) * faces.std()
    predictions = Predictions(
        clip_ids=[clip.clip_id for clip in clips],
        speaker_ids=[clip.speaker_id for clip in clips],
        labels=[clip.labels for clip in clips],
        face_features=faces,
        voice_features=(faces + 4 * noise).astype(np.float32),
    )
    # Where an experiment looks for them before it runs the encoder.
    for secs in (3.0, 6.0, tiny_config().audio.clip_secs):
        key = material._key(secs)
        predictions.save(folder / "out" / "predictions" / key)
    return material


def _example(index, feature):
    return records.VoiceExample(
        clip_id=f"clip{index}",
        speaker_id=f"speaker{index // 2}",
        waveform=np.sin(np.arange(1600) / (5 + index % 50)).astype(np.float32) / 2,
        face_feature=feature,
        face_jpeg=_JPEG,
        labels={name: values[index % len(values)] for name, values in _LABELS.items()},
    )


def _make_model(recognizer):
    random = np.random.default_rng(0)
    mean_landmarks = random.uniform(60, 160, (68, 2)).astype(np.float32)
    decoder = decoder_bundle.DecoderBundle(
        model=face_decoder.build_face_decoder(TINY_DECODER, DIM, mean_landmarks),
        config=TINY_DECODER,
        normalizer=FeatureNormalizer(np.zeros(DIM, np.float32), 0.2316 / 64),
        head=RecognizerHead(
            random.normal(size=(DIM, 3)).astype(np.float32),
            np.zeros(3, np.float32),
            relu_input=True,
        ),
        mean_landmarks=mean_landmarks,
        mean_feature=np.zeros(DIM, np.float32),
        recognizer=recognizer,
    )
    config = tiny_config()
    encoder = voice_encoder.build_voice_encoder(config.voice_encoder, DIM)
    return inference_model.Speech2Face(encoder, decoder, config)
