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
# and a block that it sends late comes after the end of the recording. A block is sent
# in two requests: the sound, whose answer is a key, and an event that names the key. So
# the first press of Stop waits until events have named all blocks up to the press.
# Those that follow may still be on their way. A second press stops at once.
_PATIENCE_MS = 30_000
_FINISH_SECOND = f"""() => {{
  const now = () => performance.now();
  let resumed = 0, recordedMs = 0;
  let blocks = [];  // in their order {{ms: of sound, key, named: by an event}}
  const soundMs = async (wav) => {{
    if (wav.size <= 44) return 0;  // a header
    const header = new DataView(await wav.slice(0, 44).arrayBuffer());
    return (wav.size - 44) / header.getUint32(28, true) * 1e3;  // bytes a second
  }};
  const namedMs = () => {{  // of the sound before the first block that no event names
    const missing = blocks.findIndex((block) => !block.named);
    const named = missing < 0 ? blocks : blocks.slice(0, missing);
    return named.reduce((sum, block) => sum + block.ms, 0);
  }};
  const send = window.fetch;
  const upload = async (files, request) => {{
    const sent = files.map(() => ({{named: false}}));
    blocks.push(...sent);
    const answer = await send(...request);
    const keys = answer.ok ? await answer.clone().json() : [];
    for (const [index, block] of sent.entries()) {{
      block.ms = await soundMs(files[index]);
      // The name behind the key's "/" may be written otherwise in an event.
      block.key = keys[index]?.split('/')[0];
      block.named = !block.key;  // refused: no event will name it
    }}
    return answer;
  }};
  window.fetch = async (...request) => {{
    const address = String(request[0]?.url ?? request[0]), body = request[1]?.body;
    if (/[/]upload/.test(address) && body?.getAll)
      return upload(body.getAll('files'), request);
    const answer = await send(...request);
    if (/[/]queue[/]join/.test(address))
      for (const block of blocks)
        block.named ||= block.key && String(body).includes(block.key);
    return answer;
  }};
  const devices = navigator.mediaDevices, open = devices?.getUserMedia;
  if (open) devices.getUserMedia = async (wanted) => {{
    const stream = await open.call(devices, wanted);  // once the visitor has agreed
    resumed = now(); recordedMs = 0; blocks = [];
    return stream;
  }};
  document.addEventListener('click', (event) => {{
    const button = event.target.closest?.('.s2f-microphone button');
    if (button?.matches('.pause-button')) recordedMs += now() - resumed;
    if (button?.matches('.resume-button')) resumed = now();
    if (!button?.matches('.stop-button') || button.hasAttribute('aria-busy')) return;
    event.stopImmediatePropagation();
    button.setAttribute('aria-busy', 'true');
    const pressed = now();
    recordedMs += pressed - resumed;
    const finish = () => {{
      if (namedMs() >= recordedMs || now() - pressed > {_PATIENCE_MS}) {{
        button.click();
        button.removeAttribute('aria-busy');
      }} else setTimeout(finish, 50);
    }};
    finish(); }}, true);
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
