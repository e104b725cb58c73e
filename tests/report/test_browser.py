"""The page in a real browser: it asks for nothing, fits a telephone, answers a pointer, prints."""

import shutil

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def address(page, tmp_path_factory):
    file = tmp_path_factory.mktemp("browser") / "report.html"
    file.write_text(page)
    return file.as_uri()


@pytest.fixture
def opened(browser, address):
    """Opens the report and fails where it asks for anything or its script errs."""
    pages, asked, errors = [], [], []

    def open_page(**how):
        tab = browser.new_page(**how)
        pages.append(tab)
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        tab.goto(address)
        return tab

    yield open_page
    for tab in pages:
        tab.close()
    assert all(url.startswith("file:") for url in asked)
    assert errors == []


def test_at_the_width_of_a_telephone_nothing_sticks_out(opened):
    tab = opened(viewport={"width": 360, "height": 740})
    assert tab.evaluate("document.documentElement.scrollWidth") == 360


def test_a_dark_page_has_light_words_in_charts_and_text(opened):
    tab = opened(color_scheme="dark")
    colours = tab.evaluate(
        "[getComputedStyle(document.body).backgroundColor,"
        " getComputedStyle(document.querySelector('.panel svg text')).fill].map("
        " (c) => c.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0) / 3)"
    )
    background, words = colours
    assert background < 40
    assert words > 150


def test_a_mark_says_its_numbers_under_the_pointer(opened):
    tab = opened()
    cell = tab.locator("#figure-transfer-heatmap [data-tip*='Danish on Swedish']").first
    cell.scroll_into_view_if_needed()
    cell.hover()
    assert "Danish on Swedish: BTS" in tab.locator("#tip").inner_text()


def test_a_figure_is_enlarged_zoomed_moved_and_closed_by_keyboard_alone(opened):
    tab = opened()
    tab.locator("#figure-transfer-heatmap .enlarge").focus()
    tab.keyboard.press("Enter")
    drawn = tab.locator("#stage svg")
    whole = drawn.get_attribute("viewBox")
    tab.keyboard.press("+")
    zoomed = drawn.get_attribute("viewBox")
    tab.keyboard.press("ArrowRight")
    moved = drawn.get_attribute("viewBox")
    assert len({whole, zoomed, moved}) == 3
    assert float(zoomed.split()[2]) < float(whole.split()[2])
    tab.keyboard.press("Escape")
    assert not tab.locator("#enlarged").is_visible()


def test_on_paper_everything_is_open_and_light(opened, tmp_path):
    tab = opened(color_scheme="dark")
    pdf = tab.pdf(path=tmp_path / "report.pdf", format="A4")
    assert pdf.startswith(b"%PDF")
    assert tab.evaluate("[...document.querySelectorAll('details')].every((d) => d.open)")
    tab.emulate_media(media="print")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_against_the_accessibility_rules(browser, address, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")
    # The page's policy lets no other script run, not even the one that checks it.
    tab = browser.new_context(color_scheme=scheme, bypass_csp=True).new_page()
    tab.goto(address)
    found = axe.Axe().run(tab).response["violations"]
    tab.context.close()
    assert [(v["id"], v["nodes"][0]["html"][:120]) for v in found] == []
