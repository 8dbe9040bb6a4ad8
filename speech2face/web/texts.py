"""The words of the web page, but for those inside results (`templates`)."""

from speech2face.web.limits import Limits

TITLE = "Speech2Face"

INTRODUCTION = """# Speech2Face

Speak for about six seconds and watch which face a neural network expects for a voice
like yours.
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
into a frontal, neutral face. From videos of people who speak, the model has learned
which faces go with which voices *on average*.

### What it is not

- **Not a portrait.** The face is an average of many faces; details such as hair,
  glasses, beard or expression are invented.
- **Not identification.** It cannot find or recognize a person. Do not use it for
  profiling, hiring, insurance, law enforcement or border decisions, or on minors.
- **Not unbiased.** It repeats the imbalances of its training data. Origin, health or
  character cannot be read from a voice.

MODEL_CARD.md in the source repository says what the included model was trained on and
how accurate it is.

### What happens to a recording

When you press Stop, the recording ends 1.5 s later, so that the current second is
complete; press Stop twice to end it at once. The sound stays in memory until you close
the page, for half an hour at most; it is never written to a file. Nothing is logged,
stored or sent to another computer, and this page loads nothing from the internet. A
random cookie, which ends with the browser, keeps your recordings apart from those of
other visitors.

### Reading the page

- **3 seconds or 6?** The face settles with longer recordings (Fig. 6 of the paper).
- **Exaggeration** amplifies the difference between this face and the average face. At 0
  you see what the model predicts; above 0 you see a caricature of it.
- **Spectrogram**: the sound, with time to the right and frequency upwards; brighter is
  louder.
"""

EXAGGERATION = "Exaggeration"
EXAGGERATION_INFO = "0 shows what the model predicts; more shows a caricature of it."
WAITING = "Record a voice, choose a file, or try an example: the face appears here."
LISTENING = (
    "Listening: speak now. If nothing happens, allow the browser to use the "
    "microphone, or choose a file."
)
WAITING_FOR_TWO = (
    "Record or choose two voices, A and B: their faces appear here side by side."
)
EXAMPLES = "Or try an example. These voices are synthesized; they belong to nobody."

# Reason of a `UserError` -> what a person can do about it.
HINTS = {
    "silent": "Is the microphone muted, or is another one selected? Try once more.",
    "too_short": "Speak for a few seconds; six are best.",
    "no_sound": "Speak for a few seconds; six are best.",
    "no_audio_track": "Choose a video with sound.",
    "unreadable": "Choose an audio or video file that plays on your computer.",
}
OTHER_HINT = "Try another recording."

# What is refused.
OTHER_KIND = "This is not an audio or video file; choose one that is."
BUSY = "Many people are using this page at the moment; try again in a minute."
TOO_MANY_EVENTS = "You have asked for many faces at once; wait until they are shown."
TOO_MANY_FROM_ADDRESS = (
    "Your network has asked for many faces at once; wait until they are shown."
)
TOO_MANY_UPLOADS = "You have sent many recordings at once; wait until they were used."
TOO_MANY_REQUESTS = "You have this page open many times; close some of them."
TOO_SLOW = "The request took too long to arrive; try again."
UPLOAD_IS_GONE = "The recording was used already or is too old; choose it again"
OTHER_HOST = (
    "This page is not served under this name. Whoever runs it can allow the name with "
    "--public_hosts."
)
OTHER_SITE = "This page does not answer to other sites."
NOT_HERE = "There is nothing here."


def too_large(limits: Limits) -> str:
    """Returns the message about a file that is too large."""
    return f"The file is too large: up to {limits.max_mb} MB can be used."


def accepted_files(limits: Limits) -> str:
    """Returns how large a file may be and how much of it is used."""
    return (
        f"Files of up to {limits.max_mb} MB; their first {limits.max_secs:g} seconds "
        "are used."
    )
