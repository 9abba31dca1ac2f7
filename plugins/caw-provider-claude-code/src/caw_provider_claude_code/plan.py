"""The agent's plan, from the tools with which claude keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from caw_core.events import PlanUpdated
from caw_core.json_fields import mapping, objects, text
from caw_core.trajectory import PlanEntry

if TYPE_CHECKING:
    from caw_core.blocks import JSON


class Plan:
    """Follows the plan of one conversation.

    Claude writes it whole with ``TodoWrite`` in older versions, step by step with ``TaskCreate``
    and ``TaskUpdate`` in newer ones (2.1.197 has these unless ``CLAUDE_CODE_ENABLE_TASKS=0``).
    """

    def __init__(self) -> None:
        self._tasks: dict[str, PlanEntry] = {}

    def after(self, tool: str, arguments: dict[str, JSON], result: JSON) -> PlanUpdated | None:
        """Return the plan as a tool call left it, or None if the call did not change it.

        Args:
            tool: the tool's name.
            arguments: what it was called with.
            result: the ``tool_use_result`` that claude gave with the result.
        """
        match tool:
            case "TodoWrite":
                return self._written(objects(arguments, "todos"))
            case "TaskCreate":
                return self._created(mapping(result, "task"))
            case "TaskUpdate":
                return self._updated(arguments)
            case "TaskList":
                return self._listed(objects(result, "tasks"))
        return None

    def _written(self, todos: list[dict[str, JSON]]) -> PlanUpdated:
        self._tasks = {str(place): _entry(todo, "content") for place, todo in enumerate(todos)}
        return self._now()

    def _created(self, task: dict[str, JSON]) -> PlanUpdated | None:
        if not text(task, "id"):
            return None
        self._tasks[text(task, "id")] = _entry(task, "subject")
        return self._now()

    def _updated(self, arguments: dict[str, JSON]) -> PlanUpdated | None:
        task_id, status = text(arguments, "taskId"), text(arguments, "status")
        old = self._tasks.get(task_id)
        if old is None:
            return None
        if status == "deleted":
            del self._tasks[task_id]
        else:
            self._tasks[task_id] = attrs.evolve(
                old, text=text(arguments, "subject") or old.text, status=status or old.status
            )
        return self._now()

    def _listed(self, tasks: list[dict[str, JSON]]) -> PlanUpdated | None:
        listed = {text(task, "id"): _entry(task, "subject") for task in tasks}
        if listed == self._tasks:
            return None
        self._tasks = listed
        return self._now()

    def _now(self) -> PlanUpdated:
        return PlanUpdated(entries=tuple(self._tasks.values()))


def _entry(task: dict[str, JSON], name: str) -> PlanEntry:
    return PlanEntry(text=text(task, name), status=text(task, "status") or "pending")
