"""A trained model on recordings.

model                      `Speech2Face`: from a recording to a face
bundle                     the files of a trained model
inputs                     what users give to a model, checked
pieces, piecewise_encoder  recordings of any length, in bounded memory
streaming                  live audio
reconstruction             pictures of faces, for `speech2face.reconstruct`
evaluation, clip_sample    predictions of a split, and their metrics
retrieval, feature_cache   faces ranked by a voice, and voices by a face
"""
