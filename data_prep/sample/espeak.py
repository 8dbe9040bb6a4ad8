"""espeak-ng, a speech synthesizer, called through ctypes.

It comes complete in the wheel `espeakng-loader` (GPL, hence the separate extra
`sample`). espeak-ng keeps its oscillators' phases in global variables and seeds the
noise of its breath from the clock. Each text is therefore spoken by a private copy of
the library, freshly loaded and seeded: the same text has the same samples in every
process and in every order.
"""

import contextlib
import ctypes
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from speech2face.errors import UserError

SAMPLE_RATE_HZ = 22_050  # espeak-ng speaks at no other rate
MIN_WORDS_PER_MINUTE, MAX_WORDS_PER_MINUTE = 80, 350  # what espeak-ng accepts

# Constants of its header, speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_CHARS_UTF8 = 1
_PARAMETER_RATE = 1
_BUFFER_MS = 500


def check_installed() -> None:
    """Raises UserError, naming the extra to install, if espeak-ng is missing."""
    _loader()


def synthesize(
    text: str, *, accent: str, variant: str, words_per_minute: int
) -> np.ndarray:
    """Speaks a text.

    Args:
      text: English.
      accent: name of an espeak-ng voice, such as 'en-us'.
      variant: content of a voice variant file: pitch, roughness, breath.
      words_per_minute: between `MIN_WORDS_PER_MINUTE` and `MAX_WORDS_PER_MINUTE`.

    Returns:
      [n] int16 at 22,050 Hz.

    Raises:
      UserError: espeak-ng is not installed.
    """
    loader = _loader()
    with tempfile.TemporaryDirectory(prefix="espeak_") as folder:
        data_dir = pathlib.Path(folder, "data")
        _link_data(pathlib.Path(loader.get_data_path()), data_dir, variant)
        # A copy: the system loads a library once for each file.
        library_path = pathlib.Path(folder, "espeak").with_suffix(
            pathlib.Path(loader.get_library_path()).suffix
        )
        shutil.copy(loader.get_library_path(), library_path)
        with _open_library(library_path) as library:
            return _speak(library, data_dir, accent, words_per_minute, text)


def _speak(
    library: ctypes.CDLL,
    data_dir: pathlib.Path,
    accent: str,
    words_per_minute: int,
    text: str,
) -> np.ndarray:
    blocks: list[np.ndarray] = []

    @ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
    )
    def collect(samples: Any, n_samples: int, _events: Any) -> int:
        if samples and n_samples > 0:
            blocks.append(np.ctypeslib.as_array(samples, (n_samples,)).copy())
        return 0  # continue

    rate_hz = library.espeak_Initialize(
        _AUDIO_OUTPUT_SYNCHRONOUS, _BUFFER_MS, os.fsencode(data_dir), 0
    )
    if rate_hz != SAMPLE_RATE_HZ:
        raise RuntimeError(f"espeak-ng did not start: espeak_Initialize gave {rate_hz}")
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # else the time of day
    library.espeak_SetSynthCallback(collect)
    if library.espeak_SetVoiceByName(f"{accent}+person".encode()):
        raise RuntimeError(f"espeak-ng has no voice {accent}")
    library.espeak_SetParameter(_PARAMETER_RATE, words_per_minute, 0)
    encoded = text.encode()
    library.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, _CHARS_UTF8, None, None)
    library.espeak_Terminate()
    return np.concatenate(blocks)


def _link_data(source: pathlib.Path, target: pathlib.Path, variant: str) -> None:
    """Links the wheel's data for English; adds one voice variant, `person`."""
    (target / "voices" / "!v").mkdir(parents=True)
    (target / "voices" / "!v" / "person").write_text(variant)
    for entry in source.iterdir():
        if entry.name == "en_dict" or not entry.name.endswith(("_dict", "voices")):
            (target / entry.name).symlink_to(entry)


@contextlib.contextmanager
def _open_library(path: pathlib.Path) -> Iterator[ctypes.CDLL]:
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
        if os.name == "posix":  # otherwise thousands of copies would stay loaded
            import _ctypes

            _ctypes.dlclose(library._handle)


def _loader() -> ModuleType:
    try:
        import espeakng_loader
    except ImportError as error:
        raise UserError(
            "sample people speak with espeak-ng, which is not installed; "
            "install the extra `sample`: pip install -e '.[sample]'"
        ) from error
    return espeakng_loader
