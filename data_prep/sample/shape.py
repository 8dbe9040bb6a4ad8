"""The measures and colors of a generated face, derived from a person's traits.

Units as in `canvas`: the eyes' centers are at (-0.5, 0) and (0.5, 0). The mean face:

    height y                          half width x
    -1.62  top of the head
    -0.33  eyebrows                   1.01  temples
     0.00  eyes                       0.215 an eye, about its center
     0.25  cheekbones                 1.02  cheeks, at the ears
     0.52  base of the nose           0.275 nostrils
     0.91  line between the lips      0.375 corners of the mouth
     0.96  angle of the jaw           0.85  jaw
     1.50  chin                       0.37  chin

It was tuned until dlib's 68 landmarks lie on the drawn features. A trait's factor is
what one standard deviation of the trait adds, in units.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy import interpolate

from data_prep.sample.canvas import linear, mix, rgb, smoothstep
from data_prep.sample.traits import Person

# Palettes, 8-bit sRGB, along which a trait in [0, 1] picks a color.
_SKIN_TONES = (
    (246, 216, 200),
    (234, 194, 170),
    (214, 168, 138),
    (183, 132, 99),
    (142, 96, 68),
    (100, 66, 49),
)
_HAIR_COLORS = (
    (26, 22, 21),
    (52, 36, 28),
    (90, 58, 38),
    (126, 84, 52),
    (174, 130, 80),
    (212, 178, 124),
)
_GRAY_HAIR = (190, 188, 184)
_EYE_COLORS = (
    (62, 38, 24),
    (98, 64, 34),
    (110, 104, 60),
    (96, 120, 108),
    (94, 130, 164),
)

_TOP_Y = -1.62
_TEMPLE_Y = -0.30  # the round crown above, the face below
# Faces change little before 28 and are drawn as old at 73.
_ADULT_YEARS, _AGING_YEARS = 28, 45


class MouthCurves(NamedTuple):
    """Heights y of the four edges of the lips; the middle two meet in a closed mouth.

    Attributes:
      top: upper edge of the upper lip.
      upper_inside: its lower edge.
      lower_inside: upper edge of the lower lip.
      bottom: its lower edge.
    """

    top: np.ndarray
    upper_inside: np.ndarray
    lower_inside: np.ndarray
    bottom: np.ndarray


class Eyelids(NamedTuple):
    """The edges of the lids, relative to the eye's center.

    Attributes:
      upper: y of the upper lid.
      lower: y of the lower lid.
      opening: 1 in the middle of the eye, 0 at its corners.
    """

    upper: np.ndarray
    lower: np.ndarray
    opening: np.ndarray


@dataclasses.dataclass(frozen=True)
class Shape:
    """Measures of one face in units, and its colors in linear light."""

    person: Person
    mouth_open: float  # how far the jaw is down: 0 closed, 0.2 wide open
    femininity: float  # the person's, within +-1.5
    age: float  # 0 at 28 years, 1 at 73

    # Half widths and heights of the head.
    longer: float  # how much longer than the mean the lower face is
    temple_half: float
    cheek_half: float
    jaw_half: float
    chin_half: float
    chin_y: float

    # Features.
    nose_y: float
    nose_half: float
    mouth_y: float
    mouth_half: float
    upper_lip: float  # heights of the lips
    lower_lip: float
    eye_half: float
    upper_lid: float  # how far the lids are above and below the eye's center
    lower_lid: float
    eye_tilt: float  # how much higher the outer corners are than the centers
    brow_y: float
    brow_thickness: float

    # Colors, [3] float32.
    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray

    top_y: float = _TOP_Y

    def half_width(self, y: np.ndarray) -> np.ndarray:
        """Half of the head's width at heights y, float32; 0 above and below it."""
        share = np.clip((_TEMPLE_Y - y) / (_TEMPLE_Y - self.top_y), 0, 1)
        crown = self.temple_half * (1 - share**2.25) ** 0.5  # nearly an ellipse
        chin_y = self.chin_y
        heights, half_widths = zip(
            (_TEMPLE_Y, self.temple_half),
            (0.25, self.cheek_half),
            (0.42 * chin_y, 0.5 * (self.cheek_half + self.jaw_half) + 0.05),
            (0.64 * chin_y, self.jaw_half),
            (0.82 * chin_y, 0.5 * (self.jaw_half + self.chin_half) + 0.04),
            (0.93 * chin_y, self.chin_half + 0.02),
            (0.985 * chin_y, 0.55 * self.chin_half),
            (chin_y, 0.0),
        )
        # Monotone between these, so that no cheek bulges.
        face = interpolate.PchipInterpolator(heights, half_widths, extrapolate=False)(y)
        return np.where(y < _TEMPLE_Y, crown, np.nan_to_num(face)).astype(np.float32)

    def outline(self) -> np.ndarray:
        """The head's outline as a closed polygon, [120, 2] (x, y)."""
        # Denser at the top and the chin, where the outline bends most.
        turn = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, 60))
        ys = self.top_y + (self.chin_y - self.top_y) * turn
        right = np.stack([self.half_width(ys), ys], 1)
        return np.concatenate([right, right[::-1] * (-1, 1)])

    def mouth_curves(self, x: np.ndarray | np.floating) -> MouthCurves:
        """The edges of the lips at x, units."""
        side = np.clip(np.abs(x) / self.mouth_half, 0, 1)  # 1 at the corners
        smile = 0.030 + 0.035 * self.person.smile - 0.012 * self.age
        line = self.mouth_y - smile * side**2
        line = line + 0.008 * np.cos(6.9 * side) * (1 - side)  # the lips' wavy line
        # Cupid's bow: the upper lip is lowest in the middle.
        bow = 1 - 0.22 * np.exp(-((side / 0.10) ** 2)) - 0.05 * np.cos(np.pi * side)
        gap = self.mouth_open * (1 - side**2.2)
        top = line - self.upper_lip * bow * np.sqrt(1 - side**1.7)
        # The lower lip goes down with the jaw; the upper one rises only a little.
        high, low = line - 0.1 * gap, line + 0.8 * gap
        bottom = low + self.lower_lip * (1 - side**2.4) ** 0.7
        return MouthCurves(top - 0.1 * gap, high, low, bottom)

    def corner_y(self) -> float:
        """Height of the mouth's corners."""
        return float(self.mouth_curves(np.float32(self.mouth_half)).upper_inside)

    def eyelids(self, across: np.ndarray) -> Eyelids:
        """The lids' edges at `across`: -1 at the inner and +1 at the outer corner."""
        opening = np.clip(1 - np.abs(across) ** 2.8, 0, None)
        slant = -self.eye_tilt * across
        # The upper lid peaks towards the nose, the lower one away from it.
        upper = slant - self.upper_lid * opening**0.75 * (1 - 0.10 * across)
        lower = slant + self.lower_lid * opening**0.85 * (1 + 0.14 * across)
        return Eyelids(upper, lower, opening)

    def brow_line(self, abs_x: np.ndarray) -> np.ndarray:
        """Height y of the middle of the brows at distances from the face's middle."""
        along = np.clip((abs_x - 0.17) / 0.66, 0, 1)  # 0 at the nose, 1 at the temple
        arch = (0.07 + 0.02 * self.femininity) * np.sin(2.7 * along)
        return self.brow_y + 0.055 - arch - 0.02 * along

    def points(self) -> dict[str, tuple[float, float, float]]:
        """Where the face's landmarks truly are: name -> (x, y, z)."""
        mouth = self.mouth_curves(np.float32(0))
        mouth_y = (float(mouth.upper_inside) + float(mouth.lower_inside)) / 2
        # dlib's six points of an eye lie on both lids; this is their mean.
        eye_y = 0.27 * (self.lower_lid - self.upper_lid)
        outer = 0.5 + self.eye_half
        return {
            "right_eye": (-0.5, eye_y, 1.0),
            "left_eye": (0.5, eye_y, 1.0),
            "right_eye_outer": (-outer, -self.eye_tilt, 0.95),
            "left_eye_outer": (outer, -self.eye_tilt, 0.95),
            "nose_base": (0.0, self.nose_y + 0.10, 1.3),
            "mouth_right": (-self.mouth_half, self.corner_y(), 1.08),
            "mouth_left": (self.mouth_half, self.corner_y(), 1.08),
            "mouth": (0.0, mouth_y, 1.2),
            "chin": (0.0, self.chin_y, 0.9),
        }


