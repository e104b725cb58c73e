import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.report.figures.losses import MAX_PANELS, MAX_POINTS, MAX_RUNS, loss_curves
from atlas_scaling.units import LossUnit


def rows(**columns) -> pl.DataFrame:
    """A frame of evaluations; scalars are repeated."""
    n = max(len(v) for v in columns.values() if isinstance(v, list))
    base = {
        "language": "swe_Latn",
        "run_id": "run",
        "group": "monolingual",
        "seed": 0,
        "n_params": 1e6,
        "tokens": 1e6,
        "loss": 3.0,
        "bits_per_byte": 1.5,
        "lr_state": "stable",
        "mixture": [{"language": "swe_Latn", "value": 1.0}],
    }
    full = {k: v if isinstance(v, list) else [v] * n for k, v in {**base, **columns}.items()}
    full["mixture"] = [base["mixture"]] * n if "mixture" not in columns else columns["mixture"]
    return pl.DataFrame(full)


def test_one_panel_a_language_and_only_runs_trained_on_it(runs):
    figure = loss_curves(runs.frame)
    assert {p.title for p in figure.panels} == {
        "Swedish (swe_Latn)",
        "Danish (dan_Latn)",
        "Russian (rus_Cyrl)",
    }
    on_russian = figure.data.filter(pl.col("language") == "rus_Cyrl")["run_id"].unique().to_list()
    assert not any(run.startswith("mono-swe") for run in on_russian)
    assert any(run.startswith("pair-rus") for run in on_russian)


def test_learning_rate_states_are_marked_and_keyed(runs):
    figure = loss_curves(runs.frame)
    labels = [key.label for key in figure.keys]
    assert "learning rate: stable" in labels
    assert "learning rate: decayed" in labels
    assert "learning rate: warmup" not in labels


def test_bits_per_byte_are_drawn_where_they_are_asked_for(runs):
    figure = loss_curves(runs.frame, unit=LossUnit.BITS_PER_BYTE)
    assert "bits per byte" in figure.title
    # The planted runs have 2.1 nats per token to each bit per byte.
    nats = loss_curves(runs.frame).data
    assert figure.data["loss"].sum() == pytest.approx(nats["loss"].sum() / 2.1)


def test_a_caption_says_what_a_continued_run_counts(runs):
    assert "counts its tokens from where it continues" in loss_curves(runs.frame).caption
    alone = runs.frame.filter(pl.col("group") == "monolingual")
    assert "continues" not in loss_curves(alone).caption


def test_long_runs_are_thinned_evenly_and_it_is_said():
    tokens = [1e3 * 1.01**i for i in range(1000)]
    figure = loss_curves(rows(tokens=tokens))
    assert figure.data.height <= MAX_POINTS
    assert figure.data["tokens"].max() == tokens[-1]
    assert "evaluations of 1,000" in figure.caption


def test_of_many_runs_a_spread_of_sizes_stays():
    n = 200
    sizes = [1e6 * 1.05**i for i in range(n)]
    twice = {
        "run_id": [f"run{i}" for i in range(n)] * 2,
        "n_params": sizes * 2,
        "tokens": [1e6] * n + [2e6] * n,
    }
    figure = loss_curves(rows(**twice))
    assert figure.data["run_id"].n_unique() == MAX_RUNS
    assert {sizes[0], sizes[-1]} <= set(figure.data["n_params"])
    assert "160 curves of 200" in figure.caption


def test_runs_that_were_evaluated_once_are_dots_of_which_more_are_read():
    n = 200
    figure = loss_curves(rows(run_id=[f"run{i}" for i in range(n)]))
    assert figure.data["run_id"].n_unique() == n


def test_runs_that_were_evaluated_only_on_other_text_are_drawn_and_it_is_said():
    figure = loss_curves(rows(tokens=[1e6, 2e6], language="dan_Latn"))
    assert figure.data.height == 2
    assert "No run was trained on what it was evaluated on" in figure.caption


def test_of_many_languages_the_ones_with_most_runs_stay():
    codes = [f"l{i:02d}" for i in range(30)]
    frame = rows(
        language=[*codes, "l29"],
        run_id=[*["run"] * 30, "second"],
        mixture=[[{"language": c, "value": 1.0}] for c in [*codes, "l29"]],
    )
    figure = loss_curves(frame)
    assert len(figure.panels) == MAX_PANELS
    assert figure.panels[0].title == "l29"
    assert "6 languages with fewer runs" in figure.caption


def test_evaluations_before_training_are_not_drawn_on_a_log_axis():
    assert loss_curves(rows(tokens=[0.0, 10.0, 100.0])).data["tokens"].to_list() == [10.0, 100.0]


def test_nothing_to_draw_is_an_error_that_says_what_to_look_at():
    with pytest.raises(InputError, match="no run has a loss") as caught:
        loss_curves(rows(tokens=[0.0]))
    assert "atlas runs check" in str(caught.value)
