"""An agent's settings: checked once, turned into requests many times."""

from __future__ import annotations

import inspect
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypedDict, get_args

import attrs

from caw_core.agent_spec import AgentSpec, check_subagents
from caw_core.budget import Budget
from caw_core.deadlines import Deadlines
from caw_core.display.choice import check_display
from caw_core.errors import ConfigError
from caw_core.event_log import AgentLogger, check_logger
from caw_core.kept_output import LEAST
from caw_core.listeners import TurnListener
from caw_core.mcp import McpServer
from caw_core.options import resolve_options, unknown_option
from caw_core.permissions import PermissionCallback, PermissionDesk
from caw_core.plugin_check import implementations
from caw_core.provider import Permissions, StartRequest
from caw_core.storage_retry import StorageRetry
from caw_core.tool_serving import GivenTools
from caw_core.tools import ModelTier, ToolGroup

if TYPE_CHECKING:
    from caw_core.provider import ProviderInfo
    from caw_core.trajectory import ResolvedOption, Trajectory

MAX_SUBAGENT_DEPTH = 3
"""How many levels of subagents there may be, unless told otherwise."""

_OFF = frozenset({"0", "false", "no", "off"})


class AgentOptions(TypedDict, total=False):
    """The keyword arguments of `caw_core.Agent`, which documents them."""

    model: str | ModelTier | None
    reasoning: str | None
    system_prompt: str | None
    cwd: str | os.PathLike[str] | None
    additional_dirs: Sequence[str | os.PathLike[str]]
    env: Mapping[str, str | None] | None
    data_dir: str | os.PathLike[str] | None
    storage: object
    mirrors: object
    storage_retry: StorageRetry | None
    metadata: Mapping[str, Any] | None
    permissions: Permissions | None
    on_permission: PermissionCallback | None
    tools: ToolGroup | None
    mcp_servers: Sequence[McpServer]
    stateless_tools: Sequence[Callable[..., Any]]
    tool_servers: Sequence[object]
    subagents: Sequence[AgentSpec]
    max_subagent_depth: int | None
    temperature: float | None
    max_tokens: int | None
    max_turns: int | None
    budget: Budget | None
    auto_wait: bool | None
    deadlines: Deadlines | None
    options: Mapping[str, Any] | None
    keep_raw: bool
    keep_output: int | None
    strict: bool
    display: TurnListener | str | None
    logger: AgentLogger | logging.Logger | None


