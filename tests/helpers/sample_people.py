"""Sample people for the tests of their data set: two clips of each of six people."""

from data_prep.sample import dataset

SIX_PEOPLE = dataset.SampleConfig(
    n_people=6,
    clips_per_person=2,
    seed=0,
    n_silent_people=1,
    photographs_per_person=2,
)
