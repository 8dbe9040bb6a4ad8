"""Voices of generated people, spoken by espeak-ng.

A person's pitch and voice quality go into an espeak-ng voice variant. The vocal-tract
length scales every formant at once: the sound is resampled, and pitch and speaking rate
are compensated for it:

    played at k times the rate, k = 17 cm / tract length:
    formants x k, pitch x k (so ask for f0 / k), rate x k (so ask for rate / k)

All waveforms here are [n] float32 in [-1, 1] at 22,050 Hz.
"""

import pathlib

import numpy as np
import soundfile
import soxr

from data_prep.sample import espeak
from data_prep.sample.espeak import SAMPLE_RATE_HZ
from data_prep.sample.traits import Person, draw_people, generator
from speech2face import files
from speech2face.files import PathLike

MIN_CLIP_SECS, MAX_CLIP_SECS = 2.5, 7.0

_REFERENCE_TRACT_CM = 17.0  # espeak-ng's default voice is an adult man's
_PITCH_POINT = 0.58  # median pitch between a variant's low and high value, measured
# A clip's length is in one of these ranges; some are longer than the 6 s of Sec. 3.
_TARGET_SECS = ((2.8, 4.0), (4.0, 5.6), (6.0, 6.8))
_SECS_PER_LETTER, _PAUSE_SECS = 0.051, 0.15  # at 165 words per minute, measured
_MEASURED_WORDS_PER_MINUTE = 165
_SENTENCES_PER_CLIP = 4  # how far the next clip moves on in the list of sentences

# Of the 60 people of seed 0: two women and two men, young and old.
EXAMPLE_PEOPLE = ("p0051", "p0048", "p0055", "p0010")

# Spelling included, these decide the sound: do not edit.
SENTENCES = (
    "Good morning, everyone.",
    "It rained all night.",
    "Where did you leave the keys?",
    "The tea is still too hot.",
    "I will call you tomorrow.",
    "Nobody noticed the open door.",
    "Her brother plays the violin.",
    "The last train leaves at nine.",
    "We bought apples, bread and cheese.",
    "The children ran down to the river.",
    "He paints small boats in the winter.",
    "The museum is closed on Mondays.",
    "My neighbour grows tomatoes on the roof.",
    "A grey cat slept under the old piano.",
    "They walked home along the quiet beach.",
    "The bakery on the corner opens before sunrise.",
    "She had never seen so many stars at once.",
    "Please put the blue folder back on the shelf.",
    "The mountain road was covered with fresh snow.",
    "We should ask the teacher about the second question.",
    "Every summer the whole family travels to the lake.",
    "The engineer explained how the new bridge was built.",
    "In the evening the harbour smells of salt and smoke.",
    "You can see the lighthouse from the kitchen window.",
    "The orchestra stopped playing when the lights went out.",
    "After lunch we cleaned the garage and found an old map.",
    "He told a long story about a sailor and a clever fox.",
    "The young doctor listened carefully and wrote it all down.",
    "When the power failed, they lit candles and played cards.",
    "Their grandmother keeps bees behind the yellow farmhouse.",
    "If the weather is fine, we will have breakfast in the garden.",
    "The librarian found the missing book behind a broken cupboard.",
)


def speak_clip(person: Person, clip_index: int, seed: int) -> tuple[np.ndarray, str]:
    """Speaks a few sentences, which differ from clip to clip.

    Args:
      person: who speaks.
      clip_index: 0 for the person's first clip.
      seed: decides on sentences, level, room and noise.

    Returns:
      The waveform, 2.5 to 7 s long, and its text.
    """
    rng = generator(seed, person.speaker_id, "voice", clip_index)
    order = generator(seed, person.speaker_id, "text").permutation(len(SENTENCES))
    first_target = int(order[0])
    target_secs = _TARGET_SECS[(first_target + clip_index) % len(_TARGET_SECS)]
    for start in range(len(order)):
        shift = start + _SENTENCES_PER_CLIP * clip_index
        text = _choose_text(person, np.roll(order, -shift), target_secs)
        waveform = speak(person, text)
        if MIN_CLIP_SECS <= len(waveform) / SAMPLE_RATE_HZ <= MAX_CLIP_SECS:
            return _record(waveform, rng), text
    raise RuntimeError(f"no text of 2.5 to 7 s for {person}")


