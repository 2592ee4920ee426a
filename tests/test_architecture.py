"""Rules of the house that a reader relies on."""

import ast
import contextlib
import dataclasses
import importlib
import typing
from pathlib import Path

import pytest
from conftest import CHECKOUT, SCRIPTS, run_python

from audionet.cli import parse_options
from audionet.errors import InputError

PACKAGE = SCRIPTS / "audionet"
PATHS = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("[!_]*.py"))}
MODULES = sorted(PATHS)
SCRIPT_NAMES = sorted(path.stem for path in SCRIPTS.glob("*.py"))


def imports_of(path: Path) -> set[str]:
    """Return the modules that a file imports by name, wherever it does so."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return found


def module_of(script: str):
    """Return the module that does a script's work: a command of the package, or the script itself."""
    module = importlib.import_module(script)
    return importlib.import_module(
        getattr(module, "label", module.main).__name__ if script == "label_image" else module.main.__module__
    )


def options_class(script: str) -> type:
    module = module_of(script)
    (found,) = [
        value
        for name, value in vars(module).items()
        if name.endswith("Options") and dataclasses.is_dataclass(value) and value.__module__ == module.__name__
    ]
    return found


def fields_of(options: type) -> dict[str, object]:
    """Return the annotation of each of a script's options by name, those of groups of options included."""
    hints = typing.get_type_hints(options, include_extras=True)
    found = {}
    for field in dataclasses.fields(options):
        is_group = dataclasses.is_dataclass(field.default_factory)
        found |= fields_of(field.default_factory) if is_group else {field.name: hints[field.name]}
    return found


def every_option() -> list[tuple[str, str]]:
    return [
        (script, name)
        for script in SCRIPT_NAMES
        for name, hint in fields_of(options_class(script)).items()
        if typing.get_origin(hint) is not typing.Annotated  # that is: what has no flag
    ]


def is_recognised(options: type, flag: str, capsys) -> bool:
    """Tell whether a flag, for all that its value may lack, is one that a script knows."""
    with contextlib.suppress(SystemExit, InputError):
        parse_options(options, "", [flag])
    return "Unrecognized" not in capsys.readouterr().err


@pytest.mark.parametrize("script", SCRIPT_NAMES)
def test_scripts_never_import_each_other(script):
    assert not imports_of(SCRIPTS / f"{script}.py") & set(SCRIPT_NAMES)


@pytest.mark.parametrize("module", MODULES)
def test_no_module_imports_a_script(module):
    assert not imports_of(PATHS[module]) & set(SCRIPT_NAMES)


@pytest.mark.parametrize("script", SCRIPT_NAMES)
def test_a_script_is_short(script):
    code = [line for line in (SCRIPTS / f"{script}.py").read_text().splitlines() if line.strip()]
    options = ast.parse((SCRIPTS / f"{script}.py").read_text())
    declared = sum(
        node.end_lineno - node.lineno + 1
        for node in options.body
        if isinstance(node, ast.ClassDef) and node.name.endswith("Options")
    )
    assert len(code) - declared < 100  # its options are a table, and as long as there are options


@pytest.mark.parametrize("script", SCRIPT_NAMES)
def test_help_comes_without_tensorflow_numpy_or_sound_libraries(script):
    heavy = "{'tensorflow', 'keras', 'numpy', 'soundfile', 'openvino', 'PIL', 'scipy'}"
    program = (
        f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import {script}\n"
        f"try: {script}.main(['--help'])\n"
        f"except SystemExit: assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)\n"
    )
    done = run_python("-c", program)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage" in done.stdout.lower()


@pytest.mark.parametrize("script", SCRIPT_NAMES)
def test_help_begins_with_commands_that_can_be_typed(script):
    module = module_of(script)
    command = f"audionet {module.__name__.rpartition('.')[2]}"
    assert (f"python {script}.py" in module.__doc__) or command in module.__doc__


@pytest.mark.parametrize(("script", "name"), every_option())
def test_every_option_works_with_underscores_and_with_dashes(script, name, capsys):
    options = options_class(script)
    assert is_recognised(options, f"--{name}", capsys)
    assert is_recognised(options, f"--{name.replace('_', '-')}", capsys)
    assert not is_recognised(options, f"--{name}-nonsense", capsys)


def test_a_picture_is_labelled_without_what_takes_long_to_import(saved, drawn):
    pytest.importorskip("openvino", reason="without OpenVINO, TensorFlow has to score")
    heavy = "{'tensorflow', 'keras', 'scipy.stats', 'sklearn', 'matplotlib'}"
    arguments = ["--model", str(saved / "retrained_model"), str(drawn / "bob" / "0_00000.jpg")]
    program = (
        f"import sys, label_image\nassert label_image.main({arguments!r}) == 0\n"
        f"assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)\n"
    )
    done = run_python("-c", program)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", sorted(PATHS.values()), ids=lambda path: path.stem)
def test_no_module_swallows_what_it_does_not_know(path):
    handlers = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ExceptHandler)]
    names = {handler.type.id for handler in handlers if isinstance(handler.type, ast.Name)}
    assert "Exception" not in names
    assert all(handler.type is not None for handler in handlers)


def test_everyone_sees_the_same_few_things_at_the_top():
    tracked = {"Makefile", "README.md", "requirements.txt", "LICENSE", "tf_files", "scripts", "tests"}
    assert {path.name for path in CHECKOUT.iterdir() if not path.name.startswith(".")} <= tracked
