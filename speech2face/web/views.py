"""What the web page shows, as HTML with its pictures and sounds inside.

Nothing is written to a file: pictures are PNG and sounds WAV in `data:` addresses.
"""

import base64
import html
import io
from typing import Sequence

import numpy as np
import soundfile
from PIL import Image

from speech2face import audio, cartoon, files, search
from speech2face.inference import Result, Speech2Face
from speech2face.reconstruction import LABEL
from speech2face.web import spectrograms, voices
from speech2face.web.voices import Listener, Voice

STYLE = """
.gradio-container { max-width: 60rem !important; margin: 0 auto !important; }
@media (max-width: 480px) {
  .gradio-container .main { padding: 1rem .6rem !important; }
  .gradio-container .s2f-waiting { min-height: 24rem; }
}
.gradio-container .html-container { padding: 0; }
input[type=range]:focus-visible { outline: 2px solid #6366f1; outline-offset: 6px; }
.s2f-live { scroll-margin: .5rem; }
.s2f-microphone [aria-busy] { opacity: .5; }
button[role=tab][aria-selected=true] { color: #4338ca; }
.dark button[role=tab][aria-selected=true] { color: #c7d2fe; }
.s2f-note { border-left: 4px solid #b45309; background: #fffbeb; color: #422006;
  padding: .7rem 1rem; border-radius: 4px; }
.s2f-note strong { color: inherit; }
.s2f-error { border-left: 4px solid #b91c1c; background: #fef2f2; color: #450a0a;
  padding: .7rem 1rem; border-radius: 4px; }
.s2f-faces { display: grid; gap: 1rem; margin-bottom: .6rem;
  grid-template-columns: repeat(2, minmax(0, 1fr)); }
@media (max-width: 480px) { .s2f-faces figure:only-child { grid-column: span 2; } }
.s2f-faces figure, .s2f-wide { margin: 0; }
.s2f-faces img { width: 100%; aspect-ratio: 1; border-radius: 10px; background: #fff; }
.s2f-wide img { width: 100%; border-radius: 4px; }
.s2f-faces figcaption, .s2f-wide figcaption { font-size: .9rem; line-height: 1.35;
  margin-top: .35rem; }
.s2f-waiting { min-height: 14rem; display: grid; place-items: center;
  border: 1px dashed #9ca3af; border-radius: 10px; text-align: center; padding: 1rem; }
.s2f h3 { margin: 1.4rem 0 .5rem; } .s2f p { margin: .5rem 0; }
.s2f audio { width: 100%; max-width: 26rem; margin-bottom: .5rem; }
"""

_CARTOON_PX = 336


def waiting(text: str) -> str:
    """Returns the place where a face will be."""
    return _section(f'<div class="s2f-waiting"><p>{html.escape(text)}</p></div>')


def error(reason: Exception) -> str:
    """Returns what went wrong and what to do."""
    text = html.escape(str(reason).rstrip(".") + ".")
    return _section(
        f'<div class="s2f-error" role="alert"><strong>{text}</strong><br>'
        f"{html.escape(voices.hint(reason))}</div>"
    )


def settling(listener: Listener, exaggeration: float) -> str:
    """Returns the face of what was heard, while there is more to come."""
    face, secs = listener.face(exaggeration), listener.secs
    if face is None:
        return waiting(f"Listening: {secs:.0f} s, no voice yet.")
    more = "that is all that is used." if listener.is_full else "the face settles."
    text = f"{secs:.0f} s heard; {more}" + _amount(exaggeration)
    return _section(_faces([_face(face.image, "The face so far", text)]))


def heard(voice: Voice) -> str:
    """Returns that a voice was heard."""
    return f"<p>Heard: {html.escape(voice.name)}, {voice.secs:.1f} s.</p>"