def measure(person: Person, mouth_open: float = 0.0) -> Shape:
    """The shape of a person's face with the mouth open so far, units."""
    femininity = float(np.clip(person.femininity, -1.5, 1.5))
    age = float(np.clip((person.age_years - _ADULT_YEARS) / _AGING_YEARS, 0, 1.1))
    # Large people have larger faces; a long face is narrow.
    longer = 0.045 * person.face_length - 0.03 * femininity + 0.02 * person.body_size
    wider = 0.04 * person.body_size - 0.012 * person.face_length
    return Shape(
        person=person,
        mouth_open=mouth_open,
        femininity=femininity,
        age=age,
        longer=longer,
        temple_half=1.01 + wider,
        cheek_half=1.02 + wider + 0.015 * person.cheeks,
        # Men have wider jaws and chins.
        jaw_half=0.85 - 0.055 * femininity + 1.1 * wider + 0.012 * person.cheeks,
        chin_half=0.37 - 0.06 * femininity + 0.015 * person.chin,
        chin_y=1.50 + longer + 0.025 * person.chin + 0.85 * mouth_open,
        # Noses grow with age.
        nose_y=0.52 + 0.4 * longer + 0.025 * person.nose_length + 0.012 * age,
        nose_half=0.275 - 0.018 * femininity + 0.022 * person.nose_width,
        mouth_y=0.91 + 0.6 * longer + 0.012 * person.nose_length,
        mouth_half=0.375 + 0.02 * person.mouth_width + 0.012 * person.smile,
        # Lips are fuller in women and thinner in the old.
        upper_lip=0.080 + 0.018 * femininity - 0.018 * age,
        lower_lip=0.118 + 0.020 * femininity - 0.018 * age,
        eye_half=0.215 + 0.007 * person.eye_size + 0.006 * femininity,
        # Upper lids sink with age.
        upper_lid=0.100 + 0.009 * person.eye_size + 0.012 * femininity - 0.018 * age,
        lower_lid=0.060 + 0.004 * person.eye_size,
        eye_tilt=0.022 * person.eye_tilt + 0.018 * femininity,
        # Women's eyebrows are higher and thinner.
        brow_y=-0.33 - 0.022 * person.brow_height - 0.03 * femininity,
        brow_thickness=0.060 - 0.015 * femininity,
        skin=_skin_color(person),
        hair=_hair_color(person, age),
        iris=_iris_color(person),
    )


def _skin_color(person: Person) -> np.ndarray:
    tone = mix(_SKIN_TONES, person.skin_tone)
    return tone * (1 + 0.10 * (person.skin_warmth - 0.5) * rgb(1, 0, -1))


def _hair_color(person: Person, age: float) -> np.ndarray:
    # Dark skin rarely comes with light hair or light eyes.
    shade = person.hair_shade * (1 - 0.55 * person.skin_tone)
    hair = mix(_HAIR_COLORS, shade)
    hair = hair * (1 + 0.3 * (person.hair_warmth - 0.5) * rgb(1.2, 0, -0.6))
    # Gray from about 48 years on, in some earlier than in others.
    share = float(smoothstep(0.45, 1.1, age + 0.3 * (person.hair_warmth - 0.5)))
    return hair + (linear(_GRAY_HAIR) - hair) * np.float32(0.92 * share)


def _iris_color(person: Person) -> np.ndarray:
    return mix(_EYE_COLORS, person.eye_colour * (1 - 0.75 * person.skin_tone))
