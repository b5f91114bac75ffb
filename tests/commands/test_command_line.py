"""A user's error ends a command with one line, and overrides are checked before Hydra reads them."""

import errno
import os
import re
import shlex
import signal
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from kerasweep.commands.command_line import HINT, check_overrides, run_command
from kerasweep.commands.start import JSON
from kerasweep.errors import ConfigError, Terminated

ROOT = Path(__file__).resolve().parents[2]


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Returns the message with which the command ends with exit code 2."""
    with pytest.raises(SystemExit) as raised:
        check_overrides(arguments, "train")
    assert raised.value.code == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.startswith("error: ")
    return output.err.removeprefix("error: ").rstrip("\n")


def test_several_values_are_a_list_in_other_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        check_overrides(["study=a,b"], "compare", plain=("study",))
    assert raised.value.code == 2
    assert capsys.readouterr().err == (
        "error: study=a,b: several values are written as a list here, as in study=[a,b].\n"
    )


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space on its disk"),
        (errno.EROFS, "make it writable"),
        (errno.EFBIG, "allow larger files, see ulimit -f"),
    ],
)
def test_a_full_disk_is_one_line_wherever_it_is_met(
    number: int, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise OSError(number, os.strerror(number), "mlruns/place")

    with pytest.raises(SystemExit) as raised:
        run_command(fail)
    assert raised.value.code == 2
    error = f"error: mlruns/place cannot be written: {os.strerror(number)}. "
    assert capsys.readouterr().err == f"{error}To go on, {advice}, and start the same command.\n"


def test_a_path_that_is_too_long_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a" * 300
    with pytest.raises(SystemExit) as raised:
        run_command(Path(name).exists)
    assert raised.value.code == 2
    assert capsys.readouterr().err == f"error: The path {name} is too long. Name a shorter one.\n"


def test_another_error_of_the_system_stays_a_traceback() -> None:
    def fail() -> None:
        raise PermissionError(errno.EACCES, "no", "x")

    with pytest.raises(PermissionError):
        run_command(fail)


def test_error_of_the_user_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ConfigError("Two\nlines.")

    with pytest.raises(SystemExit) as raised:
        run_command(fail)
    assert raised.value.code == 2
    assert capsys.readouterr().err == "error: Two lines.\n"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("${nowhere}", "error: path: Interpolation key 'nowhere' not found\n"),
        ("${nowhere:}", "error: path: Unsupported interpolation type nowhere\n"),
        ("???", "error: path: Missing mandatory value: path\n"),
    ],
)
def test_interpolations_that_fail_are_errors_of_the_user(
    value: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = OmegaConf.create({"path": value})
    with pytest.raises(SystemExit) as raised:
        run_command(lambda: cfg.path)
    assert raised.value.code == 2
    assert capsys.readouterr().err == message


@pytest.mark.parametrize(
    ("interrupt", "code"),
    [(KeyboardInterrupt(), 130), (Terminated(), 143), (Terminated(signal.SIGHUP), 129)],
)
def test_signals_end_a_command_with_their_codes(
    interrupt: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        raise interrupt

    with pytest.raises(SystemExit) as raised:
        run_command(work)
    assert (raised.value.code, capsys.readouterr().err) == (code, "stopped\n")


def test_other_errors_are_not_caught() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(fail)


def test_value_is_returned() -> None:
    assert run_command(lambda: 0.5) == 0.5


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-m", "model.kernel_size=3,5", "data=digits,mnist", "data.limit=null,2000"],
        ["--config-dir", "/a=b", "--cfg", "job", "model=cnn"],
        [
            "'data.path=\"/내 폴더\"'".strip("'"),
            "tracking.tags.note='a > b'",
            "tracking.tags.a='x=y'",
            "data.path=",
        ],
        ["~augment", "+study.space={model.kernel_size: 'choice(3, 5)'}", "hydra.job.name=null"],
        ["regularizer.strength=tag(log,interval(1e-6,1e-2))", "model={kernel_size:3}"],
    ],
)
def test_overrides_that_hydra_can_read_pass(arguments: list[str]) -> None:
    check_overrides(arguments, "train")


@pytest.mark.parametrize(
    "argument",
    ["data.path=/내/폴더", "tags.note=a>b", "tags.note=a=b", "data.limit=choice(null,3)", "tags.a=[1,2"],
)
def test_unreadable_override_comes_with_a_hint(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    first, *rest = refusal(["data=digits", argument], capsys).splitlines()
    assert first.startswith(f"{argument}: ")
    assert rest[-1] == HINT


@pytest.mark.parametrize("argument", ["digits", "=3"])
def test_argument_without_a_key_or_value_is_named(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal([argument], capsys) == f"{argument}: an override is written key=value."


@pytest.mark.parametrize("argument", ["sampler=3", "sampler=null", "sampler=true"])
def test_group_without_an_option_lists_them(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal([argument], capsys) == (
        f"{argument}: sampler takes the name of one of its options: cmaes, custom, grid, nsga2, qmc, random, "
        "tpe."
    )


@pytest.mark.parametrize("argument", ["study=null", "study=2024"])
def test_key_that_is_no_group_here_takes_any_value(argument: str) -> None:
    check_overrides([argument], "compare", plain=("study",))


@pytest.mark.parametrize(
    ("command", "argument", "meant"),
    [
        ("train", "model.kernelsize=5", "model.kernel_size"),
        ("train", "training.batchsize=16,32", "training.batch_size"),
        ("train", "optimiser=sgd", "optimizer"),
        ("train", "study.repeets=5", "study.repeats"),
        ("train", "schedule.warmup_epoch=2", "schedule.warmup_epochs"),
        ("compare", "stduy=quickstart", "study"),
        ("predict", "image=[a.png]", "images"),
    ],
)
def test_misspelt_key_gets_a_suggestion(
    command: str, argument: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        check_overrides([argument], command)
    assert raised.value.code == 2
    key = argument.partition("=")[0]
    message = capsys.readouterr().err
    assert message.startswith(f"error: There is no key {key}. Did you mean ") and meant in message


@pytest.mark.parametrize(
    ("argument", "meant"), [("study=hed", "head"), ("optimizer=adamm", "adam"), ("data=cifar", "cifar10")]
)
def test_misspelt_option_gets_a_suggestion(
    argument: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        check_overrides([argument], "train")
    assert raised.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith(f"error: There is no {argument}. Did you mean ") and meant in message
    check_overrides(["--config-dir", "/own", argument], "train")


@pytest.mark.parametrize(
    "arguments",
    [
        ["model.kwargs.kernelsize=5", "tracking.tags.stduy=a", "data.kwargs.a.b=3"],
        ["+trainings=3", "++model.kernelsize=5", "~optimiser"],
        ["--config-dir", "/own", "trainings=3"],
        ["hydra.searchpath=[file:///own]", "trainings=3"],
        ["+mine=a", "mine.momentum=0.3"],
        ["hydra.sweeep.dir=a", "hydra/launcher=basic", "nothing.like.it=3"],
    ],
)
def test_unlike_keys_are_reported_by_hydra(arguments: list[str]) -> None:
    check_overrides(arguments, "train")


def test_every_group_of_the_course_may_be_chosen() -> None:
    options = [
        f"{file.parent.name}={file.stem}"
        for folder in ("conf", "sweeps")
        for file in sorted((ROOT / folder).glob("*/*.yaml"))
    ]
    assert {"experiment=cifar10_vgg", "debug=fast", "study=head", "data=digits"} <= set(options)
    for option in options:
        check_overrides([option], "train")


def test_commands_of_the_documentation_have_no_misspelt_keys() -> None:
    texts = [
        ROOT / "README.md",
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("conf/**/*.yaml"),
        *ROOT.glob("sweeps/**/*.*"),
    ]
    found = [
        (command, arguments_of(line))
        for text in texts
        for command, line in re.findall(r"python -m src\.(\w+) +([^`#\n]*)", text.read_text("utf-8"))
    ]
    assert len(found) > 50
    for command, arguments in found:
        given = [argument for argument in arguments if argument != JSON]  # the commands take it out
        check_overrides(given, command, plain=() if command == "train" else ("study",))


def arguments_of(line: str) -> list[str]:
    """Returns the overrides in a line of the documentation, which may end with words."""
    found: list[str] = []
    for word in shlex.split(line.partition("  ")[0]):
        if "=" not in word and not word.startswith("-") and found[-1:] != ["--config-dir"]:
            break
        found.append(word.rstrip(".,").replace("…", "1"))
    return found


def test_study_without_a_name_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert "augmentation, batch_norm, batch_size, best_checkpoint, downsampling" in refusal(
        ["study=null"], capsys
    )


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("+wher=[a]", "Nothing reads wher. Did you mean where?"),
        ("++tracking.url=a", "Nothing reads tracking.url. Did you mean tracking.uri?"),
        ("+nothing.like.it=3", "Nothing reads nothing.like.it."),
    ],
)
def test_a_key_that_compare_does_not_read_is_refused(
    argument: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        check_overrides([argument], "compare")
    assert capsys.readouterr().err == f"error: {said}\n"
    check_overrides(["+tags.owner=me", "+hydra.x=3", "++where=[a]"], "compare")
    check_overrides(["--config-dir", "mine", "+site=lab"], "compare")  # a config group of the user's


@pytest.mark.parametrize(
    ("command", "argument", "message"),
    [
        ("refit", "seeds=1.5", "seeds needs a whole number, but got 1.5."),
        ("refit", "seeds=two", "seeds needs a whole number, but got two."),
        ("refit", "seeds=true", "seeds needs a whole number, but got True."),
        ("refit", "ensemble=2", "ensemble needs true or false, but got 2."),
        ("predict", "top=1.5", "top needs a whole number, but got 1.5."),
        ("promote", "force=maybe", "force needs true or false, but got maybe."),
    ],
)
def test_a_value_of_another_type_is_refused(
    command: str, argument: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        check_overrides([argument], command)
    assert raised.value.code == 2
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.parametrize("override", ["experiment=accuracy_and_size", "model=vgg_small"])
def test_a_plus_before_a_group_that_is_there_gives_the_override_without_it(
    override: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other projects write `+experiment=NAME`."""
    group = override.partition("=")[0]
    assert refusal([f"+{override}"], capsys) == (
        f"+{override}: {group} is there already. Write it as {override}."
    )
