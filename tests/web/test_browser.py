"""Main journeys in a real Chromium, with screenshots; pages that send nothing elsewhere."""

import json
import re

import httpx
import pytest

from tests.web.conftest import Page
from tests.web.test_jobs import WIDE

pytestmark = pytest.mark.slow

LOOKS = (("wide", 1280, "light"), ("narrow", 360, "light"), ("dark", 1280, "dark"))
STATES = {"runs": "runs?runs=mono-swe_Latn-s-seed0", "fit": "fit?fit=swe_Latn-atlas"}
VIEWS = ("plan", "expand", "start", "stages", "transfer", "runs", "fit", "next")


def settled(page):
    """Wait until nothing is on its way and what came is drawn."""
    page.evaluate(
        """async () => {
          const frame = () => new Promise((go) => requestAnimationFrame(() => setTimeout(go, 30)));
          const busy = () => document.documentElement.hasAttribute("data-busy");
          for (let quiet = 0; quiet < 3; quiet = busy() ? 0 : quiet + 1) await frame();
          await document.fonts.ready;
        }"""
    )
    return page


def comes(where, text, seconds=15):
    """Whether a text appears on a page, or in a part of it."""
    from playwright.sync_api import TimeoutError as TooLate

    try:
        where.get_by_text(text).first.wait_for(timeout=1e3 * seconds)
    except TooLate:
        return False
    return True


GRAVE = """axe.run(document, {resultTypes: ["violations"]}).then((found) => found.violations
  .filter((one) => ["serious", "critical"].includes(one.impact))
  .map((one) => [one.id, one.help, one.nodes.map((node) => node.html.slice(0, 160))]))"""


@pytest.fixture(scope="module")
def walked(chromium, address):
    """One page with axe in it, which goes from view to view."""
    axe = pytest.importorskip("axe_playwright_python.base", reason="no axe here")
    opened = Page(chromium, address)
    opened.go("plan").evaluate(axe.AXE_SCRIPT)
    yield opened
    opened.close()


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_fits_its_page_and_bars_nobody(walked, shots, view):
    """Wide, narrow and dark; no violation of WCAG that axe calls serious or critical."""
    page = settled(walked.go(STATES.get(view, view)))
    for name, width, scheme in LOOKS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        shots(page, f"{view}-{name}", full_page=True)
        grave = page.evaluate(GRAVE)
        assert not grave, f"{name}: {json.dumps(grave, indent=1)}"
    assert walked.trouble == []


def test_the_check_of_every_view_sees_a_button_without_a_name(walked):
    page = walked.go("expand")
    page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    assert [name for name, *_ in page.evaluate(GRAVE)] == ["button-name"]


def test_a_plan_follows_its_sliders_and_its_link_restores_it(page_on, published, shots):
    page = settled(page_on(published).go("plan"))
    headline = page.locator(".lead-sentence")
    before = headline.inner_text()
    page.get_by_role("combobox", name="Languages the model is for").fill("hind")
    page.get_by_role("option", name=re.compile("^Hindi hin_Deva")).wait_for()
    page.keyboard.press("Enter")
    page.get_by_text("hin_Deva", exact=True).first.wait_for()
    slider = page.get_by_role("slider", name="Compute, FLOPs, slider")
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "t => document.querySelector('.lead-sentence').innerText !== t", arg=before
    )
    settled(page)
    after = headline.inner_text()
    assert "hin_Deva" in page.url
    link = page.url
    other = page_on(published).page
    other.goto(link)
    other.wait_for_selector(".lead-sentence")
    settled(other)
    assert other.locator(".lead-sentence").inner_text() == after
    shots(page, "plan-three-languages")


