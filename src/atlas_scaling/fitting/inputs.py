"""The input arrays a law may name, each built from the columns of a run table.

- ``n_params``, ``n_params_non_embedding``, ``tokens``, ``flops``, ``n_languages``;
- ``target_tokens`` ``D_t``, ``target_unique`` ``U_t``: of the target language;
- ``source_tokens``, ``source_unique``: one row a source of the law, (k, n);
- ``other_tokens`` ``D_other``, ``other_unique`` ``U_other``: everything else, unique tokens summed;
- ``target_early``, ``source_early``, ``other_early``: share of these tokens that came before the
  present stage of a run whose mixture changes; 0 in all other runs;
- ``family_share`` ``p_f``: share of the target's language family in the mixture;
- ``shares``: one row a domain of the law, (k, n);
- any other numeric column of the table, by its own name.

Where unique tokens are not recorded nothing counts as repeated (``U = inf``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.errors import InputError
from atlas_scaling.fitting.tables import SHARE_PREFIX
from atlas_scaling.laws.base import DataFacts, FloatArray, Law
from atlas_scaling.mixtures import ROUNDED_TOLERANCE
from atlas_scaling.units import counted

if TYPE_CHECKING:
    import polars as pl

_NOT_SHARES: Final = frozenset({"w_sum"})


@dataclass(frozen=True, eq=False)
class Mixtures:
    """Tokens, shares and unique tokens by language, each (k languages, n rows)."""

    languages: tuple[str, ...]
    tokens: FloatArray
    unique: FloatArray | None

    @classmethod
    def of(cls, frame: pl.DataFrame) -> Mixtures | None:
        """The mixtures of a table, or None where it says nothing of them."""
        total = frame["tokens"].to_numpy().astype(np.float64)
        read = None
        if "tokens_by_language" in frame.columns:
            read = _by_language(frame, "tokens_by_language")
        if read is None and "mixture" in frame.columns:
            read = _as_tokens(_by_language(frame, "mixture"), frame, total)
        if read is None:
            read = _as_tokens(_share_columns(frame), frame, total)
        if read is None:
            return None
        languages, tokens = read
        unique = None
        if "unique_tokens" in frame.columns:
            known = _by_language(frame, "unique_tokens")
            if known is not None:
                row = {language: i for i, language in enumerate(known[0])}
                missing = np.full(frame.height, np.nan)
                unique = np.array(
                    [known[1][row[lang]] if lang in row else missing for lang in languages]
                )
        return cls(tuple(languages), tokens, unique)

    def of_rows(self, rows: NDArray[np.bool_]) -> Mixtures:
        """Of some of the rows, with the languages that these train on."""
        tokens = self.tokens[:, rows]
        met = np.flatnonzero((tokens > 0).any(axis=1))
        return Mixtures(
            tuple(self.languages[i] for i in met),
            tokens[met],
            None if self.unique is None else self.unique[met][:, rows],
        )

    def row(self, language: str) -> int | None:
        """Row of a language; None where no mixture has it."""
        return self.languages.index(language) if language in self.languages else None

    def shares(self, language: str) -> FloatArray:
        """Share of a language in the tokens so far, (n,)."""
        i = self.row(language)
        if i is None:
            return np.zeros(self.tokens.shape[1])
        share: FloatArray = self.tokens[i] / np.maximum(self.tokens.sum(axis=0), 1e-300)
        return share

    def n_languages(self) -> FloatArray:
        """Languages with any tokens, (n,)."""
        return np.asarray((self.tokens > 0).sum(axis=0), dtype=np.float64)

    def co_sampled(self, target: str, run_ids: NDArray[np.str_]) -> tuple[str, ...]:
        """The other languages, most co-sampled with ``target`` first.

        A language counts with its share in every run that trains on the target; runs, not rows,
        are summed, and equals are ordered by code.
        """
        _, first = np.unique(run_ids, return_index=True)
        with_target = first[self.shares(target)[first] > 0]
        weight = {
            language: float(self.shares(language)[with_target].sum())
            for language in self.languages
            if language != target
        }
        met = [language for language in weight if weight[language] > 0]
        return tuple(sorted(met, key=lambda language: (-round(weight[language], 9), language)))


def languages_of(frame: pl.DataFrame) -> tuple[str, ...] | None:
    """The languages of ``Mixtures.of(frame)``, without its arrays; None where there are none."""
    import polars as pl

    for column in ("tokens_by_language", "mixture"):
        if column in frame.columns and isinstance(frame.schema[column], pl.List):
            entries = frame.lazy().select(pl.col(column).explode(empty_as_null=True))
            codes = entries.select(pl.col(column).struct.field("language").unique()).collect()
            found = codes["language"].drop_nulls().sort().to_list()
            if found:
                return tuple(found)
    mixtures = Mixtures.of(frame)
    return None if mixtures is None else mixtures.languages


def build_inputs(
    frame: pl.DataFrame, law: Law, facts: DataFacts, mixtures: Mixtures | None = None
) -> tuple[dict[str, FloatArray], list[str]]:
    """The arrays ``law`` names, and notes on what had to be assumed.

    Args:
        frame: the rows.
        law: adapted to them.
        facts: target and sources.
        mixtures: of the rows, where they have been read already.

    Raises:
        InputError: an input cannot be made from this table.
    """
    builder = _Builder(frame, law, facts, mixtures or Mixtures.of(frame))
    return {name: builder.build(name) for name in law.inputs}, builder.notes


class _Builder:
    def __init__(
        self, frame: pl.DataFrame, law: Law, facts: DataFacts, mixtures: Mixtures | None
    ) -> None:
        self.frame = frame
        self.law = law
        self.facts = facts
        self.mixtures = mixtures
        self.notes: list[str] = []

    def build(self, name: str) -> FloatArray:
        make = getattr(self, f"_{name}", None)
        array: FloatArray = make() if make is not None else self._column(name)
        return array

    def _column(self, name: str) -> FloatArray:
        if name not in self.frame.columns or not self.frame.schema[name].is_numeric():
            raise InputError(
                f"the law {self.law.name} needs {name}: the table has no such column of numbers",
                value=self._columns,
                where=name,
                remedy=f"say which column it is: --column {name}=THEIRS",
            )
        values = self.frame[name].to_numpy().astype(np.float64)
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            row = self.frame["_row"][int(bad[0])] + 1 if "_row" in self.frame.columns else bad[0]
            raise InputError(
                f"{name} is missing or not finite",
                value=values[bad[0]],
                where=f"row {row} of the table, column {name} ({counted(len(bad), 'row')} in all)",
                remedy="drop these rows, or choose a law that does without it",
            )
        return values

    @property
    def _columns(self) -> list[str]:
        """The user's columns; those that begin with an underscore are ours."""
        return [name for name in self.frame.columns if not name.startswith("_")]

    def _flops(self) -> FloatArray:
        if "flops" in self.frame.columns and self.frame["flops"].is_not_null().any():
            flops = self._column("flops")
            if (flops <= 0).any():
                row = int(np.flatnonzero(flops <= 0)[0])
                raise InputError(
                    "flops must be above zero",
                    value=float(flops[row]),
                    where=f"row {self.frame['_row'][row] + 1} of the table, column flops",
                    remedy="leave the column out: 6 x n_params x tokens is taken then",
                )
            return flops
        return 6.0 * self._column("n_params") * self._column("tokens")

    def _unique_tokens(self) -> FloatArray:
        if self.mixtures is None or self.mixtures.unique is None:
            return self._single_unique("all languages together")
        known = np.where(self.mixtures.tokens > 0, self.mixtures.unique, 0.0).sum(axis=0)
        return np.where(known > 0, known, np.inf)

    def _n_languages(self) -> FloatArray:
        return self._column("n_languages") if self.mixtures is None else self.mixtures.n_languages()

    def _target_tokens(self) -> FloatArray:
        if self.mixtures is None and "n_languages" in self.law.inputs:
            self._note("the table has no mixture: its languages count as sampled evenly")
            return self._column("tokens") / self._column("n_languages")
        if self.mixtures is None:
            self._note("the table has no mixture: all tokens count as the target's")
            return self._column("tokens")
        tokens = self._tokens_of(self.facts.target)
        if not tokens.any():
            raise InputError(
                f"no run here was trained on {self.facts.target}, and the law {self.law.name} "
                "needs its tokens",
                value=self.mixtures.languages[:12],
                where="target",
                remedy="a law of all tokens (chinchilla), or a target of the mixtures",
            )
        return tokens

    def _target_unique(self) -> FloatArray:
        if self.mixtures is None or self.mixtures.unique is None:
            return self._single_unique(f"{self.facts.target} alone; others are not repeated")
        return self._unique_of(self.facts.target)

    def _source_tokens(self) -> FloatArray:
        return self._stack([self._tokens_of(source) for source in self._sources()])

    def _source_unique(self) -> FloatArray:
        return self._stack([self._unique_of(source) for source in self._sources()])

    def _other_tokens(self) -> FloatArray:
        if self.mixtures is None:
            return np.zeros(self.frame.height)
        return np.asarray(self.mixtures.tokens[self._other_rows()].sum(axis=0))

    def _other_unique(self) -> FloatArray:
        if self.mixtures is None:
            return np.zeros(self.frame.height)
        rows = self._other_rows()
        if self.mixtures.unique is None:
            return np.full(self.frame.height, np.inf)
        trained = self.mixtures.tokens[rows] > 0
        unique = self.mixtures.unique[rows]
        lacking = trained & ~(unique > 0)
        if lacking.any():
            self._note("unique tokens of others are not recorded everywhere: not repeated there")
        known = np.where(trained & ~lacking, unique, 0.0).sum(axis=0)
        return np.where(lacking.any(axis=0), np.inf, known)

    def _target_early(self) -> FloatArray:
        return self._early_share([self.facts.target], self._target_tokens())

    def _source_early(self) -> FloatArray:
        sources = self._sources()
        return self._stack([self._early_share([s], self._tokens_of(s)) for s in sources])

    def _other_early(self) -> FloatArray:
        others = [] if self.mixtures is None else self._other_rows()
        named = [self.mixtures.languages[i] for i in others] if self.mixtures is not None else []
        return self._early_share(named, self._other_tokens())

    def _early_share(self, languages: Sequence[str | None], tokens: FloatArray) -> FloatArray:
        """Share of ``tokens`` of some languages that the column ``early_tokens`` counts."""
        has_column = "early_tokens" in self.frame.columns
        read = _by_language(self.frame, "early_tokens") if has_column else None
        if read is None:
            return np.zeros(self.frame.height)
        rows = [i for i, language in enumerate(read[0]) if language in languages]
        early = read[1][rows].sum(axis=0) / np.maximum(tokens, 1e-300)
        return np.asarray(np.where(tokens > 0, np.minimum(early, 1.0), 0.0))

    def _shares(self) -> FloatArray:
        mixtures = self._needed_mixtures("shares")
        return self._stack([mixtures.shares(domain) for domain in getattr(self.law, "domains", ())])

    def _family_share(self) -> FloatArray:
        from atlas_scaling.languages import language

        mixtures = self._needed_mixtures("family_share")
        family = language(self._needed_target()).family
        kin = [code for code in mixtures.languages if language(code).family == family]
        return np.asarray(np.sum([mixtures.shares(code) for code in kin], axis=0))

    def _sources(self) -> tuple[str, ...]:
        return tuple(getattr(self.law, "sources", None) or ())

    def _other_rows(self) -> list[int]:
        assert self.mixtures is not None
        named = {self.facts.target, *self._sources()}
        return [i for i, lang in enumerate(self.mixtures.languages) if lang not in named]

    def _tokens_of(self, language: str | None) -> FloatArray:
        mixtures = self._needed_mixtures("tokens by language")
        i = mixtures.row(language or self._needed_target())
        return np.zeros(self.frame.height) if i is None else mixtures.tokens[i]

    def _unique_of(self, language: str | None) -> FloatArray:
        mixtures = self._needed_mixtures("unique tokens")
        i = mixtures.row(language or self._needed_target())
        if i is None:
            return np.zeros(self.frame.height)
        if mixtures.unique is None:
            if not self._one_unique_number():
                self._note("unique tokens are not recorded: nothing counts as repeated")
            return np.full(self.frame.height, np.inf)
        known = mixtures.unique[i]
        lacking = np.isnan(known) | ((known <= 0) & (mixtures.tokens[i] > 0))
        if lacking.any():
            self._note(
                f"unique tokens of {language} are not recorded everywhere: not repeated there"
            )
        return np.where(lacking, np.inf, known)

    def _one_unique_number(self) -> bool:
        schema = self.frame.schema
        return "unique_tokens" in schema and schema["unique_tokens"].is_numeric()

    def _single_unique(self, meant: str) -> FloatArray:
        if self._one_unique_number():
            values = self.frame["unique_tokens"].to_numpy().astype(np.float64)
            if (known := np.isfinite(values) & (values > 0)).any():
                if self.mixtures is not None and (self.mixtures.n_languages() > 1).any():
                    self._note(
                        f"unique_tokens is one number a row, taken as that of {meant}; to give "
                        "each language its own: atlas runs import --column "
                        "unique_tokens=u_{language}"
                    )
                return np.where(known, values, np.inf)
        self._note("unique tokens are not recorded: nothing counts as repeated")
        return np.full(self.frame.height, np.inf)

    def _stack(self, rows: list[FloatArray]) -> FloatArray:
        return np.array(rows) if rows else np.zeros((0, self.frame.height))

    def _needed_mixtures(self, what: str) -> Mixtures:
        if self.mixtures is None:
            raise InputError(
                f"the law {self.law.name} needs {what}, and the table says nothing of mixtures",
                value=self._columns,
                where="mixture",
                remedy="add a column mixture, or shares as columns w_<language>",
            )
        return self.mixtures

    def _needed_target(self) -> str:
        if self.facts.target is None:
            raise InputError(
                f"the law {self.law.name} is of one target language",
                where="target",
                remedy="name it: --target swe_Latn",
            )
        return self.facts.target

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _by_language(frame: pl.DataFrame, column: str) -> tuple[list[str], FloatArray] | None:
    """A column by language as (languages, (k, n)); None where it is one number a row, or empty.

    Cells are lists of ``{language, value}``, as in ``RunTable.frame``, or ``{code: value}``.
    """
    import polars as pl

    dtype = frame.schema[column]
    if isinstance(dtype, pl.Struct):
        fields = frame[column].struct.unnest()
        values = [fields[c].cast(pl.Float64, strict=False).fill_null(0.0) for c in fields.columns]
        return fields.columns, np.array([v.to_numpy() for v in values])
    if not isinstance(dtype, pl.List) or not isinstance(dtype.inner, pl.Struct):
        return None
    long = (
        frame.select(pl.int_range(pl.len()).alias("i"), pl.col(column).alias("entry"))
        .explode("entry", empty_as_null=True)
        .drop_nulls("entry")
        .unnest("entry")
    )
    if not long.height:
        return None
    languages = sorted(long["language"].unique().to_list())
    number = {language: k for k, language in enumerate(languages)}
    found = np.zeros((len(languages), frame.height))
    row = long["language"].replace_strict(number, return_dtype=pl.Int64).to_numpy()
    found[row, long["i"].to_numpy()] = long["value"].to_numpy()
    return languages, found


