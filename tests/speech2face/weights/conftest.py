"""The same tiny network in every layout in circulation."""

import pytest

from tests.helpers.vgg_face_writers import LAYOUTS


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """One file of each layout, by the layout's name, under a name that says nothing."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {}
    for name, layout in LAYOUTS.items():
        paths[name] = folder / f"{name}.download"
        layout.write(paths[name], layout.network())
    return paths
