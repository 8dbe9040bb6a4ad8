"""What `run_command` prints and returns, flag files, and lists of files."""

import dataclasses
import os
import subprocess
import sys

import pytest
from absl import flags

from speech2face import flag_files
from speech2face import options as options_lib
from speech2face.config import DecoderTrainingConfig, VoiceTrainingConfig
from speech2face.options import Options, option, section
from speech2face.reconstruct import ReconstructOptions
from tests.helpers.paths import REPOSITORY

COMMAND = '''
import dataclasses
import logging
import subprocess
import sys
from typing import Literal, Tuple

import absl.logging
import numpy as np
from speech2face.errors import UserError
from speech2face.options import Options, option, required, run_command


@dataclasses.dataclass(frozen=True)
class CommandOptions(Options):
    """Options."""

    output_dir: str = required("Folder for the results.")
    outcome: str = option("good", "What should happen.")
    folder: str = option("", "A folder.", exists="folder")
    batch_size: int = option(8, "Examples.", minimum=1, maximum=64)
    widths: Tuple[int, ...] = option((1, 2), "Widths.", minimum=1, maximum=64)
    metric: Literal["cos", "l2"] = option("cos", "Distance.")


def main(options: CommandOptions) -> None:
    if options.outcome == "user":
        raise UserError("a.wav is\\nsilent", reason="silent")
    if options.outcome == "missing":
        open("/no/such/file")
    if options.outcome == "log":
        for library in (absl.logging, logging):
            library.info("saved in 12 ms")
            library.warning("no disk")
            library.warning("Using a while_loop for converting an op")
    if options.outcome == "warning":
        warning = "import warnings; warnings.warn('upgrade Python', FutureWarning)"
        exec(warning)
        subprocess.run([sys.executable, "-c", warning], check=True)
    if options.outcome == "bug":
        np.zeros(3) + np.zeros(4)  # a ValueError, but not a user's
    print("done")


if __name__ == "__main__":
    run_command(main, CommandOptions)
'''


def write_command(tmp_path):
    path = tmp_path / "command.py"
    path.write_text(COMMAND)
    return str(path)


def run(*command):
    environment = {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False
    )


def start(tmp_path, *arguments):
    command = write_command(tmp_path)
    return run(sys.executable, command, "--output_dir=out", *arguments)


def test_a_command_that_works(tmp_path):
    result = start(tmp_path)
    assert (result.returncode, result.stdout) == (0, "done\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--outcome=user"], "error: a.wav is silent\n"),
        (["--outcome=missing"], "error: /no/such/file: No such file or directory\n"),
        (
            ["--outcom=good"],
            "error: there is no flag --outcom; did you mean --outcome?\n",
        ),
        (["--log_dri=x"], "error: there is no flag --log_dri; see --help\n"),  # absl's
        (["--folder=/no/such"], "error: --folder=/no/such: no such file or folder\n"),
        (["good"], "error: unexpected argument 'good'; see --help\n"),
        (["--flagfile=/no.flags"], "error: --flagfile=/no.flags: no such file\n"),
        (["--flagfile", "/no.flags"], "error: --flagfile=/no.flags: no such file\n"),
        (["--flagfile"], "error: --flagfile=: no such file\n"),
        (["--batch_size=x"], "error: flag --batch_size=x: expected an integer\n"),
        (["--batch_size=1.5"], "error: flag --batch_size=1.5: expected an integer\n"),
        (
            [f"--output_dir={__file__}"],
            f"error: --output_dir={__file__} is a file; expected a folder\n",
        ),
        (
            ["--widths=64,many"],
            "error: --widths=64,many: expected a comma-separated list of int\n",
        ),
        (
            ["--batch_size=0"],
            "error: --batch_size=0: expected an integer from 1 to 64\n",
        ),
        (
            ["--widths=1,65"],
            "error: --widths=1,65: expected an integer from 1 to 64\n",
        ),
        (
            ["--metric=l3"],
            "error: flag --metric=l3: value should be one of <cos|l2>\n",
        ),
    ],
)
def test_what_a_user_can_get_wrong_is_one_line(tmp_path, arguments, message):
    result = start(tmp_path, *arguments)
    assert (result.returncode, result.stderr) == (1, message)


def test_information_of_libraries_is_shown_on_demand(tmp_path):
    quiet = start(tmp_path, "--outcome=log").stderr.splitlines()
    assert quiet == ["warning: no disk"] * 2
    all_lines = start(tmp_path, "--outcome=log", "--verbosity=0").stderr.splitlines()
    slow = "warning: Using a while_loop for converting an op"
    assert all_lines == ["saved in 12 ms", "warning: no disk", slow] * 2


def test_what_libraries_will_drop_is_not_the_users_to_read(tmp_path):
    assert start(tmp_path, "--outcome=warning").stderr == ""
    command = [write_command(tmp_path), "--output_dir=out", "--outcome=warning"]
    shown = run(sys.executable, "-W", "default", *command)
    assert shown.stderr.count("upgrade Python") == 2


