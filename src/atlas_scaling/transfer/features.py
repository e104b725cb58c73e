"""What is known of a pair of languages without training on it.

``PairFeatures`` holds one matrix over languages for each thing known: whether they share a script,
family or branch (the language table), how many words they share (a shipped table, or a corpus), how
much their subwords overlap and how differently their text is cut (a tokenized corpus), what
continuing a checkpoint on one does to the other (FAS).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.errors import InputError
from atlas_scaling.transfer.effects import RELATIONS, shared
from atlas_scaling.transfer.fas import FasTable
from atlas_scaling.transfer.lexical import on_log_scale, shipped_overlap

Floats = NDArray[np.float64]

SHARED_WORDS: Final = "shared words"


@dataclass(frozen=True, eq=False)
class PairFeatures:
    """Features of every ordered pair of some languages.

    Attributes:
        codes: languages, of rows (targets) and columns (sources) alike.
        names: one a feature.
        values: shape ``(n_features, n, n)``; NaN where a pair was not measured.
        alike: which features are similarities, symmetric with 1 on the diagonal; these also say
            that what is true of one language is likely true of another. Shape ``(n_features,)``.
    """

    codes: tuple[str, ...]
    names: tuple[str, ...]
    values: Floats
    alike: NDArray[np.bool_]

    def __post_init__(self) -> None:
        n = len(self.codes)
        assert self.values.shape == (len(self.names), n, n)

    def __add__(self, other: PairFeatures) -> PairFeatures:
        """Both sets of features, over the languages that both have."""
        codes = tuple(code for code in self.codes if code in other.codes)
        mine = [self.codes.index(code) for code in codes]
        theirs = [other.codes.index(code) for code in codes]
        return PairFeatures(
            codes,
            (*self.names, *other.names),
            np.concatenate(
                [
                    self.values[:, mine][:, :, mine],
                    other.values[:, theirs][:, :, theirs],
                ]
            ),
            np.concatenate([self.alike, other.alike]),
        )

    @property
    def likeness(self) -> Floats:
        """Mean of the similarities, shape ``(n, n)``; the identity where there is none."""
        if not self.alike.any():
            return np.eye(len(self.codes))
        return np.asarray(self.values[self.alike].mean(axis=0), dtype=np.float64)


def relation_features(codes: Sequence[str]) -> PairFeatures:
    """Shared script, family and branch, 0 or 1, from the language table."""
    same = [shared(codes, relation) | np.eye(len(codes), dtype=bool) for relation in RELATIONS]
    return PairFeatures(
        tuple(codes),
        tuple(f"same {relation}" for relation in RELATIONS),
        np.array(same, dtype=np.float64),
        np.ones(len(RELATIONS), dtype=bool),
    )


def word_features(codes: Sequence[str], overlap: Floats | None = None) -> PairFeatures:
    """How many words languages share (``lexical``), on its logarithmic scale.

    Args:
        codes: languages.
        overlap: measured on a corpus, shape ``(n, n)``; that of the shipped table if None, NaN for
            languages that it lacks.
    """
    measured = shipped_overlap(codes) if overlap is None else overlap
    return PairFeatures(
        tuple(codes), (SHARED_WORDS,), on_log_scale(measured)[None], np.zeros(1, dtype=bool)
    )


def subword_features(
    counts: Mapping[str, NDArray[np.int64]], bytes_per_token: Mapping[str, float]
) -> PairFeatures:
    """Overlap of subword frequencies, and the ratio of token lengths, of a tokenized corpus.

    The overlap is ``sum over the vocabulary of min(p_s, p_t)``, 1 less the total variation
    distance, on the scale of ``lexical``. The other is ``|log(bytes per token of s / of t)|``.

    Args:
        counts: how often each id of one vocabulary occurs in a language's text, shape
            ``(vocab_size,)``.
        bytes_per_token: of the same text.

    Raises:
        InputError: vocabularies differ in size, a text is empty, or has no bytes per token.
    """
    codes = tuple(counts)
    sizes = {len(of) for of in counts.values()}
    if len(sizes) > 1:
        raise InputError("subwords of one vocabulary only can overlap", value=sorted(sizes))
    missing = [c for c in codes if counts[c].sum() == 0 or not bytes_per_token.get(c, 0) > 0]
    if missing:
        raise InputError("there is no text to count subwords in", value=missing)
    shares = np.array([counts[c] / counts[c].sum() for c in codes])
    overlap = np.array([np.minimum(one, shares).sum(axis=1) for one in shares])
    lengths = np.log([bytes_per_token[c] for c in codes])
    apart = np.abs(np.subtract.outer(lengths, lengths))
    return PairFeatures(
        codes,
        ("shared subwords", "token length ratio"),
        np.stack([on_log_scale(overlap), apart]),
        np.zeros(2, dtype=bool),
    )


def widened(features: PairFeatures, relations: PairFeatures) -> PairFeatures:
    """``features`` over the languages of ``relations``, what is unknown put at what is usual.

    Usual is the mean over known pairs that share script, family and branch alike, or over all.
    """
    codes = relations.codes
    own = [codes.index(c) for c in features.codes if c in codes]
    theirs = [features.codes.index(codes[i]) for i in own]
    values = np.full((len(features.names), len(codes), len(codes)), np.nan)
    values[np.ix_(range(len(values)), own, own)] = features.values[:, theirs][:, :, theirs]
    kinds = np.tensordot(2 ** np.arange(len(relations.names)), relations.values, axes=1)
    off = ~np.eye(len(codes), dtype=bool)
    for of in values:
        known = ~np.isnan(of) & off
        usual = of[known].mean() if known.any() else 0.0
        for kind in np.unique(kinds):
            alike = (kinds == kind) & off
            mean = of[alike & known].mean() if (alike & known).any() else usual
            of[alike & ~known] = mean
        np.fill_diagonal(of, np.where(np.isnan(np.diag(of)), usual, np.diag(of)))
    return PairFeatures(codes, features.names, values, features.alike)


def unmeasured(features: PairFeatures, codes: Sequence[str]) -> tuple[str, ...]:
    """Of ``codes``, the languages without any measured pair."""
    known = ~np.isnan(features.values) & ~np.eye(len(features.codes), dtype=bool)
    has = {code for i, code in enumerate(features.codes) if known[:, i].any()}
    return tuple(code for code in codes if code not in has)


def fas_features(table: FasTable) -> PairFeatures:
    """The four features of the paper's forest (App. B.6): ``g_s, g_t, g_s - g_t, delta_{s->t}``.

    Gains are normalised over all languages, deviations for each target; a language that was not
    continued on, or a pair that was not evaluated, leaves its language out.

    Raises:
        InputError: no two languages were continued on and evaluated against each other.
    """
    deviation = {(s.target, s.source): s.deviation for s in table.scores}
    codes = tuple(
        c
        for c in table.gains
        if all((c, o) in deviation and (o, c) in deviation for o in table.gains)
    )
    if len(codes) < 2:
        raise InputError(
            "no two languages were continued on and evaluated against each other",
            value=sorted(table.gains),
        )
    gains = _normalised(np.array([table.gains[c] for c in codes]))
    delta = _normalised(np.array([[deviation[t, s] for s in codes] for t in codes]))
    of_source = np.tile(gains, (len(codes), 1))
    of_target = of_source.T
    return PairFeatures(
        codes,
        ("g_s", "g_t", "g_s - g_t", "delta s->t"),
        np.stack([of_source, of_target, of_source - of_target, delta]),
        np.zeros(4, dtype=bool),
    )


def _normalised(values: Floats) -> Floats:
    """Mean 0 and deviation 1 along the last axis; 0 where nothing varies."""
    centred = values - values.mean(axis=-1, keepdims=True)
    deviation = centred.std(axis=-1, keepdims=True)
    return np.asarray(centred / np.where(deviation > 0, deviation, 1.0), dtype=np.float64)
