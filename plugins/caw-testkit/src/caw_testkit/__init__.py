"""Test coding agents without keys.

``caw_testkit.modelserver`` is a scripted model server, ``caw_testkit.programs`` installs the real
programs at pinned versions, ``caw_testkit.homes`` wires a program to a server,
``caw_testkit.toolserver`` gives it a tool to call, and ``caw_testkit.plugin`` offers all of that as
pytest fixtures.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