def test_two_plans_are_saved_and_set_side_by_side(page_on, published, shots):
    page = settled(page_on(published).go("plan?t=cat_Latn&C=1e21&U.cat_Latn=2e9"))
    other_tab = page.context.new_page()
    other_tab.goto(page.url)
    settled(other_tab)
    page.bring_to_front()
    for name, flops in (("small", None), ("large", "1e22")):
        if flops:
            page.get_by_label("Compute, FLOPs", exact=True).fill(flops)
            settled(page)
        page.get_by_role("button", name="Save plan").click()
        page.get_by_label("Name of the plan").fill(name)
        page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_label("First", exact=True).select_option("small")
    page.get_by_label("Second", exact=True).select_option("large")
    table = page.get_by_role("region", name="small beside large")
    row = table.get_by_role("row", name=re.compile("^Compute")).inner_text()
    assert "10²¹" in row
    assert "10²²" in row
    shots(page, "plan-compared", full_page=True)
    page.reload()
    page.get_by_label("Second", exact=True).wait_for()
    for tab in (page, other_tab):
        options = tab.get_by_label("Second", exact=True).locator("option")
        assert options.all_inner_texts() == ["This plan", "large", "small"]


TAKEN = {
    "python": "atlas.plan.allocate_targets(",
    "atlas": "kind: mixture",
    "olmo-core": "target_ratio",
    "megatron": "_text_document",
    "huggingface": "interleave_datasets(",
    "olmix": "run,",
    "json": '"n_params"',
}


def test_a_plan_is_taken_along_as_command_python_and_mixtures(page_on, published):
    page = settled(page_on(published).go("plan?t=cat_Latn,swa_Latn&C=1e21&U.cat_Latn=2e9"))
    page.get_by_role("button", name="Copy as…").click()
    code = page.locator("dialog pre")
    command = (
        "atlas plan allocate --target cat_Latn --target swa_Latn --flops 1e+21 --unique cat_Latn=2B"
    )
    assert comes(page, command)
    for form, text in TAKEN.items():
        page.get_by_label("As", exact=True).select_option(form)
        assert comes(code, text), form
    plan = json.loads(code.inner_text())
    question = {"targets": ["ca", "sw"], "flops": 1e21, "unique": {"ca": 2e9}}
    assert plan == httpx.post(f"{published}/api/plan/allocate", json=question).json()


def test_a_wrong_budget_says_what_to_do_and_the_page_recovers(page_on, published):
    page = settled(page_on(published).go("plan?t=cat_Latn&C=1e21"))
    budget = page.get_by_label("Compute, FLOPs", exact=True)
    budget.fill("lots")
    assert comes(page, "Write it like 2e9")
    assert budget.get_attribute("aria-invalid") == "true"
    budget.fill("5")
    assert comes(page.get_by_role("alert"), "too small for any model")
    budget.fill("1e20")
    assert comes(page.locator(".lead-sentence"), "give the lowest mean loss")


def test_what_is_not_known_is_said_in_words(page_on, published):
    page = settled(page_on(published).go("plan?t=cat_Latn&C=1e21"))
    text = page.locator("main").inner_text()
    assert "No intervals: the published laws were printed without their uncertainty" in text
    assert "null" not in text
    assert "undefined" not in text
    assert "NaN" not in text


def test_own_fits_bring_intervals(page_on, address):
    page = settled(page_on(address).go("plan"))
    assert comes(page, "bootstrap draws of the fits")
    assert comes(page, "plan is better in")


def test_the_matrix_is_walked_with_the_keyboard_and_a_cell_opened(page_on, address, shots):
    page = settled(page_on(address).go("transfer?m=matrix"))
    canvas = page.get_by_role("application")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.locator("#live", has_text=" to ").wait_for(state="attached")
    page.keyboard.press("Enter")
    assert comes(page, "Known how")
    assert comes(page, "Over the tokens it is taken at")
    shots(page, "transfer-cell", full_page=True)
    assert "&s=" in page.url


