import base64
import hashlib
import re
from dataclasses import replace
from itertools import permutations

import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.fitting.api import fit
from atlas_scaling.languages import languages
from atlas_scaling.report.blocks import Missing, Report
from atlas_scaling.report.document import render, write
from atlas_scaling.report.from_runs import build_report
from atlas_scaling.report.provenance import Provenance
from atlas_scaling.runs.store import RunTable, read_runs
from atlas_scaling.transfer.matrix import Cell, Origin, TransferMatrix
from atlas_scaling.transfer.matrix import Provenance as Known
from tests.report.conftest import FIGURES as NAMES
from tests.report.pages import Page
from tests.report.planted import write_study

SECTIONS = (
    *("verdicts", "losses", "fits", "held-out"),
    *("transfer", "scaling", "plan", "made"),
)


def test_the_page_is_well_formed(page):
    parsed = Page(page)
    assert parsed.wrong == []
    assert parsed.open == []
    ids = [a["id"] for _, a in parsed.elements if a.get("id")]
    assert len(ids) == len(set(ids)), "an id stands twice"


def test_every_section_stands_in_the_page_and_in_its_contents(page):
    parsed = Page(page)
    assert tuple(a["id"] for a in parsed.all("section")) == SECTIONS
    links = {a["href"] for a in parsed.all("a")}
    assert {f"#{name}" for name in SECTIONS} <= links


def test_verdicts_stand_before_any_figure(page):
    assert page.index('class="verdicts"') < page.index("<figure")


def test_nothing_is_fetched_from_anywhere(page):
    parsed = Page(page)
    assert parsed.all("link") == []
    assert parsed.all("img") == []
    assert parsed.all("iframe") == []
    assert all("src" not in a for a in parsed.all("script"))
    for tag, attributes in parsed.elements:
        for name in ("href", "src", "xlink:href", "action", "data", "poster"):
            target = attributes.get(name) or ""
            assert target.startswith(("#", "data:text/csv")) or not target, (tag, name, target)
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    script = page[page.rindex("<script>") :]
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|WebSocket|eval\(|Function\(", script)


def test_the_policy_allows_the_pages_own_style_and_script_and_no_request(page):
    policy = next(
        a["content"]
        for a in Page(page).all("meta")
        if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        content = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "style=" not in page.split("</style>")[1].split("<script>")[0]


def test_every_picture_has_words_for_those_who_do_not_see_it(page):
    pictures = [a for a in Page(page).all("svg") if a.get("aria-hidden") != "true"]
    assert len(pictures) >= 8
    assert all(a.get("role") == "img" for a in pictures)
    # The words of a whole figure stand on its first panel.
    assert sum(len(a["aria-label"] or "") > 40 for a in pictures) >= 7


def test_every_table_has_a_caption_and_row_headings(page):
    parsed = Page(page)
    assert len(parsed.all("caption")) == len(parsed.all("table")) >= 5
    assert all(a.get("scope") in ("row", "col") for a in parsed.all("th"))


def test_the_file_is_small(page):
    assert len(page.encode()) < 5_000_000


def test_how_it_was_made_is_said(page):
    text = Page(page).text
    for told in ("atlas demo", "name: planted", "9 min 41 s", "2 cores", "b" * 64, "unigram 4,096"):
        assert told in text


def test_an_empty_report_says_what_is_missing_and_what_to_run():
    report = build_report()
    parsed = Page(render(report))
    assert tuple(a["id"] for a in parsed.all("section")) == SECTIONS
    assert len(report.missing()) == 8
    for command in ("atlas report RUNS", "atlas fit RUNS", "atlas transfer matrix", "atlas plan"):
        assert command in parsed.text
    assert report.figures() == {}


def test_runs_without_pairs_or_fits_still_make_a_report(tmp_path):
    write_study(tmp_path / "runs", languages=("swe_Latn",), sizes=("s",), continued=())
    report = build_report(read_runs(tmp_path / "runs"))
    assert list(report.figures()) == ["loss-curves"]
    assert {"fits", "plan"} <= {s.name for s in report.sections if _is_missing(s)}


def test_the_frame_of_an_import_is_as_good_as_run_records(runs):
    bare = runs.frame.filter(pl.col("language") == "swe_Latn").drop("step", "language")
    lacking = bare.with_columns(group=pl.lit(None, dtype=pl.String))
    report = build_report(lacking)
    assert "loss-curves" in report.figures()
    facts = next(b for s in report.sections for b in s.blocks if b.kind == "facts")
    assert "bilingual" in dict(facts.items)["Runs"]  # told by the mixture


def test_fits_of_losses_in_two_units_are_not_put_side_by_side(runs):
    fits = [
        fit(runs, target="swe_Latn", unit=u, bootstrap=0)
        for u in ("nats_per_token", "bits_per_byte")
    ]
    with pytest.raises(InputError, match="several units"):
        build_report(runs, fits=fits)


def test_runs_that_were_never_evaluated_make_a_report(tmp_path):
    folder = write_study(tmp_path / "runs", languages=("swe_Latn",), sizes=("s",))
    for evals in folder.glob("*/evals.jsonl"):
        evals.write_text("")
    report = build_report(read_runs(folder))
    assert report.figures() == {}
    assert "atlas report RUNS" in Page(render(report)).text


def test_hostile_names_are_text_everywhere(runs):
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7*7}}"
    frame = runs.frame.with_columns(
        run_id=runs.frame["run_id"] + hostile, language=runs.frame["language"] + hostile
    )
    frame = frame.with_columns(
        mixture=frame.select(
            _renamed("mixture", hostile),
        ).to_series()
    )
    records = tuple(
        r.model_copy(update={"run_id": r.run_id + hostile, "study": hostile, "group": hostile})
        for r in runs.records
    )
    report = build_report(
        RunTable(frame, records), provenance=Provenance(spec=hostile, command=hostile)
    )
    page = render(replace(report, title=hostile, subtitle=hostile))
    parsed = Page(page)
    assert parsed.wrong == []
    assert parsed.all("img") == []
    assert len(parsed.all("script")) == 1
    assert not any(name.startswith("on") for _, a in parsed.elements for name in a)
    assert "49" not in report.title
    assert hostile in parsed.text


def _renamed(column, suffix):
    import polars as pl

    entry = pl.element().struct
    return pl.col(column).list.eval(
        pl.struct(
            (entry.field("language") + suffix).alias("language"),
            entry.field("value").alias("value"),
        )
    )


def test_a_report_is_written_whole_or_not_at_all(tmp_path):
    report = build_report()
    path = write(report, tmp_path / "report.html")
    assert path.read_text() == render(report)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(InputError) as caught:
        write(report, tmp_path / "nowhere" / "report.html")
    assert "nowhere" in str(caught.value)
    assert "folder that exists" in str(caught.value)


def _is_missing(section):
    return any(isinstance(block, Missing) for block in section.blocks)


def test_figures_and_tables_are_found_by_name(report: Report):
    assert tuple(report.figures()) == NAMES
    assert {"languages", "runs", "fits", "parameters", "transfer", "expand-8-16"} <= set(
        report.tables()
    )


def test_a_matrix_of_a_hundred_languages_stays_below_five_megabytes():
    codes = tuple(entry.code for entry in languages()[:100])
    cells = [
        Cell(a, b, 0.001 * i, provenance=Known.ESTIMATED, origin=Origin("a model", d=1e9))
        for i, (a, b) in enumerate(permutations(codes, 2))
    ]
    page = render(build_report(matrix=TransferMatrix.from_cells(cells)))
    assert len(page.encode()) < 5_000_000
