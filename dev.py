"""Everything that a developer runs here: ``python3 dev.py COMMAND``.

    demo      the main job: a conversation with a small model on this machine, no key needed
    test      all tests; more words go to pytest, as in `python3 dev.py test -k resume`
    lint      ruff, and mypy --strict over every distribution and its tests
    fix       what ruff can mend by itself
    wheels    build every distribution, install each into an empty place, use it there
    docs      check the links and the code of the pages
    bench     a benchmark by name, as in `python3 dev.py bench import_time`
    all       test, lint, wheels and docs, as CI does

Needs Python 3.11 or newer with venv and pip; the tests need npm too. What is installed goes to
``.venv`` beside this file, with your pip's own configuration, and is reused until a
``pyproject.toml`` changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "caw-dev.json"
DISTRIBUTIONS = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]
DEMO = [ROOT, ROOT / "plugins/caw-provider-local", ROOT / "plugins/caw-storage-jsonl"]
# What pip would otherwise fetch anew for each distribution that it builds.
BUILD_TOOLS = ["hatchling>=1.27,<2", "editables>=0.5,<1"]
OTHER_SYSTEMS = [system for system in ("linux", "darwin", "win32") if system != sys.platform]
# Programs with a #! line, which Windows does not run; what makes them says so there.
ONLY_POSIX = r"/(faulty_relay|standin_program)\.py$"


def main(arguments: list[str]) -> int:
    """Run one command; return its exit status."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever has an older one should be told so
        sys.exit("Python 3.11 or newer is needed, as in: python3.13 dev.py")
    command, *rest = arguments or ["help"]
    if command not in COMMANDS:
        print(__doc__)
        return 0 if command in ("help", "-h", "--help") else 2
    set_up("demo" if command == "demo" else "dev")
    return COMMANDS[command](rest)


# -------------------------------------------------------------------------------- the commands


def demo(arguments: list[str]) -> int:
    """Run the example; the model's weights come by themselves."""
    return run(PYTHON, ROOT / "examples/first_conversation.py", *arguments)


def test(arguments: list[str]) -> int:
    """Install the agents' programs if need be, and run pytest."""
    words = list(arguments)
    if all(word.startswith("--") for word in words):
        # All tests, which mostly wait for other programs: one more than there are processors pays.
        words += ["-n", str(min(4, (os.cpu_count() or 1) + 1)), "--dist", "worksteal"]
    # Here and not in a fixture: it may take minutes, and a test has two.
    return run(PYTHON, ROOT / "tools/install_programs.py") or run(PYTHON, "-m", "pytest", *words)


def lint(_: list[str]) -> int:
    """Check style and types; report all that is wrong, not only the first."""
    status = run(PYTHON, "-m", "ruff", "check", ".")
    status |= run(PYTHON, "-m", "ruff", "format", "--check", ".")
    mypy: list[str | Path] = [PYTHON, "-m", "mypy", "--config-file", ROOT / "pyproject.toml"]
    mypy += ["--cache-dir", ROOT / ".mypy_cache"]
    packages = [ROOT / "caw_core", *sorted(ROOT.glob("plugins/*/src/*/"))]
    sources = [*packages, *sorted(ROOT.glob("tools/*.py")), ROOT / "dev.py"]
    status |= run(*mypy, *sources)
    for system in OTHER_SYSTEMS:
        # A cache of its own each, which the next system would otherwise throw away.
        cache = ROOT / ".mypy_cache" / system
        only_posix: list[str | Path] = ["--exclude", ONLY_POSIX] if system == "win32" else []
        status |= run(*mypy, "--cache-dir", cache, "--platform", system, *only_posix, *sources)
    for folder in DISTRIBUTIONS:
        # One at a time, since several have a module of the same name.
        if any(folder.glob("tests/**/*.py")):
            status |= run(*mypy, "--explicit-package-bases", "tests", cwd=folder)
    programs = [*ROOT.glob("bench/*.py"), *ROOT.glob("examples/*.py")]
    return status | run(*mypy, *sorted(programs))


def fix(_: list[str]) -> int:
    """Mend what can be mended without thinking."""
    return run(PYTHON, "-m", "ruff", "check", "--fix", ".") | run(
        PYTHON, "-m", "ruff", "format", "."
    )


def wheels(arguments: list[str]) -> int:
    """Build, install and use every distribution."""
    return run(PYTHON, ROOT / "tools/wheels.py", *arguments)


