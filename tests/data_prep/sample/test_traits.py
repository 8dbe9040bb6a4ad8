"""What is drawn and spoken follows the traits of a person."""

import dataclasses

import librosa
import numpy as np
import pytest
from scipy import stats

from data_prep.sample import camera, faces, landmarks, shape, traits, voices
from speech2face.faces import plausibility

pytest.importorskip("espeakng_loader")


def test_landmarks_are_plausible_whoever_is_drawn():
    for person in traits.draw_people(200, seed=3):
        points = landmarks.landmarks68(shape.measure(person))
        assert plausibility.find_implausible(points) is None
        x, y = points.T
        np.testing.assert_allclose(x[:17], -x[16::-1], atol=1e-6)  # symmetric
        assert (y[61:64] <= y[[67, 66, 65]] + 1e-6).all()  # closed, not crossed


def test_the_renderer_places_points_where_it_draws_them():
    """The iris, the darkest spot of a turned face's eye, lies on the projected eye."""
    person = traits.draw_people(1 + 8, seed=2)[7]
    (face,) = faces.build(person, 60.0)
    view = camera.View(256, 256, 50, 120, 110, roll=6, yaw=8, pitch=-3)
    background = np.full((256, 256, 3), 0.3, np.float32)
    image, points = camera.render(face, view, background)
    for name in ("right_eye", "left_eye"):
        x, y = (round(v) for v in points[name])
        patch = image[y - 6 : y + 7, x - 9 : x + 10].mean(-1)
        rows, columns = np.nonzero(patch < np.percentile(patch, 8))
        assert abs(columns.mean() - 9) < 3.5 and abs(rows.mean() - 6) < 3.5


@pytest.mark.slow
def test_pitch_and_formants_follow_the_traits():
    people = traits.draw_people(12, seed=4)
    pitch, centroid = [], []
    for person in people:
        voice = voices.speak(person, "We never saw the long yellow road again.")
        f0, voiced, _ = librosa.pyin(
            voice, fmin=60, fmax=400, sr=voices.SAMPLE_RATE_HZ, hop_length=512
        )
        pitch.append(np.median(f0[voiced]))
        centroid.append(long_term_centroid(voice))
    true_pitch = [p.f0_hz for p in people]
    assert stats.pearsonr(np.log(pitch), np.log(true_pitch))[0] > 0.97
    np.testing.assert_allclose(pitch, true_pitch, rtol=0.12)
    tract = [p.tract_length_cm for p in people]
    assert stats.spearmanr(centroid, tract)[0] < -0.6


def long_term_centroid(voice):
    """Mean over frames of the center of the spectrum, in log frequency."""
    power = np.abs(librosa.stft(voice, n_fft=1024)) ** 2
    frequency = np.log(librosa.fft_frequencies(sr=22050, n_fft=1024)[8:])
    spectrum = power[8:].mean(axis=1) ** 0.3
    return np.sum(spectrum * frequency) / np.sum(spectrum)


@pytest.mark.slow
def test_a_longer_tract_alone_lowers_the_formants_but_not_the_pitch():
    person = traits.draw_people(3, seed=4)[1]
    waveforms = {}
    for tract_length_cm in (14.0, 18.0):
        changed = dataclasses.replace(person, tract_length_cm=tract_length_cm)
        waveforms[tract_length_cm] = voices.speak(changed, "They sailed all day.")
    f0 = {
        k: np.nanmedian(librosa.pyin(v, fmin=60, fmax=400, sr=22050)[0])
        for k, v in waveforms.items()
    }
    assert f0[14.0] == pytest.approx(f0[18.0], rel=0.08)
    shift = long_term_centroid(waveforms[14.0]) - long_term_centroid(waveforms[18.0])
    assert 0.05 < shift < 0.4  # log(18 / 14) is 0.25; the band's limits damp it
    assert len(waveforms[14.0]) == pytest.approx(len(waveforms[18.0]), rel=0.1)


def test_traits_link_voice_and_face_and_leave_the_rest_independent():
    people = traits.draw_people(400, seed=1)
    column = {
        f.name: np.array([getattr(p, f.name) for p in people])
        for f in dataclasses.fields(traits.Person)
        if f.name not in ("speaker_id", "split", "accent")
    }

    def r(a, b):
        return stats.pearsonr(column[a], column[b])[0]

    assert r("femininity", "f0_hz") > 0.8
    assert r("femininity", "tract_length_cm") < -0.7
    assert r("age_years", "words_per_minute") < -0.7
    assert r("body_size", "tract_length_cm") > 0.2
    for shared in ("femininity", "age_years", "body_size", "f0_hz"):
        for independent in ("skin_tone", "hair_shade", "eye_colour", "nose_width"):
            assert abs(r(shared, independent)) < 0.17
    women = np.array([p.gender == "female" for p in people])
    assert 0.4 < women.mean() < 0.6
    assert column["f0_hz"][~women].max() > column["f0_hz"][women].min()  # they overlap


@pytest.mark.parametrize("n_people", [3, 6, 60, 101])
def test_splits_are_disjoint_and_every_one_has_people(n_people):
    people = traits.draw_people(n_people, seed=5)
    assert len({p.speaker_id for p in people}) == n_people
    assert {p.split for p in people} == {"train", "val", "test"}
    for split in ("train", "val", "test"):
        genders = [p.gender for p in people if p.split == split]
        assert abs(2 * genders.count("female") - len(genders)) <= 1


def test_people_without_clips_come_last_and_train():
    people = traits.draw_people(10, seed=5, n_more=4)
    assert people[:10] == traits.draw_people(10, seed=5)
    assert [p.split for p in people[10:]] == ["train"] * 4
    assert [p.gender for p in people[10:]] == ["male", "female"] * 2
