import io
import json
from xml.etree import ElementTree

import altair as alt
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from atlas_scaling.errors import InputError
from atlas_scaling.report import theme
from atlas_scaling.report.figure import Figure, Key, Panel, inline, save_figure
from tests.report.conftest import FIGURES as NAMES


def tiny(n: int = 3, *, panels: int = 1) -> Figure:
    data = pl.DataFrame({"x": [float(i) for i in range(n)], "group": ["a", "b", "c"][:n]})
    chart = alt.Chart(inline(data)).mark_point().encode(x="x:Q", color="group:N")
    return Figure(
        name="tiny",
        title="Tiny",
        caption="",
        alt="three points",
        data=data,
        panels=tuple(Panel(f"panel {i}", chart) for i in range(panels)),
        keys=(Key("a"),),
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_draws_and_its_csv_is_its_data(report, name):
    figure = report.figures()[name]
    drawn = ElementTree.fromstring(figure.svg())
    assert sum(1 for _ in drawn.iter("{http://www.w3.org/2000/svg}path")) > 10
    read = pl.read_csv(io.StringIO(figure.csv()), schema=figure.data.schema)
    assert_frame_equal(read, figure.data)


def test_a_figure_is_saved_by_the_ending_of_its_file(tmp_path):
    figure = tiny()
    assert save_figure(figure, tmp_path / "a.svg").read_text().startswith("<svg")
    assert save_figure(figure, tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert save_figure(figure, tmp_path / "a.csv").read_text() == "x,group\n0.0,a\n1.0,b\n2.0,c\n"
    spec = json.loads(save_figure(figure, tmp_path / "a.json").read_text())
    assert spec["$schema"].startswith("https://vega.github.io/schema/vega-lite/")


def test_another_ending_is_refused_with_the_ones_there_are(tmp_path):
    with pytest.raises(InputError) as caught:
        save_figure(tiny(), tmp_path / "a.gif")
    assert "a.gif'" in str(caught.value)
    assert ".svg, .png, .csv, .json" in str(caught.value)


def test_a_file_has_the_legend_and_a_page_has_its_own():
    figure = tiny(panels=2)
    assert "legend" in figure.svg()
    assert all("role-legend" not in svg for svg in figure.panel_svgs())


def test_missing_numbers_and_infinities_are_null_not_invalid_json():
    data = pl.DataFrame({"x": [1.0, float("nan"), float("inf"), None]})
    assert inline(data).values == [{"x": 1.0}, {"x": None}, {"x": None}, {"x": None}]


def test_more_than_five_thousand_rows_are_drawn():
    data = pl.DataFrame({"x": [float(i) for i in range(6000)]})
    chart = alt.Chart(inline(data)).mark_point().encode(x="x:Q")
    figure = Figure("many", "Many", "", "", data, (Panel("", chart),))
    assert figure.svg().count("<path") > 6000


def test_a_notebook_shows_a_picture_that_needs_no_network():
    shown = tiny()._repr_mimebundle_()["image/svg+xml"]
    assert shown.startswith("<svg")
    assert "http" not in shown.replace("http://www.w3.org/", "")


def test_a_figure_in_a_file_stands_on_white_and_in_a_page_on_the_page():
    background = f'fill="{theme.PAPER.lower()}"'
    assert background in tiny().svg().lower()
    assert background not in tiny().panel_svgs()[0].lower()


def test_dark_rules_replace_every_colour_of_a_chart():
    css = theme.dark_rules("svg")
    for light, dark in theme.DARK.items():
        assert f'svg [fill="{light}"]{{fill:{dark}}}' in css
        assert f'svg [stroke="{light}"]{{stroke:{dark}}}' in css


@pytest.mark.parametrize(
    ("colours", "paper", "least"),
    [(theme.HUES, theme.PAPER, 3.0), ([theme.DARK[h] for h in theme.HUES], "#14181D", 7.0)],
)
def test_hues_stand_out_from_the_paper(colours, paper, least):
    # Contrast ratio of WCAG 2, section 1.4.11: 3 to 1 for parts of graphics.
    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    for colour in colours:
        low, high = sorted((luminance(colour), luminance(paper)))
        assert (high + 0.05) / (low + 0.05) >= least
