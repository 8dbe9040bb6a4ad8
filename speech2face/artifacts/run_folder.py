"""The run folder: what a training writes and resumes from.

    config.json      the training's config (VoiceTrainingConfig, DecoderTrainingConfig)
    run.json         data set, its checksum and the times of its shards; of each start
                     flags, versions, commit, hardware
    checkpoints/     see `speech2face.artifacts.checkpoints`
    summaries/       TensorBoard events, `log.jsonl`, and the newest sample faces
    decoder/         voice runs: the face decoder it was trained against

Nothing here imports TensorFlow, so that a command can check a folder at once.
"""

import dataclasses
import json
import pathlib
from typing import Any

from speech2face import files, locks
from speech2face.artifacts import environment
from speech2face.config import VoiceTrainingConfig
from speech2face.data import dataset_info
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.json_codec import read_json, to_json
from speech2face.options import diff

CONFIG_FILE = "config.json"
# A section that only the config of one training has, and its command.
_COMMANDS = {
    "face_decoder": "speech2face.train_face_decoder",
    "voice_encoder": "speech2face.train",
}
RUN_FILE = "run.json"
SUMMARY_DIR = "summaries"


def prepare_run(
    run_dir: PathLike, config: Any, data_dir: PathLike, must_match: dict[str, Any]
) -> None:
    """Creates a run folder, or checks that an existing one is the same run.

    Args:
      run_dir: the folder.
      config: the training config; only `changeable` options may differ (see
        `speech2face.options.option`).
      data_dir: its data set, which later commands find in `run.json`.
      must_match: values that must be equal to resume, such as the data set checksum.

    Raises:
      UserError: the folder belongs to another run, or its data have changed.
    """
    run_dir = files.as_path(run_dir)
    if is_started(run_dir, config, must_match):
        content = _read_run_file(run_dir)
        files.sweep(run_dir, is_ours=True)
        for name in (SUMMARY_DIR, "checkpoints", "not_finite"):
            files.sweep_tree(run_dir / name)
        if not config.loop.skip_corrupt:
            _check_same_data(run_dir, data_dir, content)
    else:
        run_dir.mkdir(parents=True, exist_ok=True)
        content = {"must_match": must_match}
    # The newest place: data sets are moved, and later commands read this one.
    content["data_dir"] = str(files.as_path(data_dir).resolve())
    if (files.as_path(data_dir) / dataset_info.DATASET_FILE).is_file():
        info = dataset_info.read(data_dir, check_sizes=False)
        content["shards"] = dataset_info.file_states(data_dir, info)
    content["starts"] = [*content.get("starts", []), environment.describe()]
    text = json.dumps(content, indent=2) + "\n"
    files.write_atomically(run_dir / RUN_FILE, text.encode(), is_ours=True)
    # Last: with it, the folder is a run that can be resumed.
    config_text = to_json(config).encode()
    files.write_atomically(run_dir / CONFIG_FILE, config_text, is_ours=True)


def is_started(run_dir: PathLike, config: Any, must_match: dict[str, Any]) -> bool:
    """Returns whether `run_dir` holds this run already; changes nothing.

    Args:
      run_dir: the folder; it need not exist.
      config: see `prepare_run`.
      must_match: see `prepare_run`.

    Raises:
      UserError: the folder belongs to another run, or holds other files.
    """
    run_dir = files.as_path(run_dir)
    # A folder without config.json was abandoned before its first iteration.
    if (run_dir / CONFIG_FILE).is_file():
        _check_same_run(run_dir, config, must_match)
        return True
    other = _other_file(run_dir)
    if other:
        raise UserError(
            f"{run_dir} is not empty and not a run folder: it has {other}; choose "
            "another --run_dir",
            reason="foreign_files",
        )
    return False


def data_dir_of(run_dir: PathLike) -> str:
    """Returns the data set with which a run was last started.

    Raises:
      FileNotFoundError: `run_dir` is not a run folder, or its data set has moved.
      UserError: its `run.json` is damaged.
    """
    data_dir = _read_run_file(run_dir)["data_dir"]
    if not (files.as_path(data_dir) / dataset_info.DATASET_FILE).is_file():
        raise FileNotFoundError(
            f"{run_dir} was last trained on {data_dir}, where no data set is now; give "
            "its new place as --data_dir"
        )
    return data_dir


