"""Voices of generated people, spoken by espeak-ng.

espeak-ng comes whole inside the wheel `espeakng-loader` (GPL, so an extra of its own)
and is called through ctypes. A person's pitch and voice quality go into a voice
variant file; the vocal-tract length scales every formant at once by resampling, for
which pitch and speaking rate are compensated:

    played at k times the rate, k = 17 cm / tract length:
    formants x k, pitch x k (so ask for f0 / k), rate x k (so ask for rate / k)

espeak-ng keeps its oscillators' phases in globals and takes its breath noise from a
clock-seeded generator. Each clip is therefore spoken by a private copy of the library,
freshly loaded and seeded: the same clip has the same samples in every process and in
every order.
"""

import contextlib
import ctypes
import os
import pathlib
import shutil
import tempfile
from typing import List

import numpy as np
import soundfile
import soxr

from data_prep import sample_traits
from speech2face import files

SAMPLE_RATE_HZ = 22050
MIN_CLIP_SECS, MAX_CLIP_SECS = 2.5, 7.0

_REFERENCE_TRACT_CM = 17.0  # espeak-ng's default voice is an adult man's
_PITCH_POINT = 0.58  # median pitch between a variant's low and high value, measured
_TARGET_SECS = ((2.8, 4.0), (4.0, 5.6), (6.0, 6.8))  # a clip's length: one of these
_SECS_PER_LETTER, _PAUSE_SECS = 0.051, 0.15  # at 165 words per minute, measured
_SENTENCES_PER_CLIP = 4

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_CHARS_UTF8 = 1
_PARAMETER_RATE = 1
_MIN_WPM, _MAX_WPM = 80, 350
_BUFFER_MS = 500

# Of the 60 people of seed 0: two women and two men, young and old.
EXAMPLE_PEOPLE = ("p0051", "p0048", "p0055", "p0010")

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


def check_installed() -> None:
    """Raises ValueError, naming the extra to install, where espeak-ng is missing."""
    _loader()


def speak_clip(
    person: sample_traits.Person, clip_index: int, seed: int
) -> tuple[np.ndarray, str]:
    """A few sentences that differ from clip to clip.

    Returns:
      waveform [n] float32 in [-1, 1] at 22,050 Hz, 2.5 s <= n <= 7 s; and its text.
    """
    rng = sample_traits.generator(seed, person.speaker_id, "voice", clip_index)
    order = sample_traits.generator(seed, person.speaker_id, "text").permutation(
        len(SENTENCES)
    )
    first_target = int(order[0])
    target_secs = _TARGET_SECS[(first_target + clip_index) % len(_TARGET_SECS)]
    for start in range(len(order)):
        shift = start + _SENTENCES_PER_CLIP * clip_index
        text = _choose_text(person, np.roll(order, -shift), target_secs)
        waveform = speak(person, text)
        if MIN_CLIP_SECS <= len(waveform) / SAMPLE_RATE_HZ <= MAX_CLIP_SECS:
            return _record(waveform, rng), text
    raise RuntimeError(f"no text of 2.5 to 7 s for {person}")


def speak(person: sample_traits.Person, text: str) -> np.ndarray:
    """`text` in the person's voice, [n] float32 at 22,050 Hz, clean, as synthesised."""
    speed_up = _REFERENCE_TRACT_CM / person.tract_length_cm
    words_per_minute = round(person.words_per_minute / speed_up)
    samples = _synthesize(
        text,
        voice=person.accent,
        variant=_variant(person, person.f0_hz / speed_up),
        words_per_minute=min(max(words_per_minute, _MIN_WPM), _MAX_WPM),
    )
    waveform = samples.astype(np.float32) / 32768
    return soxr.resample(waveform, SAMPLE_RATE_HZ * speed_up, SAMPLE_RATE_HZ)


def write_examples(output_dir: "os.PathLike[str]") -> List[str]:
    """Writes a clip of each of `EXAMPLE_PEOPLE`, the longest of three, as Ogg Vorbis.

    Returns:
      The names of the files, such as 'woman_27.ogg'.
    """
    people = {p.speaker_id: p for p in sample_traits.draw_people(60, seed=0)}
    names = []
    for speaker_id in EXAMPLE_PEOPLE:
        person = people[speaker_id]
        clips = [speak_clip(person, k, seed=0)[0] for k in range(3)]
        kind = {"female": "woman", "male": "man"}[person.gender]
        name = f"{kind}_{person.age_years}.ogg"
        with files.atomic_path(pathlib.Path(output_dir, name)) as temporary:
            soundfile.write(
                temporary, max(clips, key=len), SAMPLE_RATE_HZ, format="ogg"
            )
        names.append(name)
    return names


