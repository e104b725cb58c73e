"""``atlas serve`` as a user starts it."""

import os
import re
import signal
import subprocess
import sys
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

pytest.importorskip("fastapi", reason="the dashboard's packages are not installed")


from atlas_scaling.errors import InputError
from tests.cli.program import called


def started(*arguments, cwd):
    command = [sys.executable, "-m", "atlas_scaling", "serve", "--no-browser", *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=cwd, env=environment)


def test_it_prints_an_address_of_this_machine_answers_and_stops_quietly(tmp_path):
    with started(cwd=tmp_path) as server:
        try:
            address = server.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{20,}", address)
            with build_opener(HTTPCookieProcessor()).open(address, timeout=20) as page:
                assert b"<title>atlas</title>" in page.read()
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(20) in (0, 130)
    assert list(tmp_path.iterdir()) == []  # nothing is written unless it is saved


def test_beyond_this_machine_it_makes_a_token_and_says_what_that_means(tmp_path):
    with started("--host", "0.0.0.0", cwd=tmp_path) as server:
        try:
            address = server.stdout.readline().strip()
            assert re.search(r"\?token=[\w-]{20,}$", address)
            said = " ".join(server.stdout.readline() for _ in range(4))
            assert "anybody who reaches" in said
            assert "not encrypted" in said
        finally:
            server.send_signal(signal.SIGINT)
        server.wait(20)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["no-such-folder"], "there is no such file or folder"),
        (["--no-token", "--host", "0.0.0.0"], "listening beyond this machine needs a token"),
        (["--no-token", "--token", "x" * 24], "none is to be asked for"),
        (["--host", "0.0.0.0", "--token", "short"], "a token is 16 to 200"),
        (["--host", "203.0.113.7", "--token", "x" * 20], "nothing can listen there"),
        (["--max-upload", "many"], "--max-upload is not a number"),
    ],
)
def test_wrong_input_is_refused(tmp_path, monkeypatch, arguments, problem):
    monkeypatch.chdir(tmp_path)
    done = called("serve", "--no-browser", *arguments)
    assert isinstance(done.exception, InputError)
    assert problem in str(done.exception)
