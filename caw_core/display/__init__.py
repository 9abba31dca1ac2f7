"""Shows a person what agents do, on stderr: see docs/how-to/see-what-the-agent-does.md.

Nothing here is loaded before a display is on, and rich only for one on a terminal.
"""
