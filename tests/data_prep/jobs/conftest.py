"""Generated people, of whom the jobs make records."""

import pytest

from data_prep.sample import dataset as sample_dataset
from tests.helpers.record_jobs import N_PEOPLE


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    # Three photographs: an identity is averaged from three on.
    config = sample_dataset.SampleConfig(N_PEOPLE, 1, 0, photographs_per_person=3)
    sample_dataset.generate(config, str(folder), n_workers=1)
    return folder
