"""``allocate`` from names: laws from fits or the published table, sources from a transfer matrix.

Which law a target gets, in this order: a fit of its own; where fits are given, that of the target
which the user names (``like``) or of its nearest relative, since fitted and published losses do not
add up; else the published law of Table C.1, its own or a relative's (``language_laws``). Which
sources may be trained on: those the user names; else those whose worth the fits identify; else the
best of the matrix, if it has the target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from atlas_scaling.answers import DEFAULT_LEVEL
from atlas_scaling.errors import InputError
from atlas_scaling.languages import normalise
from atlas_scaling.planning.allocate import allocate
from atlas_scaling.planning.allocation_answer import Allocation, ObjectiveKind
from atlas_scaling.planning.allocation_budget import Budget
from atlas_scaling.planning.language_laws import (
    PUBLISHED_UNIT,
    LanguageLaw,
    best_sources_of,
    borrowed_law,
    law_of_fit,
    published_law,
    transfer_warnings,
    with_transfer,
)
from atlas_scaling.planning.unique_tokens import unique_tokens
from atlas_scaling.transfer.lookup import relatives_of
from atlas_scaling.transfer.matrix import TransferMatrix

if TYPE_CHECKING:
    from atlas_scaling.fitting.result import Fit

BEST_SOURCES: Final = 5


def allocate_targets(
    targets: Sequence[str],
    budget: Budget,
    *,
    fits: Sequence[Fit] = (),
    matrix: TransferMatrix | None = None,
    sources: Sequence[str] | None = None,
    like: Mapping[str, str] | None = None,
    interference: bool = False,
    weights: Mapping[str, float] | None = None,
    unique: Mapping[str, float] | None = None,
    objective: ObjectiveKind | str = ObjectiveKind.MEAN,
    floors: Mapping[str, float] | None = None,
    caps: Mapping[str, float] | None = None,
    max_epochs: float | None = None,
    level: float = DEFAULT_LEVEL,
) -> Allocation:
    """The best plan for some languages.

    Args:
        targets: languages the model is for; those of the fits if none is named.
        budget: compute, sizes, tokens, serving.
        fits: of targets, ATLAS or Chinchilla, those of a pooled fit too; a target without one
            borrows that of a relative.
        matrix: transfer scores for laws that know none; the published 38x38 if not given.
        sources: further languages that may be trained on; chosen by transfer if not given.
        like: target -> the language whose law it borrows, fitted or published.
        interference: keep negative weights of the matrix.
        weights: of the targets in the mean; equal if not given.
        unique: distinct tokens by language; see ``unique_tokens`` for what else is known.
        objective: ``mean``, ``worst`` or ``regret``.
        floors: least share by language.
        caps: largest share by language.
        max_epochs: most passes over a language's distinct tokens.
        level: of intervals.

    >>> plan = allocate_targets(["cat_Latn"], Budget(flops=1e21), unique={"cat_Latn": 10e9})
    >>> sorted(plan.alternatives)
    ['target_only', 'uniform']

    Raises:
        InputError: no targets, unknown languages, fits of other languages or of two units, or a
            question that no plan meets.
    """
    own = [law_of_fit(fit) for fit in fits]
    codes = _codes(targets, own)
    own_matrix = matrix is not None
    if matrix is None:
        from atlas_scaling.transfer.reference import published_matrix

        matrix = published_matrix()
    laws = _laws(codes, own, like or {})
    chosen, passed_over = _sources(sources, laws, matrix)
    languages = list(dict.fromkeys([*codes, *chosen]))
    without = [law for law in laws if not law.knows_transfer]
    if not without and (own_matrix or interference):
        passed_over.append(
            "the fits know what languages are worth to each other: scores of a matrix are not used"
        )
    laws = [
        law
        if law.knows_transfer
        else with_transfer(law, matrix, languages, interference=interference)
        for law in laws
    ]
    counts, said = unique_tokens(languages, unique)
    answer = allocate(
        laws,
        budget,
        sources=chosen,
        weights=weights,
        unique=counts,
        objective=objective,
        floors=floors,
        caps=caps,
        max_epochs=max_epochs,
        level=level,
    )
    return replace(
        answer,
        warnings=(
            *([] if targets else [_whose(codes)]),
            *_published_warnings(laws),
            *answer.warnings,
            *passed_over,
            *said,
            *transfer_warnings(without, matrix, languages),
        ),
    )


def _codes(targets: Sequence[str], own: Sequence[LanguageLaw]) -> list[str]:
    """The languages that were named, or those of the fits.

    Raises:
        InputError: there is none.
    """
    codes = [normalise(code) for code in targets] or list(dict.fromkeys(x.language for x in own))
    if not codes:
        raise InputError(
            "which languages is the model for?",
            where="targets",
            remedy="name one: --target ca; or give a fit of it: --fit FIT",
        )
    return codes


def _laws(
    codes: Sequence[str], own: Sequence[LanguageLaw], like: Mapping[str, str]
) -> list[LanguageLaw]:
    """The law of each target: its fit's, or a relative's."""
    fitted = _fitted(own, codes)
    borrowed = _borrowed(like, codes, fitted)
    return [
        fitted[code] if code in fitted else _stand_in(code, fitted, borrowed.get(code))
        for code in codes
    ]


def _borrowed(
    like: Mapping[str, str], targets: Sequence[str], fitted: Mapping[str, LanguageLaw]
) -> dict[str, str]:
    """Whose law each target borrows.

    Raises:
        InputError: one that is no target borrows, or one that has a law of its own.
    """
    borrowed = {normalise(code): other for code, other in like.items()}
    for code in borrowed:
        if code not in targets or code in fitted:
            reason = "has a fit of its own" if code in fitted else "is no target"
            raise InputError(f"a language that {reason} borrows none", value=code, where="like")
    return borrowed


def _stand_in(code: str, fitted: Mapping[str, LanguageLaw], like: str | None) -> LanguageLaw:
    """The law of a target that has none: a fit's where there are fits, else a published one."""
    wanted = None if like is None else normalise(like)
    if not fitted or (wanted is not None and wanted not in fitted):
        return published_law(code, like=like)
    kin = [wanted] if wanted is not None else list(relatives_of(code, list(fitted)))
    if not kin:
        raise InputError(
            "this target has no fit, and none of the fits is of a relative",
            value=code,
            where="fits",
            remedy=f"fit it too, or say whose fit it borrows: like {code}={next(iter(fitted))}",
        )
    return borrowed_law(fitted[kin[0]], code)


