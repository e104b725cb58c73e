"""Judges models that fill a matrix on measured pairs that they are not shown.

The process (``gaussian``) is held against a forest on the same features, two plain models, itself
without measured words, and, where languages were continued on one at a time, the paper's forest on
the paper's features (ATLAS, App. B.6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Final

import numpy as np

from atlas_scaling.errors import InputError
from atlas_scaling.transfer.crossval import SCHEMES, Contest, ModelScore, compare, contest
from atlas_scaling.transfer.fas import FasTable
from atlas_scaling.transfer.features import PairFeatures, fas_features, widened
from atlas_scaling.transfer.gaussian import Observations
from atlas_scaling.transfer.models import (
    AdditiveModel,
    ForestModel,
    MeanModel,
    PairModel,
    ProcessModel,
)

FEW_VALUES: Final = 20
"""With fewer held-out values no model is called better than another."""

PROCESS: Final = ProcessModel()
PLAIN_PROCESS: Final = ProcessModel("process, script and family only")
FOREST: Final = ForestModel("forest, same features and means", with_means=True)
MODELS: Final[tuple[PairModel, ...]] = (PROCESS, FOREST, AdditiveModel(), MeanModel())

FAS_FOREST: Final = ForestModel("forest on FAS (App. B.6)")
ON_FAS_PAIRS: Final = " (same pairs)"


def judge(
    models: Sequence[PairModel],
    observations: Observations,
    relations: PairFeatures,
    known: PairFeatures,
    fas: FasTable | None,
    level: float,
    seed: int,
    tell: Callable[[float], None],
) -> tuple[tuple[ModelScore, ...], tuple[Contest, ...]]:
    """Every model on held-out pairs, and the process against each.

    Args:
        models: the usual ones; none for no answer.
        observations: measured pairs.
        relations: shared script, family and branch of all languages.
        known: the same and everything measured.
        fas: scores of continued runs; None without.
        level: of the intervals whose coverage is measured.
        seed: of the folds.
        tell: is told the share that is done.

    The forest of the paper needs finetuning scores of both languages. It is tried on the pairs that
    have them, and the process on those same pairs.
    """
    if not models:
        return (), ()
    codes = known.codes
    tried: list[tuple[PairModel, PairFeatures, Observations]] = [
        (model, known, observations) for model in models
    ]
    tried.insert(1, (PLAIN_PROCESS, relations, observations))
    of_fas = None if fas is None else features_of_fas(fas)
    if of_fas is not None:
        at = {code: i for i, code in enumerate(codes)}
        own = [at[code] for code in of_fas.codes if code in at]
        some = np.isin(observations.target, own) & np.isin(observations.source, own)
        on_fas = observations.take(some)
        if not some.all():
            tried.append((ProcessModel(PROCESS.name + ON_FAS_PAIRS), known, on_fas))
        tried.append((FAS_FOREST, widened(of_fas, relations), on_fas))
    n_steps, done = len(tried) * len(SCHEMES), count(1)
    scores = [
        score
        for scheme in SCHEMES
        for model, features, held_out in tried
        for score in compare(
            [model],
            held_out,
            features,
            schemes=[scheme],
            level=level,
            seed=seed,
            tell=lambda: tell(next(done) / n_steps),
        )
    ]
    return tuple(scores), tuple(_contests(scores, seed))


def _contests(scores: Sequence[ModelScore], seed: int) -> Iterator[Contest]:
    """The process against each other model; none where the values are too few to tell."""
    found = {(score.scheme, score.model): score for score in scores}
    for score in scores:
        if score.model in (PROCESS.name, PROCESS.name + ON_FAS_PAIRS):
            continue
        first = found.get((score.scheme, PROCESS.name))
        if score.model == FAS_FOREST.name:
            first = found.get((score.scheme, PROCESS.name + ON_FAS_PAIRS), first)
        if first is not None and first.n >= FEW_VALUES:
            yield contest(first, score, seed=seed)


def features_of_fas(table: FasTable) -> PairFeatures | None:
    """The paper's features; None where fewer than two languages have them."""
    try:
        return fas_features(table)
    except InputError:
        return None


def score_warnings(
    scores: Sequence[ModelScore], fas: FasTable | None, models: Sequence[PairModel]
) -> Iterator[str]:
    """What keeps the comparison from saying more."""
    fewest = min((score.n for score in scores), default=FEW_VALUES)
    if models and not scores:
        yield "too few measured values to hold any out"
    if fewest < FEW_VALUES:
        yield f"the comparison of models rests on {fewest} values, too few to call one better"
    if models and fas is not None and all(s.model != FAS_FOREST.name for s in scores):
        yield (
            "the paper's forest needs pairs whose languages were both continued on; here these are "
            f"{', '.join(fas.gains) or 'none'}"
        )
