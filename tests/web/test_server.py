"""``atlas serve`` as a program."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from queue import Queue

import httpx

SERVE = [sys.executable, "-m", "atlas_scaling", "serve", "--no-browser", "--json"]


def document(process):
    """What a program that goes on printed first: one indented JSON document."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line == "}\n":
            return json.loads("".join(lines))
    raise AssertionError("".join(lines))


def test_it_prints_a_link_that_opens_it_and_without_its_token_nothing_does(tmp_path):
    with subprocess.Popen(
        [*SERVE, "--save", tmp_path], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            served = document(server)
            bare = served["address"].partition("?")[0]
            assert bare == f"http://127.0.0.1:{served['port']}/"
            assert httpx.get(f"{bare}api/session").status_code == 401
            with httpx.Client(follow_redirects=True) as browser:
                assert "Skip to the content" in browser.get(served["address"]).text
                about = browser.get(f"{bare}api/session").json()
            assert about["saves_to"] == str(tmp_path.resolve())
        finally:
            server.send_signal(signal.SIGINT)
    assert server.returncode == 130


def test_the_browser_is_opened_with_a_ticket_and_the_link_has_the_token(monkeypatch, tmp_path):
    from atlas_scaling.web import server

    opened, said = Queue(), []
    monkeypatch.setattr(server.uvicorn.Server, "run", lambda self, sockets: None)
    monkeypatch.setattr(server, "_open_when_up", lambda _, address: opened.put(address))
    monkeypatch.setenv("DISPLAY", ":0")
    server.serve([], saves_to=tmp_path, say=said.append)
    assert said[0].token in said[0].address
    assert said[0].notes == ()
    assert said[0].token not in opened.get(timeout=5)
    server.serve([], saves_to=tmp_path, asks_for_token=False, browser=False, say=said.append)
    assert said[1].address.endswith(f":{said[1].port}/")
    assert "every user of this machine" in said[1].notes[0]
    assert not list(Path(tmp_path).iterdir())


def test_where_there_is_no_screen_no_text_browser_takes_the_terminal(monkeypatch):
    from atlas_scaling.web import server

    monkeypatch.setattr(server.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    assert not server._has_screen()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert server._has_screen()