def test_a_matrix_of_a_hundred_languages_is_drawn_and_zoomed(page_on, session_on, tmp_path, shots):
    import numpy as np

    from atlas_scaling.languages import languages
    from atlas_scaling.transfer.matrix import Cell, Origin, Provenance, TransferMatrix
    from atlas_scaling.transfer.matrix_files import save_matrix
    from tests.web.conftest import served

    codes = [one.code for one in languages() if one.branch][:100]
    rng = np.random.Generator(np.random.PCG64(0))
    origin = Origin("made up", d=1e9, n_params=1e8, level=0.9)
    cells = [
        Cell(t, s, v, v - 0.2, v + 0.2, Provenance.MEASURED, origin)
        for t in codes
        for s in codes
        if t != s
        for v in [float(rng.normal(-0.2, 0.4))]
        if v < 2
    ]
    save_matrix(
        TransferMatrix.from_cells(cells, targets=codes, sources=codes), tmp_path / "m.parquet"
    )
    with served(session_on(tmp_path / "m.parquet")) as at:
        page = settled(page_on(at).go("transfer?m=m"))
        assert comes(page, "100 targets by 100 sources")
        whole = page.locator(".heat canvas").screenshot()
        shots(page, "transfer-100")
        for _ in range(5):
            page.get_by_role("button", name="Zoom in").click()
        settled(page)
        assert page.locator(".heat canvas").screenshot() != whole
        shots(page, "transfer-100-zoomed")


def test_a_run_is_found_its_record_read_and_its_curves_drawn(page_on, address, shots):
    page = settled(page_on(address).go("runs"))
    page.get_by_label("Name", exact=True).fill("mono-swe")
    assert comes(page, "3 runs by this filter")
    page.get_by_label("Draw mono-swe_Latn-s-seed0").check()
    page.get_by_label("Draw mono-swe_Latn-m-seed0").check()
    page.get_by_label("Evaluated on").select_option("dan_Latn")
    settled(page)
    drawn = page.get_by_role("img", name=re.compile("^Loss of")).get_attribute("aria-label")
    assert drawn == "Loss of mono-swe_Latn-s-seed0, mono-swe_Latn-m-seed0 over tokens"
    page.get_by_role("button", name="mono-swe_Latn-s-seed0").click()
    page.get_by_text("run.json").click()
    assert comes(page.locator("dialog pre"), '"corpus_sha256"')
    shots(page, "runs-record")


def test_a_running_study_moves_on_the_page(page_on, session_on, tmp_path):
    from tests.run_files import write_run
    from tests.web.conftest import served
    from tests.web.test_live import say

    path = write_run(tmp_path / "r", [])
    say(path, tokens=1024, tokens_per_second=100.0)
    with served(session_on(tmp_path / "r")) as at:
        page = settled(page_on(at).go("runs"))
        assert comes(page, "1.02k of 4.1k tokens trained")
        assert comes(page, "silent for")
        say(path, tokens=4096, tokens_per_second=100.0, state="done")
        assert comes(page, "all done")


def test_a_table_is_dropped_matched_fitted_and_the_fit_saved(page_on, address, tmp_path, shots):
    table = tmp_path / "wide.csv"
    table.write_text(WIDE)
    page = settled(page_on(address).go("fit"))
    page.set_input_files("input[type=file]", table)
    assert comes(page, "Columns of wide.csv")
    page.get_by_label("Parameters, needed").select_option("N")
    page.get_by_label("Training tokens, needed").select_option("D")
    page.get_by_label("Mixture", exact=True).select_option(label="one column a language …")
    shots(page, "fit-mapping", full_page=True)
    page.get_by_role("button", name="Import").click()
    assert comes(page, "32 rows of 32 kept")
    page.get_by_role("checkbox", name="ATLAS").uncheck()
    page.get_by_role("checkbox", name="Danish").uncheck()
    page.get_by_role("button", name="Fit", exact=True).click()
    assert comes(page, "Measured against fitted", seconds=40)
    shots(page, "fit-result", full_page=True)
    page.get_by_role("button", name="Save fit").click()
    page.get_by_label("Name of the fit").fill("from-the-page")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="from-the-page").wait_for()
    saved = [one["id"] for one in httpx.get(f"{address}/api/fits").json()["fits"] if one["saved"]]
    assert "from-the-page" in saved


def test_a_wrong_file_is_refused_with_words(page_on, address, tmp_path):
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"\x89PNG")
    page = settled(page_on(address).go("fit"))
    page.set_input_files("input[type=file]", picture)
    assert comes(page.get_by_role("alert"), "one of the endings that tell its format")
    huge = tmp_path / "huge.csv"
    huge.write_bytes(b"a,b\n" * 900_000)
    page.set_input_files("input[type=file]", huge)
    assert comes(page.get_by_role("alert"), "larger than the dashboard takes")


