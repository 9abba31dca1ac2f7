"""Whether a provider that drives a program could start a session now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from caw_core.errors import ProgramNotFoundError
from caw_core.process.environment import child_environment
from caw_core.provider import Readiness

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from caw_core.programs import AgentProgram, ProgramVersions


@attrs.frozen(kw_only=True)
class SeenCredentials:
    """What can be seen of credentials without using them.

    Attributes:
        seen: what was seen, e.g. ``"OPENAI_API_KEY"`` or ``"auth.json"``, never a value; ``""`` for
            nothing.
        path: the file that holds them, where it is one.
        expire_at: when the login runs out unless the agent renews it; None if that is not known.
    """

    seen: str
    path: str = ""
    expire_at: datetime | None = None


def program_readiness(
    program: AgentProgram,
    versions: ProgramVersions,
    env: Mapping[str, str | None],
    options: Mapping[str, Any],
    *,
    credentials: Callable[[Mapping[str, str]], str | SeenCredentials],
    login_hint: str,
) -> Readiness:
    """Answer `caw_core.hookspecs.ProviderSpecs.check_ready`: look for the program and credentials.

    It is ready if it says its version and credentials were seen. Neither network nor tokens are
    used.

    Args:
        program: the program.
        versions: what is known of versions; the provider keeps one.
        env: as the hook has it.
        options: as the hook has them.
        credentials: given the whole environment, says where credentials were seen, or ``""``;
            never a value. A `SeenCredentials` says more.
        login_hint: what to do where none were seen.

    Raises:
        ConfigError: the option ``binary`` is no path.
    """
    whole = child_environment(env)
    try:
        path = program.find(whole, options)
    except ProgramNotFoundError as error:
        return Readiness(
            ready=False,
            detail=str(error),
            hint=program.install_hint,
            tested_versions=program.tested,
        )
    version, answer = versions.of(path), credentials(whole)
    found = SeenCredentials(seen=answer) if isinstance(answer, str) else answer
    seen = found.seen
    if version:
        detail = f"{program.name} {version}, {seen or 'no credentials seen'}"
    else:
        detail = f"{program.name} does not say its version"
    return Readiness(
        ready=bool(version and seen),
        detail=detail,
        hint=("" if seen else login_hint) if version else program.install_hint,
        program_path=str(path),
        version=version,
        tested_versions=program.tested,
        tested=program.is_tested(version) if version else None,
        credentials=seen,
        credentials_path=found.path,
        credentials_expire_at=found.expire_at,
    )