@attrs.frozen(kw_only=True)
class Settings:
    """What `caw_core.Agent` was given, checked.

    Attributes:
        given: the options for the provider that the caller set, by name.
        extra: the provider's own options.
        python_tools: functions, toolkits and subagents of the caller's.
        max_subagent_depth: how many levels of subagents there may be below a session.
        deadlines: how long things may take.
        storage: storage URLs and plugins, in order.
        mirrors: the same, of copies that may lag.
        storage_retry: how often one that fails is asked again.
        metadata: the caller's data for records.
        on_permission: answers the agent's requests.
        budget: how much a session may use.
        auto_wait: wait for a usage limit to end.
        keep_raw: keep raw output.
        keep_output: how many characters of output a turn keeps; None for all.
        strict: refuse options without effect.
        display: shows the sessions; None for what the process shows them with.
        logger: is told a line per event.
    """

    given: Mapping[str, Any]
    extra: Mapping[str, Any]
    python_tools: GivenTools
    max_subagent_depth: int
    deadlines: Deadlines
    storage: tuple[object, ...]
    mirrors: tuple[object, ...]
    storage_retry: StorageRetry
    metadata: Mapping[str, Any]
    on_permission: PermissionCallback | None
    budget: Budget
    auto_wait: bool
    keep_raw: bool
    keep_output: int | None
    strict: bool
    display: TurnListener | None
    logger: object

    @classmethod
    def checked(cls, options: AgentOptions) -> Self:
        """Check the keyword arguments of `caw_core.Agent`.

        Raises:
            ConfigError: one of them is unknown or makes no sense.
        """
        unknown = set(options) - set(AgentOptions.__annotations__)
        if unknown:
            known = {*AgentOptions.__annotations__, "provider", "registry"}
            raise unknown_option(unknown, known, of="Agent")
        cwd = options.get("cwd")
        given = {
            "model": check_model(options.get("model")) or os.environ.get("CAW_MODEL"),
            "reasoning": check_reasoning(options.get("reasoning")) or os.environ.get("CAW_EFFORT"),
            "system_prompt": _check("system_prompt", options.get("system_prompt"), str),
            "cwd": _folder("cwd", cwd) if cwd is not None else None,
            "additional_dirs": tuple(
                _folder("additional_dirs", folder)
                for folder in _listed("additional_dirs", options.get("additional_dirs"))
            ),
            "env": _check_env(_check("env", options.get("env"), Mapping) or {}),
            "permissions": _check_permissions(options.get("permissions")),
            "tools": _check_tools(options.get("tools")),
            "mcp_servers": _check_servers(_listed("mcp_servers", options.get("mcp_servers"))),
            "temperature": _check_number("temperature", options.get("temperature"), float),
            "max_tokens": _check_number("max_tokens", options.get("max_tokens"), int),
            "max_turns": _check_number("max_turns", options.get("max_turns"), int, least=1),
        }
        on_permission = options.get("on_permission")
        if on_permission is not None and not callable(on_permission):
            msg = f"on_permission is a function, not {type(on_permission).__name__}"
            raise ConfigError(msg)
        if inspect.iscoroutinefunction(on_permission):
            msg = (
                "on_permission is called in a thread of its own, outside of any event loop: "
                "give a plain function; asyncio.run_coroutine_threadsafe reaches your loop from it"
            )
            raise ConfigError(msg)
        auto_wait = options.get("auto_wait")
        if auto_wait is None:
            auto_wait = os.environ.get("CAW_AUTOWAIT", "1").strip().lower() not in _OFF
        storage = _storage_list(options.get("data_dir"), options.get("storage"))
        depth = _check_number("max_subagent_depth", options.get("max_subagent_depth"), int)
        retry = _check("storage_retry", options.get("storage_retry"), StorageRetry)
        return cls(
            given={name: value for name, value in given.items() if value not in (None, "", {}, ())},
            extra=dict(_check("options", options.get("options"), Mapping) or {}),
            python_tools=GivenTools(
                functions=_listed("stateless_tools", options.get("stateless_tools")),
                servers=_listed("tool_servers", options.get("tool_servers")),
                subagents=check_subagents(_listed("subagents", options.get("subagents")))
                if depth != 0
                else (),
            ),
            max_subagent_depth=MAX_SUBAGENT_DEPTH if depth is None else depth,
            deadlines=_check("deadlines", options.get("deadlines"), Deadlines) or Deadlines(),
            storage=storage,
            mirrors=_mirror_list(storage, options.get("mirrors")),
            storage_retry=retry or StorageRetry(),
            metadata=check_metadata(options.get("metadata") or {}),
            on_permission=on_permission,
            budget=_check("budget", options.get("budget"), Budget) or Budget(),
            auto_wait=_check("auto_wait", auto_wait, bool),
            keep_raw=_check("keep_raw", options.get("keep_raw", False), bool),
            keep_output=_check_number("keep_output", options.get("keep_output"), int, least=LEAST),
            strict=_check("strict", options.get("strict", False), bool),
            display=check_display(options.get("display")),
            logger=check_logger(options.get("logger")),
        )

    def resolve(self, info: ProviderInfo) -> tuple[ResolvedOption, ...]:
        """Say how a provider treats the options; see `caw_core.options.resolve_options`."""
        # Tools in Python reach it as servers.
        implied = {"mcp_servers": ()} if self.python_tools else {}
        return resolve_options(info, {**self.given, **implied}, self.extra, strict=self.strict)

    def request(
        self,
        info: ProviderInfo,
        session_id: str,
        record: Trajectory | None = None,
    ) -> StartRequest:
        """Return what a provider is asked for.

        Args:
            info: the provider.
            session_id: caw's id.
            record: the record of a session that is resumed; what the caller leaves open stays as
                it was when the conversation began.

        Raises:
            ConfigError: a folder does not exist, or a variable for an MCP server is not set.
            UnsupportedError: no model is set for the tier.
        """
        given = dict(self.given)
        if isinstance(given.get("model"), ModelTier):
            from caw_core.model_config import tier_model

            given["model"] = tier_model(info, given["model"], given.get("env"))
        if record is not None:
            for name in ("model", "reasoning", "system_prompt"):
                if getattr(record, name) and name not in given:
                    given[name] = getattr(record, name)
            if record.permissions in get_args(Permissions):
                given.setdefault("permissions", record.permissions)
            if "cwd" not in given and record.cwd and Path(record.cwd).is_dir():
                given["cwd"] = Path(record.cwd)
        cwd = given.pop("cwd", None) or Path.cwd()
        for name, folder in (
            ("cwd", cwd),
            *(("additional_dirs", folder) for folder in given.get("additional_dirs", ())),
        ):
            if not folder.is_dir():
                msg = f"{name}: {str(folder)!r} is not a folder"
                raise ConfigError(msg)
        given["mcp_servers"] = tuple(server.resolved() for server in given.get("mcp_servers", ()))
        return StartRequest(
            session_id=session_id,
            cwd=cwd,
            options=self.extra,
            deadlines=self.deadlines,
            keep_raw=self.keep_raw,
            permission_desk=PermissionDesk(self.on_permission),
            **given,
        )