def test_long_work_shows_its_progress_and_is_cancelled(page_on, address):
    page = settled(page_on(address).go("fit"))
    page.get_by_text("Other laws").click()
    for law in ("Data-constrained", "Skaling (N-D interaction)", "Kaplan"):
        page.get_by_label(law).check()
    page.get_by_role("button", name="Compare on held-out runs").click()
    page.get_by_role("progressbar", name="Scoring laws on held-out runs").wait_for()
    page.get_by_role("button", name="Cancel").click()
    assert comes(page, "cancelled")


@pytest.mark.parametrize("width", [360, 1280])
def test_every_axis_has_two_round_numbers_to_read_from(page_on, published, width):
    opened = page_on(published)
    opened.page.set_viewport_size({"width": width, "height": 900})
    for view, chart in (("start", "text of the law: 2"), ("transfer", "Spanish")):
        picture = settled(opened.go(view)).locator(f"svg[role=img][aria-label*='{chart}']").first
        ticks = picture.locator("text[text-anchor=middle]").all_text_contents()
        assert len(set(ticks)) > 1, view
        if view == "start":  # powers of ten and their simple parts
            assert all(re.fullmatch(r"(1|15|2|3|4|5|6|8)0*[BT]", tick) for tick in ticks)


def test_a_fit_that_cannot_tell_a_size_does_not_open_the_plan_with_a_refusal(
    page_on, session_on, study, tmp_path
):
    from tests.web.conftest import served

    names = ("swe_Latn-atlas", "dan_Latn-atlas")
    for name in names:
        document = json.loads((study / "fits" / f"{name}.json").read_text())
        if name == names[0]:
            for key in ("A", "alpha"):
                document["parameters"][key] |= {"value": None, "verdict": "not identified: planted"}
        path = tmp_path / "fits" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document))
        path.with_suffix(".npz").write_bytes((study / "fits" / f"{name}.npz").read_bytes())
    with served(session_on(tmp_path / "fits")) as at:
        page = settled(page_on(at).go("plan"))
        assert comes(page.locator(".lead-sentence"), "give the lowest mean loss")
        assert "fit=dan_Latn-atlas&" in page.url
    with served(session_on(tmp_path / "fits" / f"{names[0]}.json")) as at:
        page = settled(page_on(at).go("plan"))
        assert comes(
            page.locator(".lead-sentence"), "gives 2B parameters on 40B tokens the lowest mean loss"
        )
        assert "by=size" in page.url
        page.get_by_role("radio", name="Compute", exact=True).check()
        page.get_by_role("button", name="Give size and tokens").click()
        assert comes(
            page.locator(".lead-sentence"), "gives 2B parameters on 40B tokens the lowest mean loss"
        )


def test_the_theme_is_chosen_and_kept(page_on, published):
    page = settled(page_on(published).go("plan"))
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Theme: as the system").click()
    page.get_by_role("button", name="Theme: light").click()
    assert page.evaluate(ground) != light
    page.reload()
    page.wait_for_selector(".lead-sentence")
    page.get_by_role("button", name="Theme: dark").wait_for()
    assert page.evaluate(ground) != light


def test_an_empty_session_says_what_to_do(page_on, published):
    opened = page_on(published)
    for view, words in (
        ("runs", "atlas serve atlas-demo"),
        ("next", "Fit a law"),
        ("fit", "Drop a CSV"),
    ):
        page = settled(opened.go(view))
        assert words in page.locator("main").inner_text()


def test_a_server_that_went_away_is_said(page_on, session_on, study):
    from tests.web.conftest import served

    with served(session_on(study), pages_stay=True) as at:
        opened = page_on(at)
        page = settled(opened.go("expand"))
    page.get_by_label("Languages wanted", exact=True).fill("32")
    assert comes(page, "The server does not answer")
    opened.trouble.clear()  # the browser notes the failed request


