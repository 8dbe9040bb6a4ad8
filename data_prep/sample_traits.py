"""The latent traits of generated people: what a voice and a face have in common.

Three traits drive **both** a person's voice and a person's face:

- `femininity` (about -1 male, +1 female, with overlap): pitch and vocal-tract length;
  jaw width, brows, lips, hair;
- `age_years`: speaking rate, pitch, roughness; wrinkles, grey hair, skin texture;
- `body_size` (standard normal): vocal-tract length; width and length of the face.

Everything else is drawn independently for each person (skin tone, hair and eye colour,
accent, face proportions, clothes) or for each clip (text, light, background, pose), so
that there is something to learn but not everything can be learnt.

Values are plain floats drawn by `numpy.random.Generator`; the same seed gives the same
people in every process.
"""

import dataclasses
import hashlib

import numpy as np

SPLIT_SHARES = (("train", 0.7), ("val", 0.15), ("test", 0.15))
ACCENTS = ("en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-us-nyc")

_MALE_F0_HZ, _FEMALE_F0_HZ = 116.0, 205.0
_MALE_TRACT_CM, _FEMALE_TRACT_CM = 17.0, 14.8


@dataclasses.dataclass(frozen=True)
class Person:
    """One generated person; independent traits: standard normal or in [0, 1]."""

    speaker_id: str
    split: str
    # Shared by voice and face.
    femininity: float
    age_years: int
    body_size: float
    # Voice (the first three follow from the shared traits).
    f0_hz: float
    tract_length_cm: float
    words_per_minute: float
    accent: str
    liveliness: float
    breathiness: float
    # Face, independent of the voice.
    skin_tone: float
    skin_warmth: float
    hair_shade: float
    hair_warmth: float
    hair_style: float
    eye_colour: float
    beard: float
    smile: float
    face_length: float
    nose_width: float
    nose_length: float
    eye_size: float
    eye_tilt: float
    brow_height: float
    mouth_width: float
    chin: float
    cheeks: float
    wardrobe: float

    @property
    def gender(self) -> str:
        """The label: 'female' or 'male'."""
        return "female" if self.femininity > 0 else "male"


def generator(seed: int, *names: object) -> np.random.Generator:
    """A random generator that depends on (seed, names) alone, not on the process."""
    text = "/".join(str(name) for name in (seed, *names))
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def draw_people(n_people: int, seed: int) -> list[Person]:
    """`n_people` people; genders alternate, the split is by person and disjoint."""
    splits = _assign_splits(n_people, seed)
    return [_draw_person(i, splits[i], seed) for i in range(n_people)]


def _assign_splits(n_people: int, seed: int) -> list[str]:
    """A random split of people, every part non-empty from three people on."""
    sizes = {name: round(share * n_people) for name, share in SPLIT_SHARES}
    for name in ("val", "test"):
        sizes[name] = max(sizes[name], 1)
    sizes["train"] = n_people - sizes["val"] - sizes["test"]
    names = [name for name, size in sizes.items() for _ in range(size)]
    return [names[k] for k in generator(seed, "splits").permutation(n_people)]


def _draw_person(index: int, split: str, seed: int) -> Person:
    rng = generator(seed, "person", index)
    sign = 1.0 if index % 2 else -1.0
    femininity = sign * float(np.clip(rng.normal(1.0, 0.3), 0.25, 1.7))
    age_years = int(rng.integers(19, 76))
    body_size = float(np.clip(rng.normal(), -2, 2))
    normal = lambda: float(np.clip(rng.normal(), -2, 2))  # noqa: E731
    share = lambda: float(rng.uniform())  # noqa: E731
    return Person(
        speaker_id=f"p{index:04d}",
        split=split,
        femininity=femininity,
        age_years=age_years,
        body_size=body_size,
        f0_hz=_f0_hz(femininity, age_years, normal()),
        tract_length_cm=_tract_length_cm(femininity, body_size, normal()),
        words_per_minute=182.0 - 0.75 * (age_years - 19) + 7.0 * normal(),
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


def _f0_hz(femininity: float, age_years: int, noise: float) -> float:
    """Mean pitch: women's falls with age, men's rises after sixty."""
    blend = (np.clip(femininity, -1.6, 1.6) + 1) / 2
    octaves = np.log2(_MALE_F0_HZ) + blend * np.log2(_FEMALE_F0_HZ / _MALE_F0_HZ)
    decades = (age_years - 45) / 10
    octaves += -0.06 * decades if femininity > 0 else 0.04 * max(decades, -1.0)
    return float(2 ** (octaves + 0.06 * noise))


def _tract_length_cm(femininity: float, body_size: float, noise: float) -> float:
    blend = (np.clip(femininity, -1.6, 1.6) + 1) / 2
    mean = _MALE_TRACT_CM + blend * (_FEMALE_TRACT_CM - _MALE_TRACT_CM)
    return float(np.clip(mean + 0.55 * body_size + 0.12 * noise, 13.0, 19.0))
