"""The latent traits of generated people: what a voice and a face have in common.

Three traits drive **both** a person's voice and a person's face:

- `femininity` (about -1 male, +1 female, with overlap): pitch and vocal-tract length;
  jaw width, brows, lips, hair;
- `age_years`: speaking rate, pitch, roughness; wrinkles, gray hair, skin texture;
- `body_size` (standard normal): vocal-tract length; width and length of the face.

Everything else is drawn independently for each person (skin tone, hair and eye color,
accent, face proportions, clothes) or for each clip (text, light, background, pose), so
that there is something to learn but not everything can be learned.

Values are plain floats drawn by `numpy.random.Generator`; the same seed gives the same
people in every process. The order of the draws is part of that: a new trait comes last.
"""

import dataclasses
import hashlib

import numpy as np

SPLIT_SHARES = (("train", 0.7), ("val", 0.15), ("test", 0.15))
# Those of espeak-ng's English accents that differ clearly.
ACCENTS = ("en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-us-nyc")

# Near the means of adults.
_MALE_F0_HZ, _FEMALE_F0_HZ = 116.0, 205.0
_MALE_TRACT_CM, _FEMALE_TRACT_CM = 17.0, 14.8
_SHORTEST_TRACT_CM, _LONGEST_TRACT_CM = 13.0, 19.0

_MIN_AGE_YEARS, _MAX_AGE_YEARS = 19, 75
_YOUNG_WORDS_PER_MINUTE = 182.0  # of a 19-year-old; older people speak more slowly


@dataclasses.dataclass(frozen=True)
class Person:
    """One generated person.

    Traits without a unit are standard normal, cut off at +-2, or uniform in [0, 1].
    """

    speaker_id: str
    split: str
    # Shared by voice and face.
    femininity: float  # about -1 or +1
    age_years: int
    body_size: float  # normal
    # Voice (the first three follow from the shared traits).
    f0_hz: float
    tract_length_cm: float
    words_per_minute: float
    accent: str
    liveliness: float  # in [0, 1]: range of the pitch
    breathiness: float  # in [0, 1]
    # Face, independent of the voice. In [0, 1]:
    skin_tone: float  # light to dark
    skin_warmth: float
    hair_shade: float  # black to blond
    hair_warmth: float
    hair_style: float
    eye_colour: float  # brown to blue; a key of people.json, whose spelling stays
    beard: float
    smile: float
    # Normal:
    face_length: float
    nose_width: float
    nose_length: float
    eye_size: float
    eye_tilt: float
    brow_height: float
    mouth_width: float
    chin: float
    cheeks: float
    wardrobe: float  # in [0, 1]: clothes and makeup

    @property
    def gender(self) -> str:
        """The label: 'female' or 'male'."""
        return "female" if self.femininity > 0 else "male"


def generator(seed: int, *names: object) -> np.random.Generator:
    """A random generator that depends on (seed, names) alone, not on the process."""
    text = "/".join(str(name) for name in (seed, *names))
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def draw_people(n_people: int, seed: int, n_more: int = 0) -> list[Person]:
    """People whose genders alternate; the split is by person and disjoint.

    Args:
      n_people: people of all splits.
      seed: the same seed gives the same people.
      n_more: people after these, all of the training split.
    """
    splits = _assign_splits(n_people, seed) + ["train"] * n_more
    return [_draw_person(i, split, seed) for i, split in enumerate(splits)]


def _assign_splits(n_people: int, seed: int) -> list[str]:
    """A random split of people, every part non-empty from three people on.

    Each part has as many women as men, or one more of either: of 18 people drawn
    without regard to it, 13 or more would be of one gender in one case of ten.
    """
    sizes = {name: round(share * n_people) for name, share in SPLIT_SHARES}
    for name in ("val", "test"):
        sizes[name] = max(sizes[name], 1)
    sizes["train"] = n_people - sizes["val"] - sizes["test"]
    names = [name for name, size in sizes.items() for _ in range(size)]
    rng = generator(seed, "splits")
    mixed = np.zeros(n_people, int)
    for parity in (0, 1):  # genders alternate, and so they do in the mixed order
        members = np.arange(parity, n_people, 2)
        mixed[parity::2] = rng.permutation(members)
    splits = [""] * n_people
    for index, name in zip(mixed, names):
        splits[index] = name
    return splits


def _draw_person(index: int, split: str, seed: int) -> Person:
    rng = generator(seed, "person", index)

    def normal() -> float:
        return float(np.clip(rng.normal(), -2, 2))

    def share() -> float:
        return float(rng.uniform())

    sign = 1.0 if index % 2 else -1.0
    femininity = sign * float(np.clip(rng.normal(1.0, 0.3), 0.25, 1.7))
    age_years = int(rng.integers(_MIN_AGE_YEARS, _MAX_AGE_YEARS + 1))
    body_size = normal()
    return Person(
        speaker_id=f"p{index:04d}",
        split=split,
        femininity=femininity,
        age_years=age_years,
        body_size=body_size,
        f0_hz=_f0_hz(femininity, age_years, normal()),
        tract_length_cm=_tract_length_cm(femininity, body_size, normal()),
        words_per_minute=_words_per_minute(age_years, normal()),
        accent=ACCENTS[int(rng.integers(len(ACCENTS)))],
        liveliness=share(),
        breathiness=share(),
        skin_tone=share(),
        skin_warmth=share(),
        hair_shade=share(),
        hair_warmth=share(),
        hair_style=share(),
        eye_colour=share(),
        beard=share(),
        smile=share(),
        face_length=normal(),
        nose_width=normal(),
        nose_length=normal(),
        eye_size=normal(),
        eye_tilt=normal(),
        brow_height=normal(),
        mouth_width=normal(),
        chin=normal(),
        cheeks=normal(),
        wardrobe=share(),
    )


def _words_per_minute(age_years: int, noise: float) -> float:
    return _YOUNG_WORDS_PER_MINUTE - 0.75 * (age_years - _MIN_AGE_YEARS) + 7.0 * noise


def _f0_hz(femininity: float, age_years: int, noise: float) -> float:
    """Mean pitch: women's falls with age, men's is constant to 35, then rises."""
    octaves = np.log2(_MALE_F0_HZ) + _feminine_share(femininity) * np.log2(
        _FEMALE_F0_HZ / _MALE_F0_HZ
    )
    decades = (age_years - 45) / 10
    octaves += -0.06 * decades if femininity > 0 else 0.04 * max(decades, -1.0)
    return float(2 ** (octaves + 0.06 * noise))


def _tract_length_cm(femininity: float, body_size: float, noise: float) -> float:
    share = _feminine_share(femininity)
    mean = _MALE_TRACT_CM + share * (_FEMALE_TRACT_CM - _MALE_TRACT_CM)
    length = mean + 0.55 * body_size + 0.12 * noise
    return float(np.clip(length, _SHORTEST_TRACT_CM, _LONGEST_TRACT_CM))


def _feminine_share(femininity: float) -> float:
    """0 for the average man, 1 for the average woman; beyond these outside [0, 1]."""
    return (np.clip(femininity, -1.6, 1.6) + 1) / 2
