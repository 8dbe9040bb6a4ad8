"""Proportions and colours of a generated face, derived from a person's traits.

Units as in `sample_canvas`. The mean proportions were tuned until dlib's 68 landmarks
land on what is drawn; traits move them about that mean.
"""

import numpy as np
from scipy import interpolate

from data_prep import sample_canvas, sample_traits
from data_prep.sample_canvas import rgb, step

_SKIN_TONES = (
    (246, 216, 200),
    (234, 194, 170),
    (214, 168, 138),
    (183, 132, 99),
    (142, 96, 68),
    (100, 66, 49),
)
_HAIR_COLOURS = (
    (26, 22, 21),
    (52, 36, 28),
    (90, 58, 38),
    (126, 84, 52),
    (174, 130, 80),
    (212, 178, 124),
)
_GREY_HAIR = (190, 188, 184)
_EYE_COLOURS = (
    (62, 38, 24),
    (98, 64, 34),
    (110, 104, 60),
    (96, 120, 108),
    (94, 130, 164),
)


class Shape:
    """Measures and colours of one face, all derived from the person's traits."""

    def __init__(self, person: sample_traits.Person, mouth_open: float = 0.0):
        p, f = person, float(np.clip(person.femininity, -1.5, 1.5))
        self.person, self.feminine, self.open = p, f, mouth_open
        self.age = float(np.clip((p.age_years - 28) / 45, 0, 1.1))
        self.long = 0.045 * p.face_length - 0.03 * f + 0.02 * p.body_size
        wide = 0.04 * p.body_size - 0.012 * p.face_length
        self.temple = 1.01 + wide
        self.cheek = 1.02 + wide + 0.015 * p.cheeks
        self.jaw = 0.85 - 0.055 * f + 1.1 * wide + 0.012 * p.cheeks
        self.chin_half = 0.37 - 0.06 * f + 0.015 * p.chin
        self.chin_y = 1.50 + self.long + 0.025 * p.chin + 0.85 * mouth_open
        self.top_y = -1.62
        self.nose_y = 0.52 + 0.4 * self.long + 0.025 * p.nose_length + 0.012 * self.age
        self.nose_half = 0.275 - 0.018 * f + 0.022 * p.nose_width
        self.mouth_y = 0.91 + 0.6 * self.long + 0.012 * p.nose_length
        self.mouth_half = 0.375 + 0.02 * p.mouth_width + 0.012 * p.smile
        self.upper_lip = 0.080 + 0.018 * f - 0.018 * self.age
        self.lower_lip = 0.118 + 0.020 * f - 0.018 * self.age
        self.eye_half = 0.215 + 0.007 * p.eye_size + 0.006 * f
        self.eye_up = 0.100 + 0.009 * p.eye_size + 0.012 * f - 0.018 * self.age
        self.eye_down = 0.060 + 0.004 * p.eye_size
        self.eye_tilt = 0.022 * p.eye_tilt + 0.018 * f
        self.brow_y = -0.33 - 0.022 * p.brow_height - 0.03 * f
        self.brow_thick = 0.060 - 0.015 * f
        self._set_colours()

    def _set_colours(self) -> None:
        p = self.person
        tone = sample_canvas.mix(_SKIN_TONES, p.skin_tone)
        self.skin = tone * (1 + 0.10 * (p.skin_warmth - 0.5) * rgb(1, 0, -1))
        shade = p.hair_shade * (1 - 0.55 * p.skin_tone)
        hair = sample_canvas.mix(_HAIR_COLOURS, shade)
        hair = hair * (1 + 0.3 * (p.hair_warmth - 0.5) * rgb(1.2, 0, -0.6))
        self.grey = float(step(0.45, 1.1, self.age + 0.3 * (p.hair_warmth - 0.5)))
        grey = sample_canvas.linear(_GREY_HAIR)
        self.hair = hair + (grey - hair) * np.float32(0.92 * self.grey)
        colour = p.eye_colour * (1 - 0.75 * p.skin_tone)
        self.iris = sample_canvas.mix(_EYE_COLOURS, colour)

    def half_width(self, y: np.ndarray) -> np.ndarray:
        """Half of the head's width at heights y, float32 (0 outside)."""
        waist, c = -0.30, self.chin_y
        share = np.clip((waist - y) / (waist - self.top_y), 0, 1)
        crown = self.temple * (1 - share**2.25) ** 0.5
        lower = interpolate.PchipInterpolator(
            (waist, 0.25, 0.42 * c, 0.64 * c, 0.82 * c, 0.93 * c, 0.985 * c, c),
            (
                self.temple,
                self.cheek,
                0.5 * (self.cheek + self.jaw) + 0.05,
                self.jaw,
                0.5 * (self.jaw + self.chin_half) + 0.04,
                self.chin_half + 0.02,
                0.55 * self.chin_half,
                0.0,
            ),
            extrapolate=False,
        )(y)
        return np.where(y < waist, crown, np.nan_to_num(lower)).astype(np.float32)

    def outline(self) -> np.ndarray:
        """The head's outline as a closed polygon, [n, 2]."""
        turn = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, 60))
        ys = self.top_y + (self.chin_y - self.top_y) * turn
        right = np.stack([self.half_width(ys), ys], 1)
        return np.concatenate([right, right[::-1] * (-1, 1)])

    def mouth_curves(self, x: np.ndarray):
        """At x: top of the upper lip, where each lip ends inside, bottom of the lower.

        The two middle curves are one line where the mouth is closed.
        """
        u = np.clip(np.abs(x) / self.mouth_half, 0, 1)
        smile = 0.030 + 0.035 * self.person.smile - 0.012 * self.age
        line = self.mouth_y - smile * u**2 + 0.008 * np.cos(6.9 * u) * (1 - u)
        bow = 1 - 0.22 * np.exp(-((u / 0.10) ** 2)) - 0.05 * np.cos(np.pi * u)
        gap = self.open * (1 - u**2.2)
        top = line - self.upper_lip * bow * np.sqrt(1 - u**1.7)
        high, low = line - 0.1 * gap, line + 0.8 * gap
        bottom = low + self.lower_lip * (1 - u**2.4) ** 0.7
        return top - 0.1 * gap, high, low, bottom

    def corner_y(self) -> float:
        """Height of the mouth's corners."""
        return float(self.mouth_curves(np.float32(self.mouth_half))[1])

    def eyelids(self, u: np.ndarray):
        """Upper and lower lid at u, -1 at the nose's side and +1 at the other."""
        inside = np.clip(1 - np.abs(u) ** 2.8, 0, None)
        slant = -self.eye_tilt * u
        upper = slant - self.eye_up * inside**0.75 * (1 - 0.10 * u)
        return upper, slant + self.eye_down * inside**0.85 * (1 + 0.14 * u), inside

    def points(self) -> dict:
        """Where the face's landmarks truly are: name -> (x, y, z)."""
        _, high, low, _ = (float(v) for v in self.mouth_curves(np.float32(0)))
        eye_y = 0.27 * (self.eye_down - self.eye_up)
        outer = 0.5 + self.eye_half
        return {
            "right_eye": (-0.5, eye_y, 1.0),
            "left_eye": (0.5, eye_y, 1.0),
            "right_eye_outer": (-outer, -self.eye_tilt, 0.95),
            "left_eye_outer": (outer, -self.eye_tilt, 0.95),
            "nose_base": (0.0, self.nose_y + 0.10, 1.3),
            "mouth_right": (-self.mouth_half, self.corner_y(), 1.08),
            "mouth_left": (self.mouth_half, self.corner_y(), 1.08),
            "mouth": (0.0, (high + low) / 2, 1.2),
            "chin": (0.0, self.chin_y, 0.9),
        }