def _choose_text(
    person: sample_traits.Person, order: np.ndarray, target_secs: tuple[float, float]
) -> str:
    """The next sentences in order whose estimated length falls between the two."""
    low_secs, high_secs = target_secs
    secs_per_letter = _SECS_PER_LETTER * 165 / person.words_per_minute
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
    """The voice as a microphone hears it: level, a faint room, faint noise."""
    delays_secs = rng.uniform(0.004, 0.03, size=4)
    heard = waveform.copy()
    for delay_secs in delays_secs:
        n = int(delay_secs * SAMPLE_RATE_HZ)
        heard[n:] += 0.06 * rng.uniform() * waveform[:-n]
    heard *= rng.uniform(0.35, 0.85) / np.max(np.abs(heard))
    noise = rng.normal(size=len(heard)) * 10 ** rng.uniform(-3.2, -2.7)
    return np.clip(heard + noise, -1, 1).astype(np.float32)


def _variant(person: sample_traits.Person, f0_hz: float) -> str:
    """An espeak-ng voice variant file."""
    range_hz = f0_hz * (0.2 + 0.25 * person.liveliness)
    low_hz = f0_hz - _PITCH_POINT * range_hz
    breath = round(person.breathiness * (6 if person.femininity > 0 else 3))
    ageing = max(person.age_years - 45, 0)
    return "\n".join(
        (
            "language variant",
            f"name {person.speaker_id}",
            f"pitch {low_hz:.0f} {low_hz + range_hz:.0f}",
            f"roughness {min(1 + ageing // 10, 4)}",
            f"flutter {2 + ageing // 6}",
            "breath 0" + f" {breath}" * 7,
            "",
        )
    )


def _synthesize(
    text: str, *, voice: str, variant: str, words_per_minute: int
) -> np.ndarray:
    """espeak-ng's samples, [n] int16 at 22,050 Hz, from a fresh copy of the library."""
    loader = _loader()
    with tempfile.TemporaryDirectory(prefix="espeak_") as folder:
        data_dir = pathlib.Path(folder, "data")
        _link_data(pathlib.Path(loader.get_data_path()), data_dir, variant)
        library_path = pathlib.Path(folder, "espeak").with_suffix(
            pathlib.Path(loader.get_library_path()).suffix
        )
        shutil.copy(loader.get_library_path(), library_path)
        with _open_library(library_path) as library:
            return _call(library, data_dir, voice, words_per_minute, text)


def _call(
    library: ctypes.CDLL,
    data_dir: pathlib.Path,
    voice: str,
    words_per_minute: int,
    text: str,
) -> np.ndarray:
    chunks = []

    @ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
    )
    def collect(samples, n_samples, _events):
        if samples and n_samples > 0:
            chunks.append(np.ctypeslib.as_array(samples, (n_samples,)).copy())
        return 0

    rate_hz = library.espeak_Initialize(
        _AUDIO_OUTPUT_SYNCHRONOUS, _BUFFER_MS, os.fsencode(data_dir), 0
    )
    if rate_hz != SAMPLE_RATE_HZ:
        raise RuntimeError(f"espeak-ng did not start: espeak_Initialize gave {rate_hz}")
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # else the time of day
    library.espeak_SetSynthCallback(collect)
    if library.espeak_SetVoiceByName(f"{voice}+person".encode()):
        raise RuntimeError(f"espeak-ng has no voice {voice}")
    library.espeak_SetParameter(_PARAMETER_RATE, words_per_minute, 0)
    encoded = text.encode()
    library.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, _CHARS_UTF8, None, None)
    library.espeak_Terminate()
    return np.concatenate(chunks)


def _link_data(source: pathlib.Path, target: pathlib.Path, variant: str) -> None:
    """The wheel's data for English, with one voice variant `person` of our own."""
    (target / "voices" / "!v").mkdir(parents=True)
    (target / "voices" / "!v" / "person").write_text(variant)
    for entry in source.iterdir():
        if entry.name == "en_dict" or not entry.name.endswith(("_dict", "voices")):
            (target / entry.name).symlink_to(entry)


@contextlib.contextmanager
def _open_library(path: pathlib.Path):
    library = ctypes.CDLL(str(path))
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    try:
        yield library
    finally:
        if os.name == "posix":
            import _ctypes

            _ctypes.dlclose(library._handle)


def _loader():
    try:
        import espeakng_loader
    except ImportError as error:
        raise ValueError(
            "sample people speak with espeak-ng, which is not installed; "
            "install the extra `sample`: pip install -e '.[sample]'"
        ) from error
    return espeakng_loader
