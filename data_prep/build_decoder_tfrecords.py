"""Builds face records, on which the face decoder is trained, from photographs.

    python -m data_prep.build_decoder_tfrecords --manifest=faces.csv --output_dir=faces

From each photograph: the face feature, and a normalised face (frontal, neutral, eyes
level and 55 px apart, on white) with its landmarks and its texture on the mean shape
(Cole et al. 2017). Where the manifest names a `normalized_face`, that one is taken.
Writes TFRecord shards with `dataset.json`, `report.json`, `quarantine.csv` and contact
sheets. A killed job goes on where it was when the same command is given again.
"""

from data_prep.options import FaceOptions, FilterOptions, JobOptions
from speech2face import flag_config


def main(job: JobOptions, face: FaceOptions, filters: FilterOptions) -> None:
    """Builds the data set that the flags describe."""
    from data_prep import face_jobs

    face_jobs.build_face_records(job, face, filters)


if __name__ == "__main__":
    flag_config.run(main, JobOptions, FaceOptions, FilterOptions)