def test_a_missing_option_is_named(tmp_path):
    command = write_command(tmp_path)
    result = run(sys.executable, command)
    assert (result.returncode, result.stderr) == (
        1,
        "error: --output_dir is required; see --help\n",
    )


def test_flag_files_of_the_package_are_found_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["train", "--flagfile=configs/ablation_3s.flags", "--epochs=2"]
    expanded = list(flag_files.with_flag_files(words))
    paper = (REPOSITORY / "configs" / "paper.flags").read_text().splitlines()
    of_paper = [line for line in paper if line[:2] == "--"]
    assert expanded[1 : 1 + len(of_paper)] == of_paper  # the file that it includes
    assert expanded[0] == "train" and expanded[-2:] == ["--clip_secs=3", "--epochs=2"]
    # The user's own file of that name comes first, and may include ours and itself.
    (tmp_path / "configs").mkdir()
    own = tmp_path / "configs" / "ablation_3s.flags"
    own.write_text("# ours\n--flagfile=configs/paper.flags\n--width=0.5\n")
    assert list(flag_files.with_flag_files(words))[1:] == [
        *of_paper,
        "--width=0.5",
        "--epochs=2",
    ]
    own.write_text("--flagfile=configs/ablation_3s.flags\n")
    assert list(flag_files.with_flag_files(words))[1:] == [
        "--flagfile=configs/ablation_3s.flags",  # absl names the circle
        "--epochs=2",
    ]
    for name in ("configs/gone.flags", "../setup.py"):
        with pytest.raises(FileNotFoundError, match=f"--flagfile={name}: no such file"):
            list(flag_files.with_flag_files(["train", "--flagfile", name]))


def test_a_name_with_a_comma_is_one_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("part 1, part 2.wav", "a.wav"):
        (tmp_path / name).write_bytes(b"")
    values = flags.FlagValues()
    options_lib.define_flags(ReconstructOptions, values)

    def audio(flag):
        values.unparse_flags()
        values(["reconstruct", flag, "--output_dir=out"])
        return options_lib.read_flags(ReconstructOptions, values)

    assert audio("--audio=part 1, part 2.wav").audio == ("part 1, part 2.wav",)
    both = audio('--audio="part 1, part 2.wav",a.wav')
    assert both.audio == ("part 1, part 2.wav", "a.wav")
    options_lib.check_paths(both)
    longer_than_a_path = ["a.wav"] * 5_000
    many = audio(f"--audio={','.join(longer_than_a_path)}").audio
    assert many == tuple(longer_than_a_path)
    with pytest.raises(FileNotFoundError, match="contains a comma in double quotes"):
        options_lib.check_paths(audio("--audio=part 1, part 2.wav,a.wav"))


def test_a_flag_file_that_is_not_text_is_named(tmp_path):
    path = tmp_path / "binary.flags"
    path.write_bytes(b"\xff\xfe\x00")
    result = start(tmp_path, f"--flagfile={path}")
    assert result.returncode == 1
    assert result.stderr.startswith("error: --flagfile is not a text file: ")
    assert result.stderr.count("\n") == 1


def test_output_that_nobody_reads_is_no_traceback(tmp_path):
    """As in `... --help | head -1`; and a full disk is one line."""
    command = [sys.executable, str(write_command(tmp_path)), "--help"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
    with open("/dev/full", "wb") as full:  # noqa: PTH123 a device
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_names_that_are_not_unicode_can_be_printed(tmp_path):
    """A Latin-1 name on a terminal of UTF-8, as from an old archive."""
    script = (
        "import sys\n"
        "from speech2face import options\n"
        "options.run_command(lambda: print(sys.argv[0], 'stimme_\\udcfc.wav'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=True,
    )
    assert "stimme_\\udcfc.wav" in done.stdout


def test_a_bug_keeps_its_traceback(tmp_path):
    result = start(tmp_path, "--outcome=bug")
    assert result.returncode == 2
    assert "Traceback" in result.stderr
    assert "ValueError: operands could not be broadcast" in result.stderr


def test_paths_in_sections_are_checked(tmp_path):
    """The trainings' options stand in sections of their configs."""
    for config_type in (VoiceTrainingConfig, DecoderTrainingConfig):
        options_lib.check_paths(config_type())

    @dataclasses.dataclass(frozen=True)
    class Section(Options):
        path: str = option("", "A path.", exists="file")

    @dataclasses.dataclass(frozen=True)
    class Config(Options):
        part: Section = section(Section)

    options_lib.check_paths(Config())
    with pytest.raises(FileNotFoundError, match=r"--path=.*gone"):
        options_lib.check_paths(Config(Section(str(tmp_path / "gone"))))