def speak(person: Person, text: str) -> np.ndarray:
    """`text` in the person's voice, clean, as synthesized."""
    speed_up = _REFERENCE_TRACT_CM / person.tract_length_cm
    words_per_minute = round(person.words_per_minute / speed_up)
    samples = espeak.synthesize(
        text,
        accent=person.accent,
        variant=_variant(person, person.f0_hz / speed_up),
        words_per_minute=min(
            max(words_per_minute, espeak.MIN_WORDS_PER_MINUTE),
            espeak.MAX_WORDS_PER_MINUTE,
        ),
    )
    waveform = samples.astype(np.float32) / 32768
    return soxr.resample(waveform, SAMPLE_RATE_HZ * speed_up, SAMPLE_RATE_HZ)


def write_examples(output_dir: PathLike) -> list[str]:
    """Writes a clip of each of `EXAMPLE_PEOPLE`, the longest of three, as Ogg Vorbis.

    Returns:
      The names of the files, such as 'woman_27.ogg'.
    """
    people = {p.speaker_id: p for p in draw_people(60, seed=0)}
    names = []
    for speaker_id in EXAMPLE_PEOPLE:
        person = people[speaker_id]
        clips = [speak_clip(person, k, seed=0)[0] for k in range(3)]
        kind = {"female": "woman", "male": "man"}[person.gender]
        name = f"{kind}_{person.age_years}.ogg"
        path = pathlib.Path(output_dir, name)
        # The repository has older ones, without a list of what this project wrote.
        with files.atomic_path(path, is_ours=True) as temporary:
            soundfile.write(
                temporary, max(clips, key=len), SAMPLE_RATE_HZ, format="ogg"
            )
        names.append(name)
    return names


def _choose_text(
    person: Person, order: np.ndarray, target_secs: tuple[float, float]
) -> str:
    """The next sentences in order whose estimated length is in the range."""
    low_secs, high_secs = target_secs
    secs_per_letter = (
        _SECS_PER_LETTER * _MEASURED_WORDS_PER_MINUTE / person.words_per_minute
    )
    chosen, secs = [], 0.0
    for index in order:
        sentence_secs = len(SENTENCES[index]) * secs_per_letter + _PAUSE_SECS
        if secs + sentence_secs <= high_secs:
            chosen.append(SENTENCES[index])
            secs += sentence_secs
        if secs >= low_secs:
            break
    return " ".join(chosen)


def _record(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The voice as a microphone records it: level, a faint room, faint noise."""
    # Four echoes from walls within 5 m, each at most 24 dB below the voice.
    delays_secs = rng.uniform(0.004, 0.03, size=4)
    recorded = waveform.copy()
    for delay_secs in delays_secs:
        n = int(delay_secs * SAMPLE_RATE_HZ)
        recorded[n:] += 0.06 * rng.uniform() * waveform[:-n]
    recorded *= rng.uniform(0.35, 0.85) / np.max(np.abs(recorded))
    noise = rng.normal(size=len(recorded)) * 10 ** rng.uniform(-3.2, -2.7)
    return np.clip(recorded + noise, -1, 1).astype(np.float32)


def _variant(person: Person, f0_hz: float) -> str:
    """The content of an espeak-ng voice variant file."""
    range_hz = f0_hz * (0.2 + 0.25 * person.liveliness)
    low_hz = f0_hz - _PITCH_POINT * range_hz
    # Women's voices are breathier. `breath` has a level for each of 8 formants; the
    # lowest gets none.
    breath = round(person.breathiness * (6 if person.femininity > 0 else 3))
    aging_years = max(person.age_years - 45, 0)
    return "\n".join(
        (
            "language variant",
            f"name {person.speaker_id}",
            f"pitch {low_hz:.0f} {low_hz + range_hz:.0f}",
            f"roughness {min(1 + aging_years // 10, 4)}",
            f"flutter {2 + aging_years // 6}",
            "breath 0" + f" {breath}" * 7,
            "",
        )
    )
