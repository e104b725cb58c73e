import json
import math
from dataclasses import replace

import polars as pl
import pytest

from atlas_scaling.answers import Estimate
from atlas_scaling.planning.expand import expand
from atlas_scaling.planning.start import start
from atlas_scaling.report.figures.allocation import budget_frontier, plan_alternatives
from atlas_scaling.report.figures.plans import crossover, expand_frontier, iso_loss_frontiers
from atlas_scaling.report.figures.starts import crossover_laws, scratch_against_continued
from atlas_scaling.report.plan_tables import (
    allocation_table,
    expansion_table,
    shares_table,
    start_table,
)
from atlas_scaling.report.start_curves import start_comparisons
from atlas_scaling.report.words import interval, number


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


def test_without_a_baseline_no_column_says_what_the_factors_come_to():
    table = expansion_table(expand(from_languages=8, to_languages=16))
    assert [column.label for column in table.columns] == ["Quantity", "Factor", "90% interval"]
    assert {len(row) for row in table.rows} == {3}


def test_the_crossover_shows_every_reading_and_the_run_asked_about():
    answer = start("vi", n_params=2e9, tokens=100e9)
    figure = crossover(answer)
    assert set(answer.readings) | {"taken here", "your run"} == set(figure.data["reading"])
    assert figure.data.filter(figure.data["reading"] == "your run")["tokens"].item() == 100e9
    assert "continue" in figure.alt
    assert "Vietnamese" in figure.title


def test_the_start_table_gives_a_dash_where_no_probability_is_supported():
    row = start_table([start("vi", n_params=2e9, tokens=100e9)]).rows[0]
    assert row[0] == "Vietnamese (vie_Latn)"
    assert row[3] == "continue"
    assert row[6] == "–"


def test_an_open_range_is_said_as_a_bound(runs):
    own, left_out = start_comparisons(runs.frame)
    assert left_out == 0
    assert own
    row = start_table([own[0].advice]).rows[0]
    assert row[5].startswith("above ")


def test_several_expansions_share_one_picture():
    answers = [expand(from_languages=8, to_languages=k) for k in (16, 32)]
    figure = iso_loss_frontiers(answers)
    best = figure.data.filter(pl.col("cheapest"))
    # Section 5 of the paper: 4 times the languages at 1.40 times N and 2.74 times D.
    assert best["n_params_ratio"].to_list() == pytest.approx([1.18, 1.40], abs=0.005)
    assert best["tokens_ratio"].to_list() == pytest.approx([1.66, 2.74], abs=0.005)
    assert [key.label for key in figure.keys] == ["8 to 16 languages", "8 to 32 languages"]


def test_own_curves_that_do_not_cross_are_said_to(runs):
    # The planted checkpoint has seen the mixture; scratch stays behind over 3M tokens.
    own, left_out = start_comparisons(runs.frame)
    assert left_out == 0
    figure = scratch_against_continued(own)
    assert {c.language for c in own} == {"swe_Latn"}
    assert sorted(c.n_params for c in own) == [370_000, 1_300_000, 4_200_000]
    assert "no crossing up to" in figure.panels[0].title
    assert set(figure.data["kind"]) == {"from scratch", "continued"}
    assert "None of these runs has a measured crossing" in crossover_laws(own).caption


def test_the_published_crossovers_are_those_of_the_paper():
    data = crossover_laws().data
    at_2b = data.filter(pl.col("series") == "published languages")["tokens"]
    # Fig. 6: English at 144B, Chinese at 283B tokens.
    assert (at_2b.min(), at_2b.max()) == (144e9, 283e9)


def test_the_plan_stands_first_beside_the_usual_mixtures(allocation):
    figure = plan_alternatives(allocation)
    assert figure.data["mixture"].to_list() == ["this plan", "uniform", "target only", "unimax"]
    table = allocation_table(allocation)
    objectives = [float(row[3]) for row in table.rows]
    assert objectives[0] == min(objectives)
    shares = shares_table(allocation)
    assert shares.rows[0][:3] == ("Catalan", shares.rows[0][1], "100.0%")


def test_an_interval_without_an_upper_end_is_an_arrow_and_said_as_a_bound(allocation):
    """Draws in which a target has no effective data left put its loss at infinity."""
    target = next(iter(allocation.loss))
    value = allocation.loss[target].value
    open_ended = Estimate(value, (value - 0.1, math.inf))
    loss = allocation.loss | {target: open_ended}
    figure = plan_alternatives(replace(allocation, loss=loss, objective=open_ended))
    assert "an arrow ends where nothing bounds the loss" in figure.caption
    drawn = json.dumps(figure.chart().to_dict())
    assert "triangle-right" in drawn
    assert "Infinity" not in drawn
    assert f"this plan: {number(value)} ({interval((value - 0.1, None))})" in drawn
    row = allocation_table(replace(allocation, loss=loss, objective=open_ended)).rows[0]
    assert row[4] == interval((value - 0.1, None))
    assert row[4].startswith("above ")
    assert "arrow" not in plan_alternatives(allocation).caption


def test_more_budget_buys_a_lower_objective(allocation):
    figure = budget_frontier(allocation)
    data = figure.data.sort("flops")
    assert data["objective"].is_sorted(descending=True)
    assert data["here"].sum() == 1
