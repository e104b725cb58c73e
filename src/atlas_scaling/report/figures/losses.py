"""Loss curves: one panel a language, one line a run, tokens on a log axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from atlas_scaling.errors import InputError
from atlas_scaling.report import theme
from atlas_scaling.report.axes import log_counts
from atlas_scaling.report.figure import Figure, Key, Panel, inline, layered
from atlas_scaling.report.words import UNIT_WORDS, language_title
from atlas_scaling.units import LossUnit, counted, format_count

if TYPE_CHECKING:
    import altair as alt

MAX_POINTS: Final = 24
MAX_RUNS: Final = 40
MAX_DOTS: Final = 400
MAX_PANELS: Final = 24
"""More than this in one panel, or on one page, is no longer read; the records have everything.
Runs that were evaluated once are dots, of which more are read."""

GROUPS: Final = {
    "monolingual": "the language alone",
    "bilingual": "a pair",
    "capacity": "an even mixture",
    "mixture": "another mixture",
    "continued": "the language, from a mixture's checkpoint",
}
"""Groups of the study's design and what their runs are trained on; others keep their names."""

STATE_SHAPES: Final = {
    "stable": ("circle", True),
    "decayed": ("square", True),
    "decay": ("diamond", False),
    "warmup": ("triangle-up", False),
    "unknown": ("cross", False),
}
_COLUMN: Final = {LossUnit.NATS_PER_TOKEN: "loss", LossUnit.BITS_PER_BYTE: "bits_per_byte"}
_SIZE_LABEL: Final = "replace(format(toNumber(datum.value), '.3~s'), 'G', 'B')"
_WIDTHS: Final = (1.0, 2.8)


def loss_curves(frame: pl.DataFrame, *, unit: LossUnit = LossUnit.NATS_PER_TOKEN) -> Figure:
    """Loss over tokens of every run trained on a language, one panel a language.

    Where no run was evaluated on what it was trained on, every evaluation is drawn.

    Args:
        frame: a ``RunTable.frame``.
        unit: ``nats_per_token`` or ``bits_per_byte``; the latter where tokenizers differ.

    Raises:
        InputError: no run was evaluated after its first tokens.
    """
    rows = _rows(frame.filter(_is_trained()), _COLUMN[unit])
    strange = rows.is_empty()
    if strange:
        rows = _rows(frame, _COLUMN[unit])
    if rows.is_empty():
        raise InputError(
            "no run has a loss after its first tokens",
            where="runs",
            remedy="see what is there: atlas runs check RUNS",
        )
    shown, left_out = _thinned(rows)
    groups = _in_order(shown["group"].unique().to_list())
    sizes = sorted(shown["n_params"].unique().to_list())
    data = shown.with_columns(_label(unit), trained_on=pl.col("group").replace(GROUPS))
    data = data.sort("language", "run_id", "tokens")
    languages = _by_number_of_runs(data)
    panels = tuple(
        Panel(
            language_title(code),
            _panel(data.filter(pl.col("language") == code), unit, groups, sizes),
        )
        for code in languages
    )
    states = [s for s in STATE_SHAPES if s in set(data["lr_state"])]
    return Figure(
        name="loss-curves",
        title=f"Loss over tokens, by language ({UNIT_WORDS[unit]})",
        caption=_caption(left_out, strange, any(data["group"] == "continued")),
        alt=_alt(data, languages, unit),
        data=data.drop("label"),
        panels=panels,
        keys=(*_group_keys(groups), *_size_keys(sizes), *_state_keys(states)),
    )


def _is_trained() -> pl.Expr:
    """Whether the run was trained on the language of the row; true where nothing says so."""
    codes = pl.col("mixture").list.eval(pl.element().struct.field("language"))
    return codes.list.contains(pl.col("language")).fill_null(True)