def _storage_list(data_dir: object, storage: object) -> tuple[object, ...]:
    folder: list[object] = []
    if data_dir == "":
        msg = "data_dir is empty; name a folder, e.g. '.' for this one"
        raise ConfigError(msg)
    if data_dir is not None:
        folder.append(_folder("data_dir", data_dir).as_uri().replace("file:", "jsonl:", 1))
    return _no_twins("storage", [*folder, *_storages("storage", storage)])


def _mirror_list(storages: tuple[object, ...], mirrors: object) -> tuple[object, ...]:
    items = _storages("mirrors", mirrors)
    if items and not storages:
        msg = "mirrors are copies of a storage, and there is none: give storage or data_dir too"
        raise ConfigError(msg)
    _no_twins("storage and mirrors", [*storages, *items])
    return tuple(items)


def _storages(name: str, given: object) -> list[object]:
    items = list(given) if isinstance(given, list | tuple) else [] if given is None else [given]
    for item in items:
        # What else is wrong with a plugin is told when it is loaded.
        if not (isinstance(item, str) or hasattr(item, "caw_api") or any(implementations(item))):
            hint = "; for a folder give data_dir" if isinstance(item, os.PathLike) else ""
            kind = type(item).__name__
            msg = f"{name} is a URL, a storage plugin, or a list of these, not {kind}{hint}"
            raise ConfigError(msg)
    return items


def _no_twins(name: str, items: list[object]) -> tuple[object, ...]:
    if any(item in items[:place] for place, item in enumerate(items)):
        msg = f"{name}: one of them is given twice"
        raise ConfigError(msg)
    return tuple(items)


def _folder(name: str, path: object) -> Path:
    if not isinstance(path, str | os.PathLike):
        msg = f"{name}: a folder is a str or a Path, not {type(path).__name__}"
        raise ConfigError(msg)
    return Path(path).expanduser().absolute()


def _listed(name: str, values: object) -> tuple[Any, ...]:
    # A str would be taken apart into its characters, of which "/" is a folder.
    if values is not None and (isinstance(values, str) or not isinstance(values, Iterable)):
        msg = f"{name} is a list, not {type(values).__name__}"
        raise ConfigError(msg)
    return tuple(values or ())


def _check(name: str, value: object, kind: type) -> Any:
    if value is not None and not isinstance(value, kind):
        msg = f"{name} is a {kind.__name__}, not {type(value).__name__}"
        raise ConfigError(msg)
    return value


def check_model(model: object) -> str | ModelTier | None:
    """Return *model*, a name or a tier; raise `ConfigError` for anything else."""
    return model if isinstance(model, ModelTier) else _check("model", model, str)


def check_reasoning(reasoning: object) -> str | None:
    """Return *reasoning*, an effort; raise `ConfigError` for anything else."""
    effort: str | None = _check("reasoning", reasoning, str)
    return effort


def _check_permissions(permissions: object) -> object:
    if permissions is not None and permissions not in get_args(Permissions):
        known = ", ".join(map(repr, get_args(Permissions)))
        msg = f"permissions is one of {known}, not {permissions!r}"
        raise ConfigError(msg)
    return permissions


def _check_tools(tools: object) -> object:
    if tools is not None and not (isinstance(tools, ToolGroup) and tools):
        msg = f"tools is a ToolGroup with at least one member, not {tools!r}"
        raise ConfigError(msg)
    return tools


def _check_servers(servers: Sequence[McpServer]) -> tuple[McpServer, ...]:
    for server in servers:
        _check("mcp_servers", server, McpServer)
    names = [server.name for server in servers]
    if len(set(names)) < len(names):
        msg = f"mcp_servers: two servers have one name: {', '.join(sorted(names))}"
        raise ConfigError(msg)
    return tuple(servers)


def _check_number(name: str, value: object, kind: type[int | float], *, least: int = 0) -> Any:
    if value is None:
        return None
    fits = isinstance(value, int) if kind is int else isinstance(value, int | float)
    # Written so that NaN, which is neither above nor below, does not fit.
    if isinstance(value, bool) or not fits or not value >= least:  # type: ignore[operator]  # a number here
        number = "a whole number" if kind is int else "a number"
        msg = f"{name} is {number} not below {least}, not {value!r}"
        raise ConfigError(msg)
    return value


def _check_env(env: Mapping[str, str | None]) -> dict[str, str | None]:
    for name, value in env.items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            msg = f"env: {name!r} is not a variable's name"
            raise ConfigError(msg)
        if value is not None and (not isinstance(value, str) or "\0" in value):
            # The value may be a secret, so it is not shown.
            problem = "holds a NUL character" if isinstance(value, str) else "is not a str"
            msg = f"env: the value of {name!r} {problem}"
            raise ConfigError(msg)
    return dict(env)


def check_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of *metadata* as JSON would hold it, or raise `ConfigError`."""
    try:
        return dict(json.loads(json.dumps(dict(metadata))))
    except (TypeError, ValueError) as error:
        msg = f"metadata must be a mapping that JSON can hold: {error}"
        raise ConfigError(msg) from error
