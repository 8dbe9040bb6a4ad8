"""A local site with one video."""

import pytest

from experiments.benchmarks import scenes
from tests.helpers import video_server
from tests.helpers.damaged_media import write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_clip(path, [scenes.draw(240, 320, 95, 0).picture], secs=4.0)
    return path.read_bytes()


@pytest.fixture
def site(clip):
    with video_server.serve() as site:
        site.videos["good"] = clip
        yield site
