"""The words of the web page."""

from speech2face.web.voices import Limits

TITLE = "Speech2Face"
BLOCK_SECS = 1.0  # of sound, between two pictures of a face that settles

INTRODUCTION = """# Speech2Face

Speak for about six seconds and watch the face that a neural network expects to go with
a voice like yours.
"""

NOTE = """<aside class="s2f-note" aria-label="What this is and what it is not">
<strong>This is a synthetic average face for a kind of voice. It is not the
speaker.</strong> It cannot identify anybody. Do not judge a person by it, and do not
use the voice of somebody who has not agreed. Your recording is used on the computer
that serves this page, kept in memory only, and sent nowhere.</aside>"""

ABOUT = """
### What it is

An implementation of *Speech2Face: Learning the Face Behind a Voice* (Oh et al., CVPR
2019). A voice encoder turns sound into a face feature; a face decoder turns the feature
into a frontal, neutral face. The model has learned which faces go with which voices
*on average*, from videos of people who speak.

### What it is not

- **Not a portrait.** The face is an average of many; details such as hair, glasses,
  beard or expression are invented.
- **Not identification.** It cannot find or recognise a person. Its use for profiling,
  hiring, insurance, law enforcement or border decisions is out of scope, and so is any
  use on minors.
- **Not even-handed.** It repeats the imbalances of its training data. What a voice does
  not give away (origin, health, character) cannot be read from it.

MODEL_CARD.md, beside the source, says what the model that ships was trained on and how
well it does.

### What happens to a recording

Stop ends a recording with the second that has begun, 1.5 s later; pressed twice, at
once. The temporary file of a recording is deleted as soon as it is read, before the
face is shown, and one that came when recording was over already within two minutes. The
sound stays in memory while the page is open, at most half an hour. Nothing is logged,
stored or sent to another computer, and this page loads nothing from the internet.

### Reading the page

- **3 seconds or 6?** Longer recordings settle the face (Fig. 6 of the paper).
- **Exaggeration** amplifies what sets the face apart from the average face. At 0 you
  see what the model predicts; above 0 you see a caricature of it.
- **Spectrogram**: the sound, time to the right and frequency upwards; brighter is
  louder.
"""

EXAGGERATION = "Exaggeration"
EXAGGERATION_INFO = "0 is what the model predicts; more is a caricature of it."
WAITING = "Record a voice, choose a file, or try an example: the face appears here."
LISTENING = (
    "Listening: speak now. If nothing happens, let the browser use the microphone, or "
    "choose a file."
)
WAITING_FOR_TWO = "Give two voices, A and B: their faces appear here side by side."
EXAMPLES = "Or try an example. These voices are generated: nobody speaks."

# On a phone the face is above what was tapped.
SHOW_FACE = """(...inputs) => {
  document.querySelector('.s2f-live').scrollIntoView({block: 'nearest'});
  return inputs; }"""

# For screen readers: what changes by itself is read out, and of two buttons with one
# name it is said whose they are.
NAMES = """() => {
  for (const place of document.querySelectorAll('.s2f-live'))
    place.setAttribute('aria-live', 'polite');
  document.querySelectorAll('.s2f-voice').forEach((place, index) => {
    place.setAttribute('role', 'group');
    place.setAttribute('aria-label', 'Voice ' + 'AB'[index]); });
}"""

# Gradio sends whole blocks and forgets the one in which recording is stopped. So Stop
# waits until that one has gone, too; pressed again, it does not.
ON_LOAD = f"""() => {{
  ({NAMES})();
  document.addEventListener('click', (event) => {{
    const stop = event.target.closest('.s2f-microphone .stop-button');
    if (!stop || stop.hasAttribute('aria-busy')) return;
    event.stopImmediatePropagation();
    stop.setAttribute('aria-busy', 'true');
    setTimeout(() => stop.click(), {round(1500 * BLOCK_SECS)}); }}, true);
}}"""


def limits(taken: Limits) -> str:
    """Returns what the page takes."""
    return (
        f"Files of up to {taken.max_mb} MB; their first {taken.max_secs:g} seconds are "
        "used."
    )
