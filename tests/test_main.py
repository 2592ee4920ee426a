import re
import time

import pytest
from conftest import CHECKOUT, SCRIPTS, run_python

import audionet
from audionet.__main__ import COMMANDS, main


def test_help_lists_every_command_with_what_it_does(capsys):
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for command in COMMANDS:
        (line,) = [line for line in lines if line.startswith(f"  {command} ")]
        assert line.endswith(".") and len(line) < 120
    assert main([]) == 0
    assert capsys.readouterr().out.splitlines() == lines


def test_help_is_quick():
    started = time.monotonic()
    done = run_python("-X", "importtime", "-m", "audionet", "--help")
    assert time.monotonic() - started < 5
    assert done.returncode == 0
    assert not any(f" {name}\n" in done.stderr for name in ("numpy", "tyro"))


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"audionet {audionet.__version__}\n"


def test_an_unknown_command_ends_with_status_2_and_a_sentence(capsys):
    assert main(["trian"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("Error: audionet has no command 'trian'. Expected one of demo, data, train,")


def test_a_command_does_what_its_script_does():
    of_command = run_python("-m", "audionet", "recipes", "default")
    of_script = run_python(SCRIPTS / "recipes.py", "default")
    assert of_command.returncode == 0 and of_command.stdout == of_script.stdout != ""


@pytest.mark.parametrize("wrong", [["--nonsense"], ["--image_dir", "/nowhere"]])
def test_a_command_ends_with_the_status_of_its_work(wrong):
    assert run_python("-m", "audionet", "train", *wrong).returncode == 2


def test_help_shows_commands_as_they_were_typed():
    of_script = run_python("scripts/retrain.py", "--help", cwd=CHECKOUT).stdout
    assert "python scripts/retrain.py --image_dir" in of_script and "python scripts/data_maker.py does" in of_script
    folder = run_python("retrain.py", "--help", cwd=SCRIPTS).stdout
    assert re.search(r"    \S*python retrain.py --image_dir", folder) and "audionet train" not in folder
    program = "import sys; sys.argv = ['audionet', 'train', '--help']; from audionet.__main__ import main; main()"
    of_command = run_python("-c", program, env={"PATH": "", "PYTHONPATH": str(SCRIPTS)}).stdout
    assert "usage: audionet train" in of_command and "    audionet train --image_dir" in of_command


def test_a_command_that_is_not_on_the_path_is_shown_with_its_path():
    program = "import sys; sys.argv = ['bin/audionet', 'runs', '--help']; from audionet.__main__ import main; main()"
    shown = run_python("-c", program, env={"PATH": "", "PYTHONPATH": str(SCRIPTS)}).stdout
    assert "with bin/audionet evaluate --compare" in shown
