"""The user's configuration file, which says what model a tier means.

A JSON document, so that it can be written by a program as it is read::

    {"models": {"claude_code": {"fast": "haiku"}, "opencode": {"fast": "openai/gpt-6-luna"}}}

The existing wrapper's ``~/.caw/config.json`` has the same form and can be read as it is.
"""

from __future__ import annotations

import difflib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from caw_core.control_characters import has_control_characters
from caw_core.errors import ConfigError, ConfigFileError
from caw_core.folders import user_config_dir
from caw_core.private_files import replace_file
from caw_core.tools import ModelTier

if TYPE_CHECKING:
    from collections.abc import Iterable

TIERS: Final = tuple(tier.value for tier in ModelTier)

_LARGEST: Final = 1 << 20
_LONGEST_NAME: Final = 256
_VERSION: Final = 1


def config_path() -> Path:
    """Return where the file is: ``CAW_CONFIG``, else ``config.json`` in caw's configuration."""
    named = os.environ.get("CAW_CONFIG", "").strip()
    return Path(named).expanduser().absolute() if named else user_config_dir() / "config.json"


@attrs.frozen(kw_only=True)
class ConfigFile:
    """What the file says.

    Attributes:
        path: where it is, or would be.
        models: for each provider, as the file calls it, the model of each tier.
    """

    path: Path
    models: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)

    @classmethod
    def read(cls, path: Path | None = None) -> ConfigFile:
        """Read the file; one that is not there says nothing.

        Args:
            path: where it is; default `config_path`.

        Raises:
            ConfigFileError: it cannot be read, or holds what caw does not understand.
        """
        path = path or config_path()
        text = _text(path)
        return cls(path=path) if text is None else cls(path=path, models=_models(path, text))

    def with_model(self, provider: str, tier: str, model: str | None) -> ConfigFile:
        """Return the file with another model for a tier; None takes the entry out.

        Raises:
            ConfigError: there is no such tier, or no model can have that name.
        """
        check_tier(tier)
        tiers = dict(self.models.get(provider, {}))
        tiers.pop(tier, None)
        if model is not None:
            tiers[tier] = check_model_name(model)
        others = {name: models for name, models in self.models.items() if name != provider}
        return attrs.evolve(self, models={**others, provider: tiers} if tiers else others)

    def write(self) -> None:
        """Put the file in place, whole or not at all, readable by its owner alone.

        A link stays a link. Of two programs that write at the same time the later one counts.

        Raises:
            ConfigFileError: it cannot be written.
        """
        models = {name: dict(sorted(tiers.items())) for name, tiers in sorted(self.models.items())}
        text = json.dumps({"version": _VERSION, "models": models}, indent=2, ensure_ascii=False)
        try:
            path = self.path.resolve()
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(path, text + "\n")
        except (OSError, RuntimeError) as error:
            problem = f"it cannot be written: {_why(error)}"
            raise ConfigFileError(self.path, problem) from error


def check_tier(tier: str) -> str:
    """Return *tier*, or raise `ConfigError` if there is none of that name."""
    if tier not in TIERS:
        msg = f"there is no tier {tier!r}{_meant(tier, TIERS)}; the tiers are: {', '.join(TIERS)}"
        raise ConfigError(msg)
    return tier


def check_model_name(name: object) -> str:
    """Return a model's name, or raise `ConfigError` if it cannot be one.

    Which models a service has is known to the service alone, and is not asked. Here a name is
    refused that a program could take for something else.
    """
    if not isinstance(name, str):
        msg = f"a model's name is text, not {type(name).__name__}"
    elif not name.strip():
        msg = "a model's name is empty; to go back to the default, use: caw config unset"
    elif name != name.strip() or has_control_characters(name):
        msg = f"a model's name has no blanks around it and no control characters: {name[:40]!r}"
    elif name.startswith("-"):
        msg = f"a model's name does not begin with '-', which marks options: {name[:40]!r}"
    elif len(name) > _LONGEST_NAME:
        msg = f"a model's name has at most {_LONGEST_NAME} characters, not {len(name)}"
    else:
        return name
    raise ConfigError(msg)


def _text(path: Path) -> str | None:
    try:
        # Not to wait for ever on a pipe that nobody writes to.
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                problem = "it is not a regular file"
                raise ConfigFileError(path, problem)
            data = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError) as error:
        problem = f"it cannot be read: {_why(error)}"
        raise ConfigFileError(path, problem) from error
    if len(data) > _LARGEST:
        problem = f"it is larger than {_LARGEST} bytes"
        raise ConfigFileError(path, problem)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = "it is not UTF-8"
        raise ConfigFileError(path, problem, line=line) from error


def _models(path: Path, text: str) -> dict[str, dict[str, str]]:
    try:
        document = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        problem = f"it is not JSON: {error.msg} (column {error.colno})"
        raise ConfigFileError(path, problem, line=error.lineno) from error
    except _TwiceError as error:
        problem = f"the key {error.args[0]!r} is there twice"
        raise ConfigFileError(path, problem, key=error.args[0]) from error
    except RecursionError as error:
        problem = "it is nested too deeply"
        raise ConfigFileError(path, problem) from error
    members = _members(path, document, "", ("models", "version"))
    version = members.get("version", _VERSION)
    if version != _VERSION or isinstance(version, bool):
        problem = f"version is {version!r}; this caw understands version {_VERSION}"
        raise ConfigFileError(path, problem, key="version")
    return {
        provider: {
            tier: _model(path, f"models.{provider}.{tier}", model)
            for tier, model in _members(path, tiers, f"models.{provider}", TIERS).items()
        }
        for provider, tiers in _members(path, members.get("models", {}), "models").items()
    }


def _members(path: Path, value: object, key: str, known: Iterable[str] = ()) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        problem = f"{key or 'the document'} is a JSON object, not {type(value).__name__}"
        raise ConfigFileError(path, problem, key=key)
    known = tuple(known)
    for name in value:
        if known and name not in known:
            full = f"{key}.{name}" if key else name
            listing = ", ".join(known)
            problem = f"{full} is unknown{_meant(name, known)}; here may be: {listing}"
            raise ConfigFileError(path, problem, key=full)
    return value


def _model(path: Path, key: str, model: object) -> str:
    try:
        return check_model_name(model)
    except ConfigError as error:
        problem = f"{key}: {error}"
        raise ConfigFileError(path, problem, key=key) from error


class _TwiceError(ValueError):
    """A key is in one object twice."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(next(name for name in names if names.count(name) > 1))
    return found


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _why(error: OSError | RuntimeError) -> str:
    # Without the file's name, which the message has already.
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