def _rows(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """Evaluations after some training."""
    return frame.filter(pl.col("tokens") > 0, pl.col(column).is_not_null()).select(
        "language",
        "run_id",
        "group",
        "seed",
        "n_params",
        "tokens",
        pl.col(column).alias("loss"),
        pl.col("lr_state").fill_null("unknown"),
    )


def _thinned(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Few enough languages, runs and points to be read, and what was left out for it."""
    left_out = []
    languages = _by_number_of_runs(rows)
    if len(languages) > MAX_PANELS:
        left_out.append(counted(len(languages) - MAX_PANELS, "language") + " with fewer runs")
        rows = rows.filter(pl.col("language").is_in(languages[:MAX_PANELS]))
    runs = rows.select("language", "run_id", "n_params", "group").unique()
    runs = runs.sort("language", "n_params", "group", "run_id")
    most = MAX_DOTS if rows.height == runs.height else MAX_RUNS
    place = pl.int_range(pl.len()).over("language")
    n = pl.len().over("language")
    # Evenly through the runs in order of size and group, the first and the last among them.
    bucket = (place * (most - 1) // (n - 1)).over("language")
    kept = runs.with_columns(bucket=bucket, n=n)
    kept = kept.filter((pl.col("n") <= most) | pl.struct("language", "bucket").is_first_distinct())
    if kept.height < runs.height:
        left_out.append(f"{runs.height - kept.height:,} curves of {runs.height:,}, evenly by size")
        rows = rows.join(kept.select("language", "run_id"), on=["language", "run_id"], how="semi")
    log_tokens = pl.col("tokens").log()
    first, last = log_tokens.min(), log_tokens.max()
    step = ((log_tokens - first) / (last - first) * (MAX_POINTS - 1)).round()
    key = ["language", "run_id", "lr_state", "step"]
    thin = rows.sort("tokens").with_columns(step=step.over("language", "run_id"))
    thin = thin.unique(subset=key, keep="last", maintain_order=True).drop("step")
    if thin.height < rows.height:
        left_out.append(f"{rows.height - thin.height:,} evaluations of {rows.height:,}, evenly")
    return thin, left_out


def _by_number_of_runs(rows: pl.DataFrame) -> list[str]:
    counts = rows.group_by("language").agg(pl.col("run_id").n_unique().alias("n"))
    return counts.sort(["n", "language"], descending=[True, False])["language"].to_list()


def _label(unit: LossUnit) -> pl.Expr:
    """What a point says of itself."""
    return pl.format(
        "{}: {} parameters, {} tokens, loss {} {} ({} learning rate)",
        "run_id",
        pl.col("n_params").map_elements(format_count, return_dtype=pl.String),
        pl.col("tokens").map_elements(format_count, return_dtype=pl.String),
        pl.col("loss").round(4),
        pl.lit(UNIT_WORDS[unit]),
        "lr_state",
    ).alias("label")


def _panel(
    rows: pl.DataFrame, unit: LossUnit, groups: list[str], sizes: list[float]
) -> alt.LayerChart:
    import altair as alt

    x = log_counts(alt.X, "tokens", "training tokens", rows["tokens"])
    y = alt.Y("loss:Q", title=UNIT_WORDS[unit], scale=alt.Scale(zero=False)).axis(tickCount=5)
    color = alt.Color("trained_on:N", title="trained on").scale(
        domain=[GROUPS.get(group, group) for group in groups], range=_hues(groups)
    )
    states = [state for state in STATE_SHAPES if state in set(rows["lr_state"])]
    base = alt.Chart(inline(rows)).encode(x=x, y=y, color=color, detail="run_id:N")
    lines = base.mark_line(aria=False, opacity=0.75).encode(
        strokeWidth=alt.StrokeWidth("n_params:O", title="parameters")
        .scale(domain=sizes, range=_widths(sizes))
        .legend(labelExpr=_SIZE_LABEL)
    )
    shape = alt.Shape("lr_state:N", title="learning rate").scale(
        domain=states, range=[STATE_SHAPES[state][0] for state in states]
    )
    points = base.mark_point(size=22, strokeWidth=1.2, filled=False, opacity=1).encode(
        shape=shape, description="label:N"
    )
    return layered([lines, points])


def _in_order(groups: list[str]) -> list[str]:
    known = [group for group in GROUPS if group in groups]
    return known + sorted(set(groups) - set(known))


def _hues(groups: list[str]) -> list[str]:
    return [theme.HUES[i % len(theme.HUES)] for i in range(len(groups))]


def _widths(sizes: list[float]) -> list[float]:
    low, high = _WIDTHS
    steps = max(len(sizes) - 1, 1)
    return [low + (high - low) * i / steps for i in range(len(sizes))]


def _group_keys(groups: list[str]) -> list[Key]:
    return [
        Key(GROUPS.get(g, g), hue, "line") for g, hue in zip(groups, _hues(groups), strict=True)
    ]


def _size_keys(sizes: list[float]) -> list[Key]:
    """Of many sizes the smallest, a middle one and the largest."""
    pairs = list(zip(sizes, _widths(sizes), strict=True))
    if len(pairs) > 4:
        pairs = [pairs[0], pairs[len(pairs) // 2], pairs[-1]]
    return [Key(f"{format_count(n)} parameters", theme.MUTED, "line", w) for n, w in pairs]


def _state_keys(states: list[str]) -> list[Key]:
    return [
        Key(f"learning rate: {state}", theme.MUTED, STATE_SHAPES[state][0], filled=False)
        for state in states
    ]


def _caption(left_out: list[str], strange: bool, continued: bool) -> str:
    said = [
        "No run was trained on what it was evaluated on; every evaluation is drawn."
        if strange
        else "Losses of languages that a run was not trained on are not drawn.",
        "Compare points of one learning-rate state only: the decay itself lowers the loss.",
    ]
    if continued:
        said.append("A continued run counts its tokens from where it continues.")
    if left_out:
        said.append(f"To stay readable this leaves out {'; '.join(left_out)}.")
    return " ".join(said)


def _alt(data: pl.DataFrame, languages: list[str], unit: LossUnit) -> str:
    last = data.sort("tokens").group_by("language", "run_id").last()
    best = last.group_by("language").agg(pl.col("loss").min()).sort("language")
    ends = ", ".join(f"{language_title(c)} {loss:.3g}" for c, loss in best.iter_rows())
    n_runs = data["run_id"].n_unique()
    return (
        f"Loss curves of {counted(n_runs, 'run')} on {counted(len(languages), 'language')}. "
        f"Lowest final loss in {UNIT_WORDS[unit]}: {ends}."
    )
