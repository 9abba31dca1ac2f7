"""Rules as the settings of an agent."""

from __future__ import annotations

from typing import Any

import pytest

from caw_core.errors import UnsupportedError
from caw_core.provider import Permissions, StartRequest
from caw_core.tools import ToolGroup
from caw_provider_opencode.permissions import last_action
from caw_provider_opencode.run_agent import (
    agent_settings,
    allowed_rules,
    holds_already,
    is_in_force,
    keeps_denials_only,
    rule_settings,
)

from .test_permissions import DEFAULTS

Rule = dict[str, Any]


def _rule(permission: str, pattern: str, action: str) -> Rule:
    return {"permission": permission, "pattern": pattern, "action": action}


def _request(tmp_path: Any, permissions: Permissions, **changes: Any) -> StartRequest:
    return StartRequest(session_id="s", cwd=tmp_path, permissions=permissions, **changes)


def _listed(settings: dict[str, dict[str, str]]) -> list[Rule]:
    return [
        _rule(name, pattern, action)
        for name, patterns in settings.items()
        for pattern, action in patterns.items()
    ]


@pytest.mark.parametrize("mode", ["read-only", "ask", "auto-edit", "full"])
@pytest.mark.parametrize("name", ["read", "edit", "bash", "task", "my_tool", "external_directory"])
@pytest.mark.parametrize("pattern", ["a.txt", "x.env", "rm all"])
def test_settings_mean_what_the_rules_mean(
    tmp_path: Any, mode: Permissions, name: str, pattern: str
) -> None:
    mine = [_rule("my_*", "*", "ask"), _rule("bash", "rm *", "deny"), _rule("*", "x.env", "deny")]
    agent = {"permission": [*DEFAULTS, *mine]}
    rules = allowed_rules(agent, _request(tmp_path, mode), "", [])
    settings = rule_settings(rules, full=mode == "full")
    wanted = last_action(rules, name, pattern)
    assert last_action(_listed(settings), name, pattern) == (
        "allow" if wanted == "ask" and mode == "full" else wanted
    )
    assert "ask" not in [action for patterns in settings.values() for action in patterns.values()]


def test_rule_for_a_pattern_that_may_overlap_others_is_refused(tmp_path: Any) -> None:
    agent = {"permission": [*DEFAULTS, _rule("*_read", "*", "allow")]}
    rules = allowed_rules(agent, _request(tmp_path, "auto-edit"), "", [])
    with pytest.raises(UnsupportedError, match=r"\*_read"):
        rule_settings(rules, full=False)


def test_tools_that_are_not_told_cannot_be_taken_away(tmp_path: Any) -> None:
    request = _request(tmp_path, "full", tools=ToolGroup.READER | ToolGroup.PARALLEL)
    with pytest.raises(UnsupportedError, match="PARALLEL"):
        allowed_rules({"permission": DEFAULTS}, request, "", [])


def test_rules_are_in_force_when_only_opencodes_own_folders_follow() -> None:
    settings = {"*": {"*": "deny"}, "read": {"*": "allow"}}
    own = _rule("external_directory", "/data/*", "allow")
    resolved = [*DEFAULTS, *_listed(settings)]
    assert is_in_force({"permission": [*resolved, own]}, settings)
    assert not is_in_force({"permission": [*resolved, _rule("bash", "*", "allow")]}, settings)
    assert not is_in_force({"permission": DEFAULTS}, settings)
    assert not is_in_force({}, settings)


def test_rules_that_a_conversation_keeps_are_compared_as_if_nobody_answered() -> None:
    wanted = [_rule("*", "*", "deny"), _rule("read", "*", "allow"), _rule("question", "*", "deny")]
    kept = [_rule("*", "*", "ask"), _rule("read", "*", "allow"), _rule("question", "*", "allow")]
    assert holds_already([*DEFAULTS, *kept], wanted, full=False)
    assert not holds_already(kept, wanted, full=True)
    assert not holds_already([*kept, _rule("bash", "*", "allow")], wanted, full=False)


def test_denials_alone_leave_it_to_the_agent() -> None:
    assert keeps_denials_only([_rule("question", "*", "deny")])
    assert not keeps_denials_only([_rule("edit", "*", "ask")])


def test_agent_is_the_same_but_for_its_rules() -> None:
    agent = {
        "name": "mine",
        "prompt": "Be brief.",
        "model": {"providerID": "p", "modelID": "m"},
        "topP": 0.5,
        "permission": DEFAULTS,
    }
    settings = agent_settings(agent, {"*": {"*": "deny"}, "read": {"*": "allow", "a": "deny"}})
    assert settings["prompt"] == "Be brief."
    assert settings["model"] == "p/m"
    assert settings["top_p"] == 0.5
    assert settings["permission"] == {"*": "deny", "read": {"*": "allow", "a": "deny"}}
