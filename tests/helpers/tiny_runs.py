"""Run folders with a log, for the experiments that compare runs."""

import json

from speech2face.json_codec import to_json
from tests.helpers.tiny_models import make_model, tiny_config

LOG = [
    ("train", 2, 5.0),
    ("validation", 2, 6.0),
    ("train", 4, 3.0),
    ("validation", 4, 4.0),
    ("train", 6, 2.0),
    ("validation", 6, 4.5),
]


def write_run(folder, config=None, log=LOG):
    """A bundle with a log is what a run folder is for the experiments."""
    make_model().save(folder)
    (folder / "config.json").write_text(to_json(config or tiny_config()))
    write_log(folder, log)
    return str(folder)


def write_log(folder, log=LOG):
    """Writes the log of a training."""
    (folder / "summaries").mkdir()
    lines = [json.dumps({"kind": k, "step": s, "total": t}) for k, s, t in log]
    (folder / "summaries/log.jsonl").write_text("\n".join(lines) + "\n")
