"""Looking at trajectories' files, in the terminal and in the browser."""

from __future__ import annotations

import http.client
import json
import re
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from click.testing import CliRunner

from caw import start_viewer_server
from caw.traj_cli import command

GOLDEN = Path(__file__).parent / "golden"
FILE = GOLDEN / "subagents/trajectory.json"


def printed(*arguments: object, code: int = 0) -> str:
    """Return what ``caw-traj`` prints, on whichever stream."""
    result = CliRunner().invoke(command, list(map(str, arguments)))
    assert result.exit_code == code, result.output
    return result.output


def test_steps_are_listed_with_their_lines_in_the_file() -> None:
    listing = printed(FILE, "--recursive")
    assert "Turns: 1 | Steps: 3 top-level / 5 total | In: 30 | Out: 15" in listing
    assert '  [1/1] asst: "Fine." (5c, L' in listing
    lines = FILE.read_text().splitlines()
    for text, first, last in re.findall(r'"(\w[^"]+)" \(\d+c, L(\d+)(?:-L(\d+))?\)', listing):
        assert text in "\n".join(lines[int(first) - 1 : int(last or first)])


def test_text_stands_in_the_list_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    turn = {"input": 'Say "a\\n".', "output": [{"type": "text", "text": "done "}]}
    file.write_text(json.dumps({"turns": [turn]}, indent=2))
    assert r'[0] user: "Say "a\n"." (10c, L4)' in printed(file)
    assert printed(file, "--step", "1").endswith("[1] asst:\ndone \n")


def test_selected_steps_are_shown_whole() -> None:
    shown = printed(FILE, "--step", "[0],1/0-1/1")
    assert "[1/0] user:\nLook at a.py." in shown
    assert "[1/1] asst:\nFine." in shown
    assert "[2]" not in shown


@pytest.mark.parametrize("selector", ["9", "1/7", "2-1", "1-2/3", "x", ""])
def test_step_that_is_not_there_is_an_error(selector: str) -> None:
    assert "Error: " in printed(FILE, "--step", selector, code=1)


def test_file_that_is_no_trajectory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[]")
    assert "holds no trajectory" in printed(tmp_path / "list.json", code=1)
    printed(tmp_path / "missing.json", code=2)


def test_text_of_agents_does_not_command_the_terminal(tmp_path: Path) -> None:
    turn = {"input": "hi", "output": [{"type": "text", "text": "\x1b[2Jgone"}]}
    (tmp_path / "run.json").write_text(json.dumps({"agent": "echo", "turns": [turn]}))
    assert "\x1b" not in printed(tmp_path / "run.json", "--step", "1")


def test_viewer_opens_a_file_by_its_path_for_whoever_has_its_address() -> None:
    viewer = start_viewer_server()
    connection = http.client.HTTPConnection(viewer.host, viewer.port)
    place = f"/file?{urlencode({'path': FILE})}"
    try:
        assert viewer.check_status()
        connection.request("GET", place)
        refused = connection.getresponse()
        assert (refused.status, b"reviewer" in refused.read()) == (403, False)
        address = urlsplit(viewer.url)
        connection.request("GET", f"{address.path}?{address.query}")
        answer = connection.getresponse()
        answer.read()
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
        connection.request("GET", place, headers={"Cookie": cookie})
        assert "Have the reviewer look at a.py." in connection.getresponse().read().decode()
    finally:
        connection.close()
        viewer.stop()
    assert not viewer.check_status()
