from __future__ import annotations

import builtins
import inspect
import pickle
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from caw_core import Turn, errors
from caw_core.errors import CawError, PersistError, ProviderError

MADE: dict[str, Any] = {
    "UnknownProviderError": lambda cls: cls("codx", known=["codex"], hint="Install it."),
    "UnknownStorageError": lambda cls: cls("x", known=["jsonl"]),
    "AmbiguousProviderError": lambda cls: cls("x", candidates=["a", "b"]),
    "UnsupportedError": lambda cls: cls("no", provider="p", options=["env"]),
    "PluginInvalidError": lambda cls: cls("p", ["a problem"], distribution="d"),
    "PluginError": lambda cls: cls("m", name="n", distribution="d"),
    "LimitError": lambda cls: cls(
        "m", kind="usage", resets_at=datetime(2030, 1, 1, tzinfo=UTC), source="header"
    ),
    "ProcessError": lambda cls: cls("m", exit_code=3, signal=9, stderr_tail="tail"),
    "ConfigFileError": lambda cls: cls("config.json", "a problem", line=2, key="models"),
    "ModelError": lambda cls: cls("m", model="gpt"),
    "ProgramNotFoundError": lambda cls: cls("codex", hint="npm install", provider="codex"),
    "DeadlineError": lambda cls: cls("idle", 1.5, provider="p", hint="h"),
    "SessionBusyError": lambda cls: cls("m", holder="pid 7"),
    "TrajectoryFormatError": lambda cls: cls(["a @ $"]),
    "TrajectoryVersionError": lambda cls: cls(9, newest=2),
    "StructuredOutputError": lambda cls: cls("m", problems=["a @ $"]),
    "PersistError": lambda cls: cls("m", [OSError(28, "full")]),
}

CLASSES = [
    cls
    for name, cls in vars(errors).items()
    if inspect.isclass(cls) and issubclass(cls, CawError) and not name.startswith("_")
]


def make(cls: type[CawError]) -> Any:
    for base in cls.__mro__:
        if base.__name__ in MADE:
            return MADE[base.__name__](cls)
    return cls("m")


def facts(error: Any) -> dict[str, Any]:
    return {key: value for key, value in vars(error).items() if key != "__notes__"}


@pytest.mark.parametrize("cls", CLASSES)
def test_error_pickles_with_its_facts_text_and_notes(cls: type[CawError]) -> None:
    error = make(cls)
    error.add_note("storage 'jsonl'")
    error.turn = Turn(index=3, input="x") if hasattr(error, "turn") else None
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert str(copy) == str(error)
    assert repr(facts(copy)) == repr(facts(error))
    assert copy.__notes__ == ["storage 'jsonl'"]


@pytest.mark.parametrize("cls", CLASSES)
def test_pickles_name_the_module_that_users_import_from_and_none_below_it(
    cls: type[CawError],
) -> None:
    assert cls.__module__ == "caw_core.errors"
    assert b"caw_core.errors." not in pickle.dumps(make(cls))


@pytest.mark.parametrize("cls", CLASSES)
def test_error_stands_in_the_tree_at_the_top_of_the_module(cls: type[CawError]) -> None:
    assert errors.__doc__ is not None
    lines = [
        line for line in errors.__doc__.splitlines() if re.search(rf"\b{cls.__name__}\b", line)
    ]
    assert len(lines) == 1
    (line,) = lines
    promised = re.search(rf"{cls.__name__}\((\w+)\)", line)
    if promised:
        assert issubclass(cls, getattr(builtins, promised[1]))
    error = make(cls)
    for attribute in re.findall(r"\.(\w+)", line):
        assert hasattr(error, attribute)


def test_depth_in_the_tree_is_depth_of_inheritance() -> None:
    assert errors.__doc__ is not None
    path: list[str] = []
    for line in errors.__doc__.splitlines():
        found = re.match(r"[\s│]*(?:[├└]── )?([A-Z]\w+)", line)
        if found and found[1] in {cls.__name__ for cls in CLASSES}:
            depth = (line.index(found[1]) - 4) // 4
            path[depth:] = [found[1]]
            if depth:
                assert issubclass(getattr(errors, found[1]), getattr(errors, path[depth - 1]))


def test_unknown_name_says_installed_and_hint() -> None:
    text = str(make(errors.UnknownProviderError))
    assert text == "no provider 'codx' is installed. Installed: codex. Install it."


def test_process_error_keeps_the_tail_out_of_its_text() -> None:
    assert "tail" not in str(make(errors.ProcessError))


def test_persist_error_splits_into_its_own_kind_with_the_turn() -> None:
    error = PersistError("m", [OSError("a"), ValueError("b")])
    error.turn = Turn(index=1, input="x")
    matched, rest = error.split(OSError)
    assert isinstance(matched, PersistError)
    assert isinstance(rest, PersistError)
    assert matched.turn is error.turn


def test_except_star_finds_the_cause_in_a_persist_error() -> None:
    seen: list[BaseException] = []
    try:
        raise PersistError("m", [OSError("full")])
    except* OSError as group:
        seen += group.exceptions
    assert [str(error) for error in seen] == ["full"]


def test_builtin_bases_let_ordinary_handlers_work() -> None:
    for cls, builtin in (
        (errors.ProgramNotFoundError, FileNotFoundError),
        (errors.DeadlineError, TimeoutError),
        (errors.ConnectionFailedError, ConnectionError),
        (errors.ConfigError, ValueError),
        (errors.TrajectoryError, ValueError),
    ):
        assert issubclass(cls, builtin)
    assert not issubclass(errors.StorageError, ProviderError)


def test_process_error_is_raised_again_with_its_facts_but_without_its_traceback() -> None:
    error = errors.ProcessError("gone", exit_code=3, signal=None, stderr_tail="tail")
    try:
        raise error
    except errors.ProcessError:
        copy = error.again("codex")
    assert (str(copy), facts(copy)) == ("gone", {**facts(error), "provider": "codex"})
    assert copy.__traceback__ is None
    assert copy.again("other").provider == "other"
    assert copy.again().provider == "codex"