def docs(arguments: list[str]) -> int:
    """Check the pages."""
    return run(PYTHON, ROOT / "tools/pages.py", *arguments)


def bench(arguments: list[str]) -> int:
    """Run one benchmark."""
    known = sorted(path.stem for path in ROOT.glob("bench/[a-z]*.py"))
    name, *rest = arguments or [""]
    if name not in known:
        print(f"which benchmark? There are: {', '.join(known)}")
        return 2
    return run(PYTHON, ROOT / f"bench/{name}.py", *rest)


def everything(_: list[str]) -> int:
    """Run what CI runs, to the end even if something fails."""
    status = 0
    for name in ("lint", "wheels", "docs", "test"):
        print(f"\n== {name} ==", flush=True)
        started = time.monotonic()
        failed = COMMANDS[name]([])
        print(f"== {name} {'FAILED' if failed else 'ok'}, {time.monotonic() - started:.0f} s ==")
        status |= failed
    return status


COMMANDS = {
    "demo": demo,
    "test": test,
    "lint": lint,
    "fix": fix,
    "wheels": wheels,
    "docs": docs,
    "bench": bench,
    "all": everything,
}


# ---------------------------------------------------------------------------------- the set-up


def set_up(what: str) -> None:
    """Make ``.venv`` hold what a command needs: ``demo`` the product alone, ``dev`` everything."""
    wanted = fingerprint()
    done = stamps()
    if done.get("dev") == wanted or done.get(what) == wanted:
        return
    started = time.monotonic()
    size = "about 110 MB" if what == "demo" else "about 160 MB"
    print(f"setting up {VENV} ({size} to download, once)", flush=True)
    if not works(PYTHON):
        shutil.rmtree(VENV, ignore_errors=True)
        checked(sys.executable, "-m", "venv", VENV)
    if not works(PYTHON, "-m", "pip", "--version"):
        checked(PYTHON, "-m", "ensurepip")
    install(*BUILD_TOOLS)
    folders = DEMO if what == "demo" else DISTRIBUTIONS
    editable = [word for folder in folders for word in ("-e", str(folder))]
    install("--no-build-isolation", *editable, *([] if what == "demo" else requirements("dev")))
    STAMP.write_text(json.dumps({**done, what: wanted}), encoding="utf-8")
    print(f"set up in {time.monotonic() - started:.0f} s", flush=True)


def fingerprint() -> str:
    """Return what the set-up depends on, as a hash."""
    digest = hashlib.sha256(f"{ROOT}\n{sys.version}\n".encode())
    for folder in DISTRIBUTIONS:
        digest.update((folder / "pyproject.toml").read_bytes())
    return digest.hexdigest()


def stamps() -> dict[str, str]:
    """Return the fingerprints of what is set up already."""
    try:
        found = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return dict(found) if works(PYTHON) else {}


def requirements(group: str) -> list[str]:
    """Return one of the dependency groups, with those that it includes."""
    import tomllib

    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    found: list[str] = []
    for item in groups[group]:
        found += [item] if isinstance(item, str) else requirements(item["include-group"])
    return found


def install(*words: str) -> None:
    """Install with pip, which knows the user's index, proxy and certificates."""
    # -qq: a configured index that is not there is worth a warning to pip, and none to us.
    checked(PYTHON, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *words)


# -------------------------------------------------------------------------------- the processes


def environment() -> dict[str, str]:
    """Return the environment of everything that runs here: this one, with ``.venv`` active."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env["VIRTUAL_ENV"] = str(VENV)
    env["PATH"] = os.pathsep.join([str(PYTHON.parent), env.get("PATH", os.defpath)])
    env["PIP_USER"] = "0"
    return env


def run(*words: str | Path, cwd: Path = ROOT) -> int:
    """Run a program to its end and return its exit status."""
    return subprocess.run([str(word) for word in words], cwd=cwd, env=environment()).returncode  # noqa: PLW1510 - the caller looks at the status


def checked(*words: str | Path) -> None:
    """Run a program; end here if it fails. It has said why by itself."""
    if status := run(*words):
        sys.exit(status)


def works(*words: str | Path) -> bool:
    """Tell whether a Python runs at all."""
    command = [*map(str, words), *(() if len(words) > 1 else ("-c", ""))]
    try:
        done = subprocess.run(command, capture_output=True, check=False, env=environment())
    except OSError:
        return False
    return done.returncode == 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
