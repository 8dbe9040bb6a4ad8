"""Generated people: voices and faces that share traits, for tests and the demo.

    traits                        who the people are
    espeak, voices                what they say, as waveforms
    canvas, shape                 coordinates, measures and colors of a face
    head, features, eyes, hair, body    the layers of its picture
    faces, camera                 a whole face; light and view
    photographs, videos, dataset  the files of a sample folder

Why people are generated at all: docs/decisions/sample-people.md.
"""
