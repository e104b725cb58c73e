"""One planted study with fits and a matrix, served once; a headless Chromium, if there is one."""

import os
import shutil
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

pytest.importorskip(
    "fastapi", reason="the dashboard's packages are not installed: pip install '.[web]'"
)

import uvicorn

from atlas_scaling.fitting.api import fit
from atlas_scaling.runs.store import read_runs
from atlas_scaling.transfer.matrix_files import save_matrix
from atlas_scaling.transfer.pairs import matrices_from_runs
from atlas_scaling.web.app import create_app
from atlas_scaling.web.security import Access
from atlas_scaling.web.session import Session
from atlas_scaling.web.workspace import Workspace
from tests.report.planted import write_study

MAX_UPLOAD = 3_000_000
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMIUM_OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """A folder with runs, fits of two laws and a measured matrix."""
    folder = tmp_path_factory.mktemp("web") / "study"
    write_study(
        folder / "runs",
        languages=("swe_Latn", "dan_Latn", "rus_Cyrl"),
        pairs=(("dan_Latn", "swe_Latn"), ("rus_Cyrl", "swe_Latn")),
    )
    runs = read_runs(folder / "runs")
    for target, law in (("swe_Latn", "atlas"), ("dan_Latn", "atlas"), ("swe_Latn", "chinchilla")):
        fit(runs, law, target=target, bootstrap=60).save(folder / "fits" / f"{target}-{law}.json")
    matrix = matrices_from_runs(runs.frame).of_size().matrix("planted runs")
    save_matrix(matrix, folder / "matrix.csv")
    return folder


@pytest.fixture(scope="session")
def staged(tmp_path_factory):
    """A saved fit of the two-stage law to runs with a planted worth of order."""
    from tests.planning.test_two_stage import LAW, table

    made = fit(table(), LAW, target="swe_Latn", bootstrap=40)
    return made.save(tmp_path_factory.mktemp("staged") / "two-stage.json")


@pytest.fixture
def session_on(tmp_path):
    """Makes sessions that are closed after the test."""
    opened = []

    def make(*sources, **options):
        scratch = tmp_path / f"scratch{len(opened)}"
        scratch.mkdir()
        files = Workspace([Path(s) for s in sources], saves_to=tmp_path / "saved", scratch=scratch)
        opened.append(Session.open(files, workers=1, **{"max_upload_bytes": MAX_UPLOAD, **options}))
        return opened[-1]

    yield make
    for session in opened:
        session.close()


@contextmanager
def served(session, access=None, *, pages_stay=False):
    """The address of a server on a free port, until the block ends; pages on it end before."""
    import socket

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        create_app(session, access or Access()), log_level="error", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    yield address
    for page in [one for one in Page.opened if one.address == address and not pages_stay]:
        page.close()  # what it still asks would be refused, and be taken for trouble
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="session")
def address(study, tmp_path_factory):
    """The study, served."""
    scratch = tmp_path_factory.mktemp("scratch")
    files = Workspace([study], saves_to=tmp_path_factory.mktemp("saved"), scratch=scratch)
    with served(Session.open(files, workers=1, max_upload_bytes=MAX_UPLOAD)) as at:
        yield at


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """The dashboard without anything given: the published study alone."""
    folder = tmp_path_factory.mktemp("nothing")
    files = Workspace([], saves_to=folder / "saved", scratch=folder)
    with served(Session.open(files, workers=1, max_upload_bytes=MAX_UPLOAD)) as at:
        yield at


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium; its event loop would be in the way of tests elsewhere."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shots():
    """Takes screenshots into the folder ``ATLAS_SHOTS``, for people; none without it."""
    folder = os.environ.get("ATLAS_SHOTS")

    def take(page, name, **options):
        if folder:
            page.screenshot(path=Path(folder) / f"{name}.png", **options)

    return take


class Page:
    """A page that fails its test on any script error, failed request or request to elsewhere."""

    opened: ClassVar[list] = []

    def __init__(self, browser, address, **options):
        self.address = address
        self.trouble = []
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("pageerror", lambda error: self.trouble.append(f"script: {error}"))
        self.page.on("console", lambda said: said.type == "error" and self.note(said.text))
        self.page.on("request", self.check)
        self.opened.append(self)

    def close(self):
        if self in self.opened:
            self.opened.remove(self)
            self.context.close()

    def note(self, text):
        if "422" not in text:  # a refused question is an answer
            self.trouble.append(f"console: {text}")

    def check(self, request):
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.trouble.append(f"request to {request.url}")

    def go(self, view):
        self.page.goto(f"{self.address}/#/{view}")
        self.page.wait_for_selector(f"main .view-{view.partition('?')[0]}")
        return self.page


@pytest.fixture
def page_on(chromium):
    """Makes pages on an address; what went wrong on them fails the test."""
    opened = []

    def make(address, **options):
        opened.append(Page(chromium, address, **options))
        return opened[-1]

    yield make
    trouble = [text for page in opened for text in page.trouble]
    for page in opened:
        page.close()
    assert not trouble, trouble
