import pytest

from atlas_scaling.planning.expand import expand
from atlas_scaling.planning.start import start
from atlas_scaling.report.figures.plans import crossover, expand_frontier
from atlas_scaling.report.tables import expansion_table, start_table


def test_the_frontier_keeps_the_cheapest_point_of_the_paper():
    figure = expand_frontier(expand(from_languages=8, to_languages=16))
    cheapest = figure.data.row(-1, named=True)
    # Section 5 of the paper: twice the languages at 1.18 times N and 1.66 times D.
    assert cheapest["point"] == "cheapest"
    assert cheapest["n_params_ratio"] == pytest.approx(1.18, abs=0.005)
    assert cheapest["tokens_ratio"] == pytest.approx(1.66, abs=0.005)
    on_line = figure.data.head(-1)
    assert cheapest["flops_ratio"] <= on_line["flops_ratio"].min() * 1.0001
    assert "1.18 times the parameters" in figure.alt


def test_published_answers_have_no_interval_in_the_table():
    table = expansion_table(expand(from_languages=8, to_languages=16, n_params=2e9, tokens=1e12))
    assert [row[2] for row in table.rows] == ["–"] * 4
    assert table.rows[0][3] == "2.37B"  # 1.184 times 2B
    assert table.rows[3][3].startswith("2.3")  # 6 * 2e9 * 1e12 = 1.2e22, times 1.96


def test_the_crossover_shows_every_reading_and_the_run_asked_about():
    answer = start("vi", n_params=2e9, tokens=100e9)
    figure = crossover(answer)
    assert set(answer.readings) | {"taken here", "your run"} == set(figure.data["reading"])
    assert figure.data.filter(figure.data["reading"] == "your run")["tokens"].item() == 100e9
    assert "continue" in figure.alt
    assert "Vietnamese" in figure.title


def test_the_start_table_gives_a_dash_where_no_probability_is_supported():
    rows = dict(start_table(start("vi", n_params=2e9, tokens=100e9)).rows)
    assert rows["Recommendation"] == "continue"
    assert rows["Probability that scratch is better"] == "–"
