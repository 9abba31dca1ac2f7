"""Build every distribution and use it the way that users get it.

    python3 dev.py wheels

1. An sdist of each distribution, and a wheel from that sdist, so that both are complete.
2. Their contents and their descriptions are checked.
3. Each plugin goes into an empty environment, with the core alone, from the wheels and with
   ``--only-binary``, so nothing compiles. There the command line must find it and run. Then all
   go into one.
4. Everything is installed with the lowest versions that the distributions say they take, and the
   tests of the core and of what needs no program run there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from caw_core.registry import GROUPS

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]
LOWEST_TESTS = (
    "tests",
    "plugins/caw-prices/tests",
    "plugins/caw-provider-echo/tests",
    "plugins/caw-storage-jsonl/tests",
    "plugins/caw-tools/tests",
)
LOWEST_MARKS = "not real_codex and not real_claude and not real_opencode"
SMOKE = """
import importlib, sys
import caw_core
caw_core.Agent
importlib.import_module(sys.argv[1])
"""


class Distribution:
    """One ``pyproject.toml`` and what was built from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        document = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
        self.project = document["project"]
        self.name: str = self.project["name"]
        (package,) = document["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
        self.module = Path(package).name
        self.wheel = Path()

    @property
    def plugins(self) -> list[tuple[str, str]]:
        """The kind and the name of each plugin that it offers."""
        groups = self.project.get("entry-points", {})
        return [(kind, name) for kind, group in GROUPS.items() for name in groups.get(group, {})]

    def extra_for(self, other: Distribution) -> str | None:
        """Return the extra that installs *other* and nothing more."""
        for extra, texts in self.project.get("optional-dependencies", {}).items():
            if [Requirement(text).name for text in texts] == [other.name]:
                return str(extra)
        return None


def run(*words: str | Path, env: dict[str, str] | None = None, cwd: Path = ROOT) -> str:
    """Run a program and return what it printed; one that fails ends everything."""
    command = [str(word) for word in words]
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\nFAILED with status {done.returncode}: {' '.join(command)}")
    return done.stdout


def main() -> None:
    """Do all of it; the first thing that is wrong ends it."""
    with tempfile.TemporaryDirectory(prefix="caw-wheels-") as name:
        place = Path(name)
        everything = {one.name: one for one in map(Distribution, FOLDERS)}
        steps: list[tuple[str, Callable[[], None]]] = [
            ("build", lambda: build(everything, place / "dist")),
            ("contents", lambda: check_contents(place / "dist")),
            *(
                (f"install {one.name}", partial(install_alone, everything, one, place))
                for one in everything.values()
            ),
            ("install everything", lambda: install_all(everything, place)),
            ("lowest versions", lambda: test_lowest(everything, place)),
        ]
        for what, step in steps:
            started = time.monotonic()
            step()
            print(f"{what}: ok, {time.monotonic() - started:.0f} s", flush=True)


def build(everything: dict[str, Distribution], folder: Path) -> None:
    """Make an sdist and a wheel of each."""
    for one in everything.values():
        # The build tools are in the environment already: the same for all, and no download.
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, one.folder)
        (one.wheel,) = folder.glob(f"{one.name.replace('-', '_')}-*.whl")


def check_contents(folder: Path) -> None:
    """Look into the archives."""
    run(sys.executable, "-m", "twine", "check", "--strict", *sorted(folder.iterdir()))
    run(sys.executable, "-m", "check_wheel_contents", *sorted(folder.glob("*.whl")))


def install_alone(everything: dict[str, Distribution], one: Distribution, place: Path) -> None:
    """Install a distribution and what of ours it depends on, nothing else, and use it."""
    core = everything["caw-core"]
    bin_folder = make_environment(place / one.name)
    extra = None if one is core else core.extra_for(one)
    # By path, so that no index can offer something else under the same name.
    wheels = [f"{core.wheel}[{extra}]" if extra else str(core.wheel)]
    all_of_ours = needed(everything, one)
    wheels += [str(each.wheel) for each in all_of_ours if each is not core]
    install(bin_folder, "--only-binary", ":all:", *wheels)
    run(bin_folder / "python", "-m", "pip", "check")
    env = empty_home(place / f"{one.name}-home", bin_folder)
    home = Path(env["HOME"])
    run(bin_folder / "python", "-I", "-c", SMOKE, one.module, env=env, cwd=home)
    version = run(bin_folder / "caw", "--version", env=env, cwd=home)
    if core.project["version"] not in version:
        sys.exit(f"caw --version said {version!r}")
    listed = run(bin_folder / "caw", "plugins", "--json", env=env, cwd=home)
    check_listed(all_of_ours, listed)
    if ("provider", "echo") in one.plugins:
        answer = run(bin_folder / "caw", "run", "--provider", "echo", "hello", env=env, cwd=home)
        if "hello" not in answer:
            sys.exit(f"caw run with echo said {answer!r}")


