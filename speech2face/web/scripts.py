"""JavaScript of the web page: what Gradio's parts do not do by themselves."""

import json
from collections.abc import Sequence

from speech2face.web import texts
from speech2face.web.limits import Limits

BLOCK_SECS = 1.0  # of sound between two updates of a settling face

# On a phone the face is above the button that was tapped.
SCROLL_TO_FACE = """(...inputs) => {
  document.querySelector('.s2f-live').scrollIntoView({block: 'nearest'});
  return inputs; }"""

# For screen readers: results are announced when they change, and the two buttons named
# "Record" are told apart by the group they are in.
NAME_REGIONS = """() => {
  for (const place of document.querySelectorAll('.s2f-live'))
    place.setAttribute('aria-live', 'polite');
  document.querySelectorAll('.s2f-voice').forEach((place, index) => {
    place.setAttribute('role', 'group');
    place.setAttribute('aria-label', 'Voice ' + 'AB'[index]); });
}"""

# Gradio sends whole blocks only and drops the block in which the recording is stopped;
# and what it still sends at the stop comes after the end of the recording. So the first
# press of Stop waits until that block was sent and nothing is on its way any more; a
# second press stops at once.
_QUIET_MS, _PATIENCE_MS = 300, 30_000
_FINISH_SECOND = f"""() => {{
  const send = window.fetch;
  let sending = 0, lastSent = 0;
  window.fetch = async (...request) => {{
    const address = String(request[0]?.url ?? request[0]);
    if (!/[/](upload|queue[/]join)/.test(address)) return send(...request);
    sending += 1;
    try {{ return await send(...request); }}
    finally {{ sending -= 1; lastSent = performance.now(); }}
  }};
  document.addEventListener('click', (event) => {{
    const stop = event.target.closest('.s2f-microphone .stop-button');
    if (!stop || stop.hasAttribute('aria-busy')) return;
    event.stopImmediatePropagation();
    stop.setAttribute('aria-busy', 'true');
    const pressed = performance.now();
    const finish = () => {{
      const now = performance.now();
      const isSent = !sending && now - lastSent > {_QUIET_MS};
      if (isSent || now - pressed > {_PATIENCE_MS}) stop.click();
      else setTimeout(finish, 50);
    }};
    setTimeout(finish, {round(1500 * BLOCK_SECS)}); }}, true);
}}"""

# Gradio answers a file that it does not take with a red "Error". So the page looks at
# files first, chosen or dropped, and says below the input what is wrong.
_CHECK_FILES = """(maxBytes, endings, sentences) => {
  const isMedia = (file) => /^(audio|video)[/]/.test(file.type) ||
    endings.some((ending) => file.name.toLowerCase().endsWith(ending));
  const check = (event, input, files) => {
    const place = input.closest('.s2f-file');
    if (!place) return;
    place.querySelector('.s2f-refused')?.remove();
    const file = files[0];
    if (!file) return;
    const problem = !isMedia(file) ? sentences.kind :
      file.size > maxBytes ? sentences.size : '';
    if (!problem) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (input.value) input.value = '';
    const said = document.createElement('div');
    said.className = 's2f-refused s2f-error';
    said.setAttribute('role', 'alert');
    said.textContent = file.name + ': ' + problem;
    place.append(said);
  };
  document.addEventListener('change', (event) => {
    if (event.target.type === 'file') check(event, event.target, event.target.files);
  }, true);
  document.addEventListener('drop', (event) => {
    if (event.target.closest) check(event, event.target, event.dataTransfer.files);
  }, true);
  document.addEventListener('click', (event) => {
    // A face that was asked for otherwise has nothing to do with that file.
    if (event.target.closest?.('button'))
      document.querySelectorAll('.s2f-refused').forEach((said) => said.remove());
  }, true);
}"""


def on_load(limits: Limits, endings: Sequence[str]) -> str:
    """Returns what runs when the page is opened.

    Args:
      limits: largest size of a file.
      endings: endings of the names of files that the page takes although a browser may
        not know that they are audio or video.
    """
    sentences = {"kind": texts.OTHER_KIND, "size": texts.too_large(limits)}
    values = ", ".join(
        json.dumps(value) for value in (limits.max_bytes, list(endings), sentences)
    )
    calls = [
        f"({NAME_REGIONS})()",
        f"({_FINISH_SECOND})()",
        f"({_CHECK_FILES})({values})",
    ]
    return f"() => {{ {'; '.join(calls)}; }}"
