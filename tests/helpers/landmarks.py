"""Landmarks of faces that no detector is needed for."""

import numpy as np

# A frontal, neutral face of unit eye distance, eyes' middle at (0, 0); x right, y down.
_JAW = [(np.cos(a) * -1.25, 0.15 + np.sin(a) * 1.65) for a in np.linspace(0, np.pi, 17)]
_BROWS = [(x, -0.45) for x in np.linspace(-0.85, -0.25, 5)]
_BROWS += [(-x, y) for x, y in reversed(_BROWS)]
_NOSE = [(0, y) for y in (-0.05, 0.17, 0.38, 0.6)]
_NOSE += [(x, 0.75) for x in (-0.22, -0.11, 0, 0.11, 0.22)]
_EYE = [
    (-0.22, 0),
    (-0.08, -0.08),
    (0.08, -0.08),
    (0.22, 0),
    (0.08, 0.08),
    (-0.08, 0.08),
]
_EYES = [(x - 0.5, y) for x, y in _EYE] + [(x + 0.5, y) for x, y in _EYE]
_LIPS = [(-0.42, 1.15), (-0.2, 1.05), (-0.1, 1.03), (0, 1.05), (0.1, 1.03), (0.2, 1.05)]
_LIPS += [(0.42, 1.15), (0.2, 1.3), (0.1, 1.32), (0, 1.32), (-0.1, 1.32), (-0.2, 1.3)]
_LIPS += [(-0.35, 1.15), (-0.1, 1.14), (0, 1.14), (0.1, 1.14), (0.35, 1.15)]
_LIPS += [(0.1, 1.16), (0, 1.16), (-0.1, 1.16)]
FACE = np.array(_JAW + _BROWS + _NOSE + _EYES + _LIPS)
assert FACE.shape == (68, 2)


def face(**moved):
    """Landmarks on a circle, some of them moved."""
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    points = 112 + 60 * np.stack([np.cos(angle), np.sin(angle)], 1)
    for name, place in moved.items():
        points[int(name[1:])] = place
    return points[np.newaxis]


def random_faces(n, seed=0):
    generator = np.random.default_rng(seed)
    return face() + generator.normal(0, 3, (n, 68, 2))
