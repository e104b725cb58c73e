"""From run records to the arrays a law names.

A table needs ``n_params``, ``tokens`` and ``loss``; it may have ``run_id``, ``step``,
``language``, ``bits_per_byte``, ``lr_state``, ``base_run``, ``flops``, ``tokenizer`` and, by
language, ``mixture``, ``tokens_by_language`` and ``unique_tokens`` (as in ``RunTable.frame``, or
shares as columns ``w_<language>`` and one ``unique_tokens`` number, that of the target). Any other
numeric column can be an input of a user's law. Which rows enter is for ``selection`` to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.fitting.inputs import Mixtures, build_inputs, languages_of
from atlas_scaling.fitting.observations import Observations
from atlas_scaling.fitting.selection import Selection, chosen_rows, weights_of
from atlas_scaling.fitting.tables import read, with_our_codes
from atlas_scaling.laws.base import DataFacts, FloatArray, Law

if TYPE_CHECKING:
    import polars as pl


def targets_of(frame: pl.DataFrame) -> list[str | None]:
    """Languages with a loss that some run was trained on; [None] where the table names none."""
    column = next((c for c in ("language", "eval_domain") if c in frame.columns), None)
    if column is None:
        return [None]
    present = sorted(map(str, frame[column].drop_nulls().unique().to_list()))
    known = languages_of(frame)
    trained = [t for t in present if known is None or t in known]
    return [*(trained or present)]


def observe(data: Any, law: Law, selection: Selection | None = None) -> tuple[Law, Observations]:
    """The rows that enter, as the arrays ``law`` names; and ``law`` adapted to them.

    Args:
        data: a table, or where one lies, as ``tables.read`` takes it.
        law: the law to be fitted.
        selection: which rows enter.

    Raises:
        InputError: the table cannot be read, or no fit can be made of its rows.
    """
    selection = selection or Selection()
    rows = chosen_rows(with_our_codes(read(data)), selection, law.largest)
    facts = _facts(rows.frame, rows.target, rows.mixtures)
    law = law.adapted(facts)
    x, notes = build_inputs(rows.frame, law, facts, rows.mixtures)
    run_ids, run = np.unique(_run_ids(rows.frame), return_inverse=True)
    observations = Observations(
        x=x,
        loss=rows.frame["_loss"].to_numpy().astype(np.float64),
        run=run.reshape(-1).astype(np.intp),
        run_ids=tuple(map(str, run_ids)),
        weights=weights_of(rows.frame, selection.weights),
        facets=_facets(rows.frame, rows.mixtures),
        facts=facts,
        unit=selection.unit,
        notes=(*rows.notes, *notes),
        dropped=rows.dropped,
    )
    return law, observations


def _facts(frame: pl.DataFrame, target: str | None, mixtures: Mixtures | None) -> DataFacts:
    """Target language and what it was trained with."""
    if mixtures is None:
        return DataFacts(target=target)
    return DataFacts(
        target=target,
        co_sampled=mixtures.co_sampled(target, _run_ids(frame)) if target else (),
        languages=tuple(np.array(mixtures.languages)[(mixtures.tokens > 0).any(axis=1)].tolist()),
    )


def _run_ids(frame: pl.DataFrame) -> NDArray[np.str_]:
    """Run of each row; without a column every row is a run of its own."""
    import polars as pl

    if "run_id" not in frame.columns:
        return np.array([f"row {i + 1}" for i in frame["_row"].to_list()])
    return np.asarray(frame["run_id"].cast(pl.String).fill_null("?").to_list())


def _facets(frame: pl.DataFrame, mixtures: Mixtures | None) -> dict[str, FloatArray]:
    n_params = frame["n_params"].to_numpy().astype(np.float64)
    tokens = frame["tokens"].to_numpy().astype(np.float64)
    facets = {"n_params": n_params, "tokens": tokens, "flops": 6.0 * n_params * tokens}
    if "flops" in frame.columns and frame.schema["flops"].is_numeric():
        flops = frame["flops"].to_numpy().astype(np.float64)
        facets["flops"] = np.where(np.isfinite(flops), flops, facets["flops"])
    if mixtures is not None:
        unimax = np.zeros(frame.height, dtype=bool)
        if "group" in frame.columns:
            unimax = (
                frame["group"].str.to_lowercase().str.contains("unimax").fill_null(False).to_numpy()
            )
        kind = np.where(mixtures.n_languages() >= 3, 4.0, mixtures.n_languages())
        facets["mixture_kind"] = np.where(unimax, 3.0, kind)
    return facets
