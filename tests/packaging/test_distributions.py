"""What all distributions of this repository have in common."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from caw_core.known_plugins import KNOWN_DISTRIBUTIONS
from caw_core.registry import GROUPS

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
FOLDERS = [ROOT, *PLUGINS]

each_distribution = pytest.mark.parametrize(
    "folder", FOLDERS, ids=lambda path: path.name if path in PLUGINS else "core"
)
each_plugin = pytest.mark.parametrize("folder", PLUGINS, ids=lambda path: path.name)


@cache
def project(folder: Path) -> dict[str, Any]:
    return dict(tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"])


def package(folder: Path) -> Path:
    document = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    (source,) = document["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return folder / str(source)


OWN = {project(folder)["name"]: project(folder)["version"] for folder in FOLDERS}


@each_plugin
def test_folder_is_named_as_its_distribution(folder: Path) -> None:
    assert project(folder)["name"] == folder.name


@each_distribution
def test_all_distributions_have_one_version(folder: Path) -> None:
    assert project(folder)["version"] == project(ROOT)["version"]


@each_distribution
@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "LICENSE"])
def test_distribution_has_its_papers(folder: Path, name: str) -> None:
    assert (folder / name).read_text("utf-8").strip()


@each_distribution
def test_licences_are_the_same_file(folder: Path) -> None:
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert project(folder)["license"] == "Apache-2.0"


@each_distribution
def test_package_says_that_it_is_typed(folder: Path) -> None:
    assert (package(folder) / "py.typed").exists()


@each_distribution
def test_changelog_speaks_of_the_version(folder: Path) -> None:
    assert project(folder)["version"] in (folder / "CHANGELOG.md").read_text("utf-8")


@each_distribution
def test_readme_says_how_to_install_it(folder: Path) -> None:
    readme = (folder / "README.md").read_text("utf-8")
    extras = "|".join(project(ROOT)["optional-dependencies"])
    assert re.search(rf"{project(folder)['name']}|caw-core\[({extras})", readme)


@each_distribution
def test_python_versions_are_the_same(folder: Path) -> None:
    assert project(folder)["requires-python"] == project(ROOT)["requires-python"]


@each_distribution
def test_dependencies_have_lower_and_upper_bounds(folder: Path) -> None:
    for requirement in map(Requirement, project(folder).get("dependencies", [])):
        operators = {specifier.operator for specifier in requirement.specifier}
        # Only pip's command line is used, and an old one is worse than a new one.
        assert operators >= ({">="} if requirement.name == "pip" else {">=", "<"}), requirement


@each_distribution
def test_dependencies_on_each_other_take_the_version_at_hand(folder: Path) -> None:
    lists = [project(folder).get("dependencies", [])]
    lists += project(folder).get("optional-dependencies", {}).values()
    for requirement in (Requirement(text) for texts in lists for text in texts):
        if requirement.name in OWN:
            assert OWN[requirement.name] in (requirement.specifier or SpecifierSet(">=0"))


def test_every_plugin_has_an_extra_of_its_name() -> None:
    extras = project(ROOT)["optional-dependencies"]
    for folder in PLUGINS:
        groups = project(folder).get("entry-points", {})
        names = {name for group in GROUPS.values() for name in groups.get(group, {})}
        if not names:
            continue
        # One of them: a provider may have aliases.
        (extra,) = names & set(extras)
        (requirement,) = map(Requirement, extras[extra])
        assert requirement.name == folder.name


def test_extra_for_everything_has_everything() -> None:
    extras = project(ROOT)["optional-dependencies"]
    (requirement,) = map(Requirement, extras["all"])
    assert requirement.extras == set(extras) - {"all"}


def test_hint_for_an_unknown_name_knows_every_plugin() -> None:
    for folder in PLUGINS:
        groups = project(folder).get("entry-points", {})
        for kind, group in GROUPS.items():
            for name in groups.get(group, {}):
                assert KNOWN_DISTRIBUTIONS[kind][name] == folder.name
