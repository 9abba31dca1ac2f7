"""Whether a provider that drives a program could start a session now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caw_core.errors import ProgramNotFoundError
from caw_core.process.environment import child_environment
from caw_core.provider import Readiness

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from caw_core.programs import AgentProgram, ProgramVersions


def program_readiness(
    program: AgentProgram,
    versions: ProgramVersions,
    env: Mapping[str, str | None],
    options: Mapping[str, Any],
    *,
    credentials: Callable[[Mapping[str, str]], str],
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
            never a value.
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
    version, seen = versions.of(path), credentials(whole)
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
    )