def test_whoever_comes_without_the_token_gives_it_and_is_where_the_link_led(
    page_on, session_on, shots
):
    from atlas_scaling.web.security import Access
    from tests.web.conftest import served
    from tests.web.test_security import TOKEN

    with served(session_on(), Access(token=TOKEN)) as at:
        opened = page_on(at)
        page = opened.page
        page.goto(f"{at}/#/expand?K=4&K2=32")
        page.get_by_label("Token").fill("not this one")
        page.keyboard.press("Enter")
        assert comes(page.get_by_role("alert"), "That is not the token of this server")
        shots(page, "token")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Open").click()
        assert comes(page, "From 4 to 32 languages")
        opened.trouble.clear()  # the browser notes the 401 of the first page
        page.context.clear_cookies()  # as after a new start of the server
        page.get_by_label("Languages wanted", exact=True).fill("16")
        assert comes(page, "The server asks for its token")
        page.get_by_role("button", name="Give the token").click()
        page.get_by_label("Token").fill(TOKEN)
        page.keyboard.press("Enter")
        assert comes(page, "From 4 to 16 languages")
        opened.trouble.clear()


def test_exponents_are_shared_by_languages_on_the_page(page_on, address, shots):
    page = settled(page_on(address).go("fit"))
    page.get_by_role("checkbox", name="ATLAS").first.uncheck()
    page.get_by_label("shared by all").check()
    page.get_by_label("none", exact=True).check()
    page.get_by_role("button", name="Fit", exact=True).click()
    assert comes(page, "shared by 3 languages", seconds=40)
    shared = page.get_by_role("region", name="Shared parameters").inner_text()
    assert "α" in shared
    assert "β" in shared
    assert comes(page, "Sharing raises the sum that is minimised")
    shots(page, "fit-shared", full_page=True)


def test_two_stages_are_planned_from_a_fit_and_without_one_the_runs_that_tell_are_named(
    page_on, session_on, staged, shots
):
    from tests.web.conftest import served

    with served(session_on(staged)) as at:
        page = settled(page_on(at).go("stages?C=1e19&U.swe_Latn=5e8"))
        answer = httpx.post(
            f"{at}/api/plan/schedule",
            json={"fit": "two-stage", "flops": 1e19, "unique": {"swe_Latn": 5e8}},
        ).json()
        first = answer["schedule"]["stages"][0]["fraction"]
        assert f"{100 * first:.0f}" in page.locator(".lead-sentence").inner_text()
        assert comes(page, "The second stage saves")
        shots(page, "stages", full_page=True)
        missing = httpx.post(
            f"{at}/api/plan/schedule", json={"target": "ca", "sources": ["es"], "flops": 1e19}
        ).json()
        page.get_by_label("Fit of the two-stage law").select_option("")
        assert comes(page, "Not told by the runs there are")
        rows = page.get_by_role("region", name=re.compile("^Runs that would tell")).locator(
            "tbody tr"
        )
        assert rows.count() == len(missing["missing"])
        shots(page, "stages-missing", full_page=True)


def test_what_next_takes_sizes_and_a_mixture_and_its_link_restores_them(page_on, address, shots):
    page = settled(page_on(address).go("next?fit=swe_Latn-atlas"))
    page.get_by_label("Sizes that may be trained").fill("400k, 2M")
    page.keyboard.press("Tab")
    page.get_by_text("Mixture and text of that run").click()
    page.get_by_label("Share of Swedish").fill("60 %")
    page.get_by_label("Share of Danish").fill("40 %")
    settled(page)
    assert comes(page, "The shares sum to 100")
    sizes = (
        page.get_by_role("region", name="Runs to make next").locator("tbody th").all_inner_texts()
    )
    assert sizes
    assert all(re.search(r" (400k|2M) on ", size) for size in sizes), sizes
    other = page_on(address).page
    other.goto(page.url)
    other.wait_for_selector(".lead-sentence")
    settled(other)
    assert other.get_by_label("Share of Swedish").input_value() == "60 %"
    assert (
        other.locator(".lead-sentence").inner_text() == page.locator(".lead-sentence").inner_text()
    )
    shots(page, "next-sizes", full_page=True)
