"""The page of random results: its voices, faces and ranks are those of the clips."""

import dataclasses
import html.parser
import re

import numpy as np
import pytest
import soundfile

from experiments import supp_random_results
from experiments.lib import published
from experiments.lib.material import Material
from experiments.lib.retrieved_faces import RetrievedFaces
from speech2face import images
from tests.helpers.face_sheets import photograph_color
from tests.helpers.tiny_material import labeled_example, shared_material


class Sources(html.parser.HTMLParser):
    """Collects what a page refers to."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found += [v for k, v in attributes if k in ("src", "href")]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("random")
    inputs = dataclasses.replace(shared_material().inputs, output_dir=str(folder))
    result = supp_random_results.run(Material(inputs), n_results=5, n_retrievals=3)
    return folder, result, (folder / result.page).read_text()


@pytest.mark.slow
def test_everything_on_the_page_exists(written):
    folder, _, text = written
    sources = Sources()
    sources.feed(text)
    paths = [path for path in sources.found if not path.startswith("#")]
    assert sum(path.endswith(".flac") for path in paths) == 5 + 3
    assert len(paths) == (5 + 3) * 4 + 3 * 8  # a gallery of eight faces
    for path in paths:
        assert (folder / path).is_file(), path


def test_voice_and_face_are_of_the_clip_that_is_named(written):
    folder, _, text = written
    of_clip = (
        r'"true face" src="(\S+/face_(\d+)\.jpg)".*?src="(\S+\.flac)".*?>clip(\d+)<'
    )
    found = re.findall(of_clip, text, flags=re.DOTALL)
    assert len(found) == 5 + 3
    for photograph, index, voice, clip in found:
        assert index == clip
        pixel = images.read_image(folder / photograph)[80, 80].astype(int)
        assert np.abs(pixel - photograph_color(int(clip))).max() < 6
        sound, rate_hz = soundfile.read(folder / voice)
        assert rate_hz == 16_000
        expected = labeled_example(int(clip)).waveform
        np.testing.assert_allclose(sound, expected, atol=1e-4)


def test_the_actual_rank_is_that_of_the_true_face(written):
    _, result, text = written
    material = shared_material()
    predictions = material.predictions()
    cards = text.split('<div class="retrieval">')[1:]
    ranks = []
    for card in cards:
        clip = int(re.search(r">clip(\d+)<", card)[1])
        voice, faces = predictions.voice_features[clip], predictions.face_features
        cosine = faces @ voice / np.linalg.norm(faces, axis=1)
        order = np.argsort(-cosine).tolist()
        ranks.append(order.index(clip) + 1)
        assert f"Actual rank: {ranks[-1]} of 8" in card
        found = re.findall(r'<li(?: class="(\w+)")?><img .*?face_(\d+)\.jpg', card)
        assert [int(index) for _, index in found] == order
        assert [mark for mark, _ in found].index("true") == ranks[-1] - 1
        speakers = predictions.speaker_ids
        for mark, index in found:
            is_same = speakers[int(index)] == speakers[clip]
            assert bool(mark) == is_same and (mark == "true") == (int(index) == clip)
    rows = {row.keys["measure"]: row for row in result.rows}
    assert rows["median rank"].ours == np.median(ranks)


def test_the_table_is_beside_the_authors_page():
    rank = np.array([1.0, 40.0, 400.0, 2000.0])
    nobody = np.zeros((4, 10), int)
    retrieved = RetrievedFaces(nobody, nobody > 0, nobody > 0, rank, 5000)
    rows = supp_random_results.render_rows(retrieved, ["a", "b", "c", "d"])
    found = {row.keys["measure"]: row for row in rows}
    assert (found["median rank"].ours, found["median rank"].paper) == (220, 550)
    assert (found["mean rank"].ours, found["mean rank"].paper) == (610.25, 919)
    nearest = found["true face within the nearest 1 % of the faces, %"]
    assert (nearest.ours, nearest.paper, nearest.chance) == (50.0, 10, 1.0)
    assert list(published.RANDOM_RETRIEVALS_WITHIN) == [1, 2, 5, 10]