def needed(everything: dict[str, Distribution], one: Distribution) -> list[Distribution]:
    """Return a distribution and those of ours that it depends on, also by an extra."""
    found = [one]
    for each in found:
        texts = list(each.project.get("dependencies", []))
        # It grows while it is gone through, as the list of what was found does.
        for requirement in map(Requirement, texts):
            other = everything.get(requirement.name)
            if other is not None:
                extras = other.project.get("optional-dependencies", {})
                texts += [text for extra in requirement.extras for text in extras[extra]]
                found += [other] if other not in found else []
    return found


def install_all(everything: dict[str, Distribution], place: Path) -> None:
    """Install the core with the extra that brings every plugin, and see that they agree."""
    bin_folder = make_environment(place / "everything")
    core = everything["caw-core"]
    others = [str(one.wheel) for one in everything.values() if one is not core]
    install(bin_folder, "--only-binary", ":all:", f"{core.wheel}[all]", *others)
    run(bin_folder / "python", "-m", "pip", "check")


def check_listed(ours: list[Distribution], listed: str) -> None:
    """Check that ``caw plugins --json`` has the plugins of these distributions and no other."""
    rows = [json.loads(line) for line in listed.splitlines()]
    found = {
        (row["kind"], name, row["distribution"])
        for row in rows
        for name in (row["name"], *row["aliases"])
    }
    if found != {(kind, name, one.name) for one in ours for kind, name in one.plugins}:
        sys.exit(f"with {ours[0].name} alone, caw plugins --json said {listed}")


def test_lowest(everything: dict[str, Distribution], place: Path) -> None:
    """Run tests with the lowest versions of all direct dependencies."""
    bin_folder = make_environment(place / "lowest")
    group = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]["test"]
    # The tools that run the tests are as new as they must be.
    free = {canonicalize_name(name) for name in everything}
    free |= {canonicalize_name(Requirement(text).name) for text in group}
    lowest: dict[str, Version] = {}
    for text in (text for one in everything.values() for text in one.project["dependencies"]):
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        for bound in requirement.specifier:
            if bound.operator == ">=" and name not in free:
                lowest[name] = max(Version(bound.version), lowest.get(name, Version("0")))
    constraints = place / "lowest.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in lowest.items()))
    wheels = [str(one.wheel) for one in everything.values()]
    install(bin_folder, "--constraint", str(constraints), *wheels, *group)
    env = empty_home(place / "lowest-home", bin_folder)
    # The place of the installed programs is this user's own.
    env |= {name: os.environ[name] for name in ("CAW_PROGRAMS_DIR",) if name in os.environ}
    tests = [ROOT / path for path in LOWEST_TESTS]
    # From elsewhere, or the core would be imported from the checkout.
    words: list[str | Path] = ["-c", ROOT / "pyproject.toml", "--rootdir", ROOT, *tests]
    words += ["--ignore", ROOT / "tests/docs", "-m", LOWEST_MARKS]
    print(run(bin_folder / "pytest", "--quiet", *words, env=env, cwd=place).splitlines()[-1])


def make_environment(folder: Path) -> Path:
    """Make an empty environment; return the folder of its programs."""
    run(sys.executable, "-m", "venv", folder)
    return folder / ("Scripts" if sys.platform == "win32" else "bin")


def install(bin_folder: Path, *words: str) -> None:
    """Install with pip, which knows the user's index, proxy and certificates."""
    run(bin_folder / "python", "-m", "pip", "install", *words)


def empty_home(folder: Path, bin_folder: Path) -> dict[str, str]:
    """Return an environment in which nothing of this user's is found."""
    folder.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith("CAW_")}
    path = os.pathsep.join([str(bin_folder), env.get("PATH", os.defpath)])
    return env | {"HOME": str(folder), "CAW_HOME": str(folder / "caw"), "PATH": path}


if __name__ == "__main__":
    main()