def _share_columns(frame: pl.DataFrame) -> tuple[list[str], FloatArray] | None:
    """Columns ``w_<language>`` as shares."""
    columns = [
        c
        for c in frame.columns
        if c.startswith(SHARE_PREFIX) and c not in _NOT_SHARES and frame.schema[c].is_numeric()
    ]
    if not columns:
        return None
    values = np.array([frame[c].fill_null(0.0).to_numpy().astype(np.float64) for c in columns])
    return [c.removeprefix(SHARE_PREFIX) for c in columns], values


def _as_tokens(
    read: tuple[list[str], FloatArray] | None, frame: pl.DataFrame, total: FloatArray
) -> tuple[list[str], FloatArray] | None:
    """Shares or percentages as tokens; their sums may be off by rounding, and are made whole.

    Raises:
        InputError: a share is below zero, or shares sum to something else.
    """
    if read is None:
        return None
    languages, shares = read
    sums = shares.sum(axis=0)
    known = sums != 0
    whole = np.where(np.abs(sums - 100.0) <= 100.0 * ROUNDED_TOLERANCE, 100.0, 1.0)
    off = known & ~(np.abs(sums / whole - 1.0) <= ROUNDED_TOLERANCE)
    bad = np.flatnonzero(off | (shares < 0).any(axis=0))
    if len(bad):
        k = int(bad[0])
        row = frame["_row"][k] if "_row" in frame.columns else k
        below = bool((shares[:, k] < 0).any())
        raise InputError(
            "a share of a mixture is below zero"
            if below
            else f"the shares of a mixture sum to {sums[k]:.4g}, not to 1 or 100",
            value={c: float(v) for c, v in zip(languages, shares[:, k], strict=True) if v},
            where=f"row {row + 1} of the table ({counted(len(bad), 'row')} in all)",
            remedy="give shares or percentages of all training tokens; other weights: "
            "atlas runs import with mixture_unit: relative in the map",
        )
    return languages, shares / np.where(known, sums, 1.0) * total
