"""docs/training.md: its commands parse, its YAML is valid, its TF_CONFIGs name all."""

import json
import os
import re
import shlex
import subprocess

import pytest
from absl import flags

from speech2face import train, train_face_decoder
from speech2face.config import (
    DecoderTrainingConfig,
    VoiceTrainingConfig,
)
from speech2face.options import define_flags, read_flags
from speech2face.train import TrainPaths
from tests.helpers.paths import REPOSITORY

yaml = pytest.importorskip("yaml")

GUIDE = (REPOSITORY / "docs/training.md").read_text()
N_WORKERS = 2


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, flags=re.DOTALL)


def documents():
    return [one for block in blocks("yaml") for one in yaml.safe_load_all(block)]


def containers():
    """The container of the TFJob, and that of the plain pods."""
    _, job = (d for d in documents() if d["kind"] in ("Service", "Job"))
    (operated,) = (d for d in documents() if d["kind"] == "TFJob")
    workers = operated["spec"]["tfReplicaSpecs"]["Worker"]
    specs = [workers["template"]["spec"], job["spec"]["template"]["spec"]]
    return [container for spec in specs for container in spec["containers"]]


def options_of(arguments):
    """The config that the flags of `speech2face.train` describe."""
    values = flags.FlagValues()
    flags.DEFINE_string("flagfile", "", "", flag_values=values)
    for config_type in (TrainPaths, VoiceTrainingConfig):
        define_flags(config_type, values)
    values(values.read_flags_from_files(["train", *arguments]))
    return read_flags(VoiceTrainingConfig, values)


def commands(shell_script):
    """The arguments of each `python -m speech2face.train` of a script."""
    text = shell_script.replace("\\\n", " ").replace("'", "")
    for line in text.splitlines():
        found = re.search(r"python -m speech2face\.train (.*)", line)
        if found:
            yield shlex.split(found[1])


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


def test_every_command_is_one_of_train():
    scripts = [*blocks("sh"), *blocks("shell"), containers()[1]["command"][2]]
    parsed = [options_of(a) for script in scripts for a in commands(script)]
    assert len(parsed) == 8
    strategies = [options.loop.strategy for options in parsed]
    assert set(strategies) == {"none", "mirrored", "multi_worker", "tpu"}
    operated = containers()[0]["command"]
    assert operated[:3] == ["python", "-m", "speech2face.train"]
    assert options_of(operated[3:]).loop.strategy == "multi_worker"


def test_every_flag_that_the_text_names_exists():
    known = set()
    for config_type in (TrainPaths, VoiceTrainingConfig):
        values = flags.FlagValues()
        define_flags(config_type, values)
        known |= set(values)
    prose = re.sub(r"```.*?```", "", GUIDE, flags=re.DOTALL)
    prose = re.sub(r"`(docker|srun|apptainer)\s[^`]*`", "", prose)  # have flags, too
    named = set(re.findall(r"--(\w+)", prose)) - {"time", "logdir"}
    assert named <= known and len(named) > 10


def run_as_worker(script, tmp_path, **environment):
    """Runs a shell script with a `python` that says what its TF_CONFIG is."""
    programs = {
        "python": 'echo "$TF_CONFIG"',
        "scontrol": "printf 'train-0\\ntrain-1\\n'",
        "srun": 'while [[ "$1" == -* ]]; do shift; done; exec "$@"',
    }
    for name, body in programs.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)
    environment["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], env=environment, check=True, capture_output=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("index", range(N_WORKERS))
def test_slurm_tells_every_worker_who_it_is(index, tmp_path):
    environment = {"SLURM_JOB_NODELIST": "train-[0-1]", "SLURM_PROCID": str(index)}
    (script,) = blocks("shell")
    assert run_as_worker(script, tmp_path, **environment) == {
        "cluster": {"worker": ["train-0:2222", "train-1:2222"]},
        "task": {"type": "worker", "index": index},
    }


@pytest.mark.parametrize("index", range(N_WORKERS))
def test_plain_pods_tell_every_worker_who_it_is(index, tmp_path):
    service, job = (d for d in documents() if d["kind"] in ("Service", "Job"))
    pod = job["spec"]["template"]["spec"]
    name, domain = job["metadata"]["name"], service["metadata"]["name"]
    assert pod["subdomain"] == domain
    assert service["spec"]["selector"] == {"job-name": name}
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == N_WORKERS
    environment = {"JOB_COMPLETION_INDEX": str(index)}  # Kubernetes sets it
    script = containers()[1]["command"][2]
    assert run_as_worker(script, tmp_path, **environment) == {
        "cluster": {"worker": [f"{name}-{n}.{domain}:2222" for n in range(N_WORKERS)]},
        "task": {"type": "worker", "index": index},
    }


def test_the_operator_finds_its_container():
    assert containers()[0]["name"] == "tensorflow"  # the name that TFJob looks for


def test_training_takes_onednns_kernels_unless_told_otherwise(tmp_path, monkeypatch):
    paths = {"data_dir": str(tmp_path / "no data"), "run_dir": str(tmp_path / "run")}
    decoder = {"decoder_dir": str(tmp_path / "no decoder")}
    calls = [
        (train.main, TrainPaths(**paths, **decoder), VoiceTrainingConfig()),
        (
            train_face_decoder.main,
            train_face_decoder.DecoderPaths(**paths),
            DecoderTrainingConfig(),
        ),
    ]
    for main, *arguments in calls:
        for chosen, expected in ((None, "1"), ("0", "0")):
            monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", chosen or "")
            if chosen is None:
                monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
            with pytest.raises(FileNotFoundError):
                main(*arguments)
            assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == expected


def test_what_the_dockerfile_copies_is_not_ignored():
    """A builder hides from COPY what `.dockerignore` names; this once hid `configs`."""
    rules = (REPOSITORY / ".dockerignore").read_text().split()
    copies = re.findall(
        r"^COPY (.+) \S+$", (REPOSITORY / "Dockerfile").read_text(), re.M
    )
    sources = {source for line in copies for source in line.split()}
    assert rules[0] == "*"
    assert sources == {rule[1:] for rule in rules if rule.startswith("!")}
    assert all((REPOSITORY / source).exists() for source in sources)
