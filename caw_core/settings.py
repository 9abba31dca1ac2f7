"""An agent's settings: checked once, turned into requests many times."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_args

import attrs

from caw_core.deadlines import Deadlines
from caw_core.errors import ConfigError
from caw_core.options import resolve_options
from caw_core.provider import Permissions, StartRequest

if TYPE_CHECKING:
    from caw_core.provider import ProviderInfo
    from caw_core.trajectory import ResolvedOption, Trajectory

OPTIONS = (
    "provider",
    "model",
    "reasoning",
    "system_prompt",
    "cwd",
    "env",
    "data_dir",
    "storage",
    "metadata",
    "permissions",
    "temperature",
    "max_tokens",
    "deadlines",
    "options",
    "keep_raw",
    "strict",
    "registry",
)


@attrs.frozen(kw_only=True)
class Settings:
    """What `caw_core.Agent` was given, checked.

    Attributes:
        given: the options for the provider that the caller set, by name.
        extra: the provider's own options.
        deadlines: how long things may take.
        storage: storage URLs and plugins, in order.
        metadata: the caller's data for records.
        keep_raw: keep raw output.
        strict: refuse options without effect.
    """

    given: Mapping[str, Any]
    extra: Mapping[str, Any]
    deadlines: Deadlines
    storage: tuple[object, ...]
    metadata: Mapping[str, Any]
    keep_raw: bool
    strict: bool

    @classmethod
    def checked(  # noqa: PLR0913 - the arguments of Agent
        cls,
        *,
        model: str | None,
        reasoning: str | None,
        system_prompt: str | None,
        cwd: str | os.PathLike[str] | None,
        env: Mapping[str, str | None] | None,
        data_dir: str | os.PathLike[str] | None,
        storage: object,
        metadata: Mapping[str, Any] | None,
        permissions: Permissions | None,
        temperature: float | None,
        max_tokens: int | None,
        deadlines: Deadlines | None,
        options: Mapping[str, Any] | None,
        keep_raw: bool,
        strict: bool,
    ) -> Self:
        """Check the arguments of `caw_core.Agent`, which documents them.

        Raises:
            ConfigError: one of them makes no sense.
        """
        if permissions is not None and permissions not in get_args(Permissions):
            known = ", ".join(map(repr, get_args(Permissions)))
            msg = f"permissions is one of {known}, not {permissions!r}"
            raise ConfigError(msg)
        given = {
            "model": _check_text("model", model) or os.environ.get("CAW_MODEL"),
            "reasoning": _check_text("reasoning", reasoning) or os.environ.get("CAW_EFFORT"),
            "system_prompt": _check_text("system_prompt", system_prompt),
            "cwd": Path(cwd).expanduser().absolute() if cwd is not None else None,
            "env": _check_env(env or {}),
            "permissions": permissions,
            "temperature": _check_number("temperature", temperature, float),
            "max_tokens": _check_number("max_tokens", max_tokens, int),
        }
        return cls(
            given={name: value for name, value in given.items() if value not in (None, "", {})},
            extra=dict(options or {}),
            deadlines=deadlines or Deadlines(),
            storage=_storage_list(data_dir, storage),
            metadata=check_metadata(metadata or {}),
            keep_raw=keep_raw,
            strict=strict,
        )

    def resolve(self, info: ProviderInfo) -> tuple[ResolvedOption, ...]:
        """Say how a provider treats the options; see `caw_core.options.resolve_options`."""
        return resolve_options(info, self.given, self.extra, strict=self.strict)

    def request(self, session_id: str, record: Trajectory | None = None) -> StartRequest:
        """Return what a provider is asked for.

        Args:
            session_id: caw's id.
            record: the record of a session that is resumed; what the caller leaves open stays as
                it was when the conversation began.

        Raises:
            ConfigError: the folder to work in does not exist.
        """
        given = dict(self.given)
        if record is not None:
            for name in ("model", "reasoning", "system_prompt", "permissions"):
                if getattr(record, name) and name not in given:
                    given[name] = getattr(record, name)
            if "cwd" not in given and record.cwd and Path(record.cwd).is_dir():
                given["cwd"] = Path(record.cwd)
        cwd = given.pop("cwd", None) or Path.cwd()
        if not cwd.is_dir():
            msg = f"cwd {str(cwd)!r} is not a folder"
            raise ConfigError(msg)
        return StartRequest(
            session_id=session_id,
            cwd=cwd,
            options=self.extra,
            deadlines=self.deadlines,
            keep_raw=self.keep_raw,
            **given,
        )


def _storage_list(data_dir: str | os.PathLike[str] | None, storage: object) -> tuple[object, ...]:
    items: list[object] = []
    if data_dir is not None:
        items.append(Path(data_dir).expanduser().absolute().as_uri().replace("file:", "jsonl:", 1))
    if isinstance(storage, list | tuple):
        items += storage
    elif storage is not None:
        items.append(storage)
    return tuple(items)


def _check_text(name: str, value: object) -> Any:
    if value is not None and not isinstance(value, str):
        msg = f"{name} is a str, not {type(value).__name__}"
        raise ConfigError(msg)
    return value


def _check_number(name: str, value: object, kind: type[int | float]) -> Any:
    if value is None:
        return None
    fits = isinstance(value, int) if kind is int else isinstance(value, int | float)
    if isinstance(value, bool) or not fits or value < 0:  # type: ignore[operator]  # a number here
        msg = f"{name} is {'a whole' if kind is int else 'a'} number not below 0, not {value!r}"
        raise ConfigError(msg)
    return value


def _check_env(env: Mapping[str, str | None]) -> dict[str, str | None]:
    for name, value in env.items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            msg = f"env: {name!r} is not a variable's name"
            raise ConfigError(msg)
        if value is not None and (not isinstance(value, str) or "\0" in value):
            # The value may be a secret, so it is not shown.
            msg = f"env: the value of {name!r} is not a str"
            raise ConfigError(msg)
    return dict(env)


def check_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of *metadata* as JSON would hold it, or raise `ConfigError`."""
    try:
        return dict(json.loads(json.dumps(dict(metadata))))
    except (TypeError, ValueError) as error:
        msg = f"metadata must be a mapping that JSON can hold: {error}"
        raise ConfigError(msg) from error