def whole(model: Speech2Face, voice: Voice, exaggeration: float) -> str:
    """Returns everything about one voice."""
    features = [voice.feature, voice.short_feature, voice.long_feature]
    face, short, long = model.faces(np.stack(features), exaggeration)
    text = f"From all {voice.secs:.1f} s: a {LABEL}."
    if voice.is_cut:
        text += " What came later was not used."
    parts = [
        _faces(
            [
                _face(
                    face.image, "The face from the voice", text + _amount(exaggeration)
                ),
                _face(_cartoon(face), "Its cartoon", "The same face as a cartoon."),
            ]
        ),
        "<h3>3 seconds or 6?</h3>",
        _faces(
            [
                _face(short.image, "The face from 3 s", _duration(voice, 3.0)),
                _face(long.image, "The face from 6 s", _duration(voice, 6.0)),
            ]
        ),
        f"<p>The two are {_degrees(features[1], features[2])} apart in the model's "
        "space of faces: 0° is the same face.</p>",
        "<h3>What the model heard</h3>",
        _sound(voice),
    ]
    return _section("".join(parts))


def comparison(
    model: Speech2Face, first: Voice, second: Voice, exaggeration: float
) -> str:
    """Returns two voices side by side, and how far apart they are."""
    both = (first, second)
    faces = model.faces(np.stack([v.feature for v in both]), exaggeration)
    figures = [
        _face(
            face.image,
            f"The face from voice {name}",
            f"Voice {name}, {voice.secs:.1f} s: a {LABEL}." + _amount(exaggeration),
        )
        for name, voice, face in zip("AB", both, faces)
    ]
    cartoons = [
        _face(_cartoon(face), f"Cartoon of voice {name}", f"Cartoon of {name}.")
        for name, face in zip("AB", faces)
    ]
    angle = _degrees(first.feature, second.feature)
    return _section(
        _faces(figures)
        + f"<p><strong>The two voices are {angle} apart</strong> in the model's space "
        "of faces: 0° is the same face, and the more, the less alike. Two recordings "
        "of one person are not at 0° either.</p>"
        + _faces(cartoons)
        + "".join(f"<h3>Voice {n}</h3>{_sound(v)}" for n, v in zip("AB", both))
    )


def _section(content: str) -> str:
    return f'<div class="s2f">{content}</div>'


def _faces(figures: Sequence[str]) -> str:
    return f'<div class="s2f-faces">{"".join(figures)}</div>'


def _face(image: Image.Image, alt: str, caption: str) -> str:
    return (
        f'<figure><img alt="{html.escape(alt)}: a {LABEL}" src="{_png(image, LABEL)}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _sound(voice: Voice) -> str:
    picture = Image.fromarray(spectrograms.draw(voice.waveform))
    return (
        f'<audio controls aria-label="Play {html.escape(voice.name)}" '
        f'src="{_wav(voice.waveform)}"></audio><figure class="s2f-wide">'
        f'<img alt="Spectrogram: {voice.secs:.1f} s, 0 to 8 kHz" '
        f'src="{_png(picture)}"><figcaption>Spectrogram: time to the right, '
        "frequency upwards; brighter is louder.</figcaption></figure>"
    )


def _cartoon(face: Result) -> Image.Image:
    drawn = Image.fromarray(cartoon.cartoonize(np.asarray(face.image)))
    return drawn.resize((_CARTOON_PX, _CARTOON_PX), Image.Resampling.LANCZOS)


def _duration(voice: Voice, secs: float) -> str:
    if voice.secs < secs:
        return f"From {secs:.0f} s: the {voice.secs:.1f} s there are, repeated."
    return f"From the first {secs:.0f} s."


def _amount(exaggeration: float) -> str:
    if not exaggeration:
        return ""
    return f" Exaggerated by {exaggeration:g}: not what the model predicts."


def _degrees(a: np.ndarray, b: np.ndarray) -> str:
    cosine = float(np.sum(search.unit(a[np.newaxis]) * search.unit(b[np.newaxis])))
    return f"{np.degrees(np.arccos(np.clip(cosine, -1, 1))):.0f}°"


def _png(image: Image.Image, description: str = "") -> str:
    content = files.encode_png(np.asarray(image), description)
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def _wav(waveform: np.ndarray) -> str:
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, audio.SAMPLE_RATE_HZ, format="wav")
    return f"data:audio/wav;base64,{base64.b64encode(buffer.getvalue()).decode()}"
