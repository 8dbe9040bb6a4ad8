"""The model that ships on real voices: it hears who speaks, and men from women."""

import csv

import numpy as np
import pytest

import speech2face


@pytest.mark.rehearsal
@pytest.mark.real_data
def test_clips_of_an_actor_are_nearer_than_clips_of_two(real_data_dir):
    folder = real_data_dir / "ravdess"
    with (folder / "clips.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    # Two clips of each actor: other words and another mood.
    by_actor = {}
    for row in rows:
        by_actor.setdefault(row["speaker_id"], []).append(row)
    chosen = [row for clips in by_actor.values() for row in (clips[0], clips[-1])]
    paths = [folder / "audio" / f"{row['clip_id']}.flac" for row in chosen]
    waveforms = [speech2face.load_waveform(path) for path in paths]
    features = speech2face.Speech2Face.load().voice_features(waveforms)
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosines = units @ units.T
    actors = np.array([row["speaker_id"] for row in chosen])
    genders = np.array([row["gender"] for row in chosen])
    upper = np.triu(np.ones_like(cosines, bool), 1)
    same = actors[:, None] == actors
    assert area(cosines[upper & same], cosines[upper & ~same]) > 0.95
    same_gender = genders[:, None] == genders
    within = cosines[upper & ~same & same_gender]
    across = cosines[upper & ~same & ~same_gender]
    assert area(within, across) > 0.8


def area(larger, smaller):
    """How often a number of the first is larger than one of the second."""
    return (larger[:, None] > smaller).mean()