def _fitted(own: Sequence[LanguageLaw], targets: Sequence[str]) -> dict[str, LanguageLaw]:
    laws: dict[str, LanguageLaw] = {}
    for law in own:
        if law.language not in targets:
            raise InputError(
                "this fit is of a language that is no target",
                value=law.language,
                where="fits",
                remedy=f"add it to the targets, or leave the fit out; targets: "
                f"{', '.join(targets)}",
            )
        if law.language in laws:
            raise InputError("two fits of one target", value=law.language, where="fits")
        laws[law.language] = law
    return laws


def _sources(
    named: Sequence[str] | None, laws: Sequence[LanguageLaw], matrix: TransferMatrix
) -> tuple[list[str], list[str]]:
    """Languages that may be trained on beside the targets, and what is said of those left out."""
    if named is not None:
        return [normalise(code) for code in named], []
    known = [s for law in laws for s in law.tau if f"tau[{s}]" not in law.unsure]
    unknown = [law for law in laws if not law.knows_transfer]
    best = [s for law in unknown for s in best_sources_of(matrix, law.language, top=BEST_SOURCES)]
    chosen = list(dict.fromkeys([*known, *best]))
    taken = {*chosen, *(law.language for law in laws)}
    unsure = dict.fromkeys(s for law in laws for s in law.tau if s not in taken)
    if not unsure:
        return chosen, []
    return chosen, [
        f"no fit identifies what {', '.join(unsure)} are worth: they are left out; name them as "
        "sources to plan with the fitted values all the same"
    ]


def _whose(targets: Sequence[str]) -> str:
    fits = "the fit is" if len(targets) == 1 else "the fits are"
    return f"no target is named: the plan is for {', '.join(targets)}, which {fits} of"


def _published_warnings(laws: Sequence[LanguageLaw]) -> list[str]:
    published = [law for law in laws if law.unit == PUBLISHED_UNIT]
    if not published:
        return []
    borrowed = [f"{law.language}: {law.basis}" for law in published if "(" in law.basis]
    said = [
        "published laws: losses are in the paper's own unit and compare plans with each other "
        "only; there are no intervals",
        "transfer is pairwise, at 2B parameters and 42B tokens; that it adds up over several "
        "sources, and what they cost in capacity, is not known",
    ]
    if borrowed:
        said.append("no published law of their own: " + "; ".join(borrowed))
    return said