def must_match_of(run_dir: PathLike) -> dict[str, Any]:
    """Returns the values that must be the same to resume a run: see `prepare_run`.

    Raises:
      FileNotFoundError: `run_dir` is not a run folder.
      UserError: its `run.json` is damaged.
    """
    return _read_run_file(run_dir)["must_match"]


def read_config(run_dir: PathLike, config_type: type) -> Any:
    """Returns the config of a run folder or of a bundle.

    Raises:
      FileNotFoundError: `run_dir` is neither.
      UserError: its config is of another kind or version.
    """
    path = files.as_path(run_dir) / CONFIG_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{run_dir} is not a run folder or a bundle (no {CONFIG_FILE})"
        )
    expected = {field.name for field in dataclasses.fields(config_type)}
    (right,) = (command for name, command in _COMMANDS.items() if name in expected)
    for section, command in _COMMANDS.items():
        if command != right and section in read_json(path, dict[str, Any]):
            raise UserError(
                f"{run_dir} is a run of {command}; expected one of {right}",
                reason="other_network",
            )
    return read_json(path, config_type)


def is_decoder_run(run_dir: PathLike) -> bool:
    """Returns whether a folder is a run of the face decoder, by its config.

    Raises:
      UserError: its config is damaged.
    """
    path = files.as_path(run_dir) / CONFIG_FILE
    return path.is_file() and "face_decoder" in read_json(path, dict[str, Any])


def check_model_folder(folder: PathLike) -> None:
    """Checks that a folder is a bundle or a voice run, without loading the model.

    Args:
      folder: '' stands for the bundle that ships.

    Raises:
      FileNotFoundError: `folder` is neither.
      UserError: its config is of another kind or version.
    """
    if folder:
        read_config(folder, VoiceTrainingConfig)


def _read_run_file(run_dir: PathLike) -> dict[str, Any]:
    path = files.as_path(run_dir) / RUN_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{run_dir} is not a run folder (no {RUN_FILE})")
    content = read_json(path, dict[str, Any])
    kinds = {"data_dir": str, "must_match": dict}
    if not all(isinstance(content.get(name), kind) for name, kind in kinds.items()):
        raise UserError(f"{path} is damaged: expected data_dir and must_match")
    return content


def _other_file(folder: pathlib.Path) -> str | None:
    """Returns the name of a file that is not of a run that was just begun, or None."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if RUN_FILE in names:
        _read_run_file(folder)  # one of ours?
    ours = (RUN_FILE, locks.LOCK_FILE)
    return next((n for n in names if n not in ours and not n.endswith(".tmp")), None)


def _check_same_run(
    run_dir: pathlib.Path, config: Any, must_match: dict[str, Any]
) -> None:
    saved = read_config(run_dir, type(config))
    changes = diff(_without_changeable(saved), _without_changeable(config))
    if saved != config and not changes:
        print(f"resuming with other options: {diff(saved, config)}", flush=True)
    if changes:
        raise UserError(
            f"{run_dir} is a run with other options ({changes}); give the same flags "
            "to resume it or another --run_dir",
            reason="another_run",
        )
    saved_values = _read_run_file(run_dir)["must_match"]
    for name, value in must_match.items():
        if saved_values.get(name) != value:
            raise UserError(
                f"{run_dir} was started with another {name.replace('_', ' ')}; give "
                "the same one to resume it or another --run_dir",
                reason="another_run",
            )


def _check_same_data(
    run_dir: pathlib.Path, data_dir: PathLike, content: dict[str, Any]
) -> None:
    """Raises UserError if a shard has other content than when the run was started.

    Reading all shards would take an hour at the paper's size. So only those are read
    whose size or time has changed: after a move or a copy, all of them, once.
    """
    known = content.get("shards")
    if not isinstance(known, dict):  # the data set had no dataset.json then
        return
    try:
        info = dataset_info.read(data_dir, check_sizes=False)
        dataset_info.check_content(data_dir, info, known)
    except UserError as error:
        raise UserError(
            f"{run_dir} cannot be resumed on changed data: {error}",
            reason="changed_data",
        ) from None


def _without_changeable(config: Any) -> Any:
    """Returns `config` with the default of every option that may change in a run."""
    values = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            values[field.name] = _without_changeable(value)
        elif field.metadata.get("changeable"):
            values[field.name] = field.default
    return dataclasses.replace(config, **values)
