"""A plan's mixture in the form that trainers read.

- ``olmo-core``: the list of a ``SourceMixtureList``, with a repetition ratio where text repeats;
- ``megatron``: weights and prefixes in turn, as ``--data-path`` takes them;
- ``huggingface``: arguments of ``datasets.interleave_datasets``. It draws documents, not tokens, so
  shares of tokens are divided by the mean tokens of a document where those are given;
- ``olmix``: one row of a ``ratios.csv``;
- ``atlas``: a study of one run, for this package; its group alone where there is no size.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError, unknown
from atlas_scaling.languages import language
from atlas_scaling.planning.checks import check_above_zero
from atlas_scaling.planning.mixtures import checked_mixture
from atlas_scaling.published.model_shapes import nearest_shape


class ExportFormat(StrEnum):
    """Who will read it."""

    OLMO_CORE = "olmo-core"
    MEGATRON = "megatron"
    HUGGINGFACE = "huggingface"
    OLMIX = "olmix"
    ATLAS = "atlas"


DIGITS: Final = 6
SPARE_REPETITION: Final = 1.02
"""Room over the planned epochs, for what rounding and batches add."""

PLACEHOLDERS: Final = ("{language}", "{code}", "{madlad}")
PATTERNS: Final = {
    ExportFormat.OLMO_CORE: "data/{language}/*.npy",
    ExportFormat.MEGATRON: "data/{language}_text_document",
}


@dataclass(frozen=True)
class PlannedMixture:
    """What is exported.

    Attributes:
        shares: of tokens, by language.
        tokens: training tokens in all, if they are known.
        epochs: passes over the text, by language, where they are known.
        n_params: model size, if it is known.
    """

    shares: Mapping[str, float]
    tokens: float | None = None
    epochs: Mapping[str, float] | None = None
    n_params: float | None = None


@dataclass(frozen=True)
class ExportedMixture(Answer):
    """A mixture as text, ready to be written to a file.

    Attributes:
        format: who will read it.
        text: the file.
    """

    format: ExportFormat
    text: str


def export_mixture(
    plan: PlannedMixture,
    to: ExportFormat | str,
    *,
    paths: str | None = None,
    tokens_per_document: Mapping[str, float] | None = None,
    name: str = "plan",
) -> ExportedMixture:
    """The mixture in one format.

    Args:
        plan: shares, tokens, epochs.
        to: the format.
        paths: where a language's data lies, with ``{language}`` (our code) or ``{madlad}`` in it.
        tokens_per_document: mean tokens of a document by language, for ``huggingface``.
        name: of the run, for ``olmix`` and ``atlas``.

    >>> export_mixture(PlannedMixture({"sv": 0.75, "da": 0.25}), "megatron").text.strip()
    '0.75 data/swe_Latn_text_document 0.25 data/dan_Latn_text_document'

    Raises:
        InputError: an unknown format, shares that are no mixture, or a pattern of paths without a
            place for the language.
    """
    try:
        chosen = ExportFormat(to)
    except ValueError:
        raise unknown("unknown format", to, ExportFormat, where="to") from None
    shares = {code: w for code, w in checked_mixture(plan.shares).items() if w > 0}
    pattern = _pattern(paths, chosen, len(shares))
    writers: dict[ExportFormat, Callable[[], str]] = {
        ExportFormat.OLMO_CORE: lambda: _olmo_core(plan, shares, pattern),
        ExportFormat.MEGATRON: lambda: _megatron(shares, pattern),
        ExportFormat.HUGGINGFACE: lambda: _huggingface(shares, tokens_per_document),
        ExportFormat.OLMIX: lambda: _olmix(shares, name),
        ExportFormat.ATLAS: lambda: _atlas(plan, shares, name),
    }
    return ExportedMixture(chosen, writers[chosen]())


def read_plan(path: Path) -> PlannedMixture:
    """The mixture in a file that ``atlas plan allocate --json`` printed.

    Raises:
        InputError: there is no such file, or no plan in it.
    """
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            "there is no such plan",
            value=str(path),
            remedy=f"make one: atlas plan allocate … --json > {path.name}",
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError("this is no plan", value=str(error), where=str(path)) from None
    if not isinstance(document, dict) or not isinstance(document.get("mixture"), dict):
        raise InputError(
            "this is no plan: it has no mixture",
            where=str(path),
            remedy="a plan is what atlas plan allocate --json prints",
        )
    epochs = document.get("epochs")
    return PlannedMixture(
        shares=_numbers(document["mixture"], "mixture", path),
        tokens=_count(document, "tokens", path),
        epochs=_numbers(epochs, "epochs", path) if isinstance(epochs, dict) else None,
        n_params=_count(document, "n_params", path),
    )


def _numbers(values: dict[str, Any], name: str, path: Path) -> dict[str, float]:
    for code, value in values.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise InputError("this is not a number", value=value, where=f"{path}, {name}, {code}")
    return values


def _count(document: dict[str, Any], name: str, path: Path) -> float | None:
    value = document.get(name)
    if value is None:
        return None
    _numbers({name: value}, "plan", path)
    check_above_zero(**{name: value})
    return float(value)


def _pattern(paths: str | None, to: ExportFormat, n_languages: int) -> str:
    pattern = PATTERNS.get(to, "") if paths is None else paths
    if paths is not None and n_languages > 1 and not any(p in paths for p in PLACEHOLDERS):
        raise InputError(
            "one path for all languages",
            value=paths,
            where="paths",
            remedy="put {language} where the code stands, such as data/{language}_text_document",
        )
    return pattern


def _path(pattern: str, code: str) -> str:
    madlad = language(code).madlad
    if "{madlad}" in pattern and madlad is None:
        raise InputError("this language is not in MADLAD-400", value=code, where="paths")
    return (
        pattern.replace("{language}", code)
        .replace("{code}", code)
        .replace("{madlad}", madlad or "")
    )


def _rounded(shares: Mapping[str, float]) -> dict[str, float]:
    """Shares to ``DIGITS`` digits that still sum to 1: the largest takes what rounding leaves."""
    rounded = {code: round(w, DIGITS) for code, w in shares.items()}
    largest = max(rounded, key=lambda code: rounded[code])
    others = math.fsum(w for code, w in rounded.items() if code != largest)
    rounded[largest] = round(1 - others, DIGITS)
    return {code: w for code, w in rounded.items() if w > 0}


def _olmo_core(plan: PlannedMixture, shares: Mapping[str, float], pattern: str) -> str:
    lines = ["# SourceMixtureList of OLMo-core"]
    if plan.tokens is not None:
        lines.append(f"# requested_tokens: {plan.tokens:.0f}")
    lines.append("sources:")
    for code, share in _rounded(shares).items():
        epochs = (plan.epochs or {}).get(code, 1.0)
        lines += [
            f"  - source_name: {code}",
            f"    target_ratio: {share}",
            f"    paths: [{json.dumps(_path(pattern, code))}]",
        ]
        if epochs > 1:
            ratio = math.ceil(epochs * SPARE_REPETITION * 100) / 100
            lines.append(f"    max_repetition_ratio: {ratio}")
    return "\n".join(lines) + "\n"


def _megatron(shares: Mapping[str, float], pattern: str) -> str:
    return " ".join(f"{w} {_path(pattern, code)}" for code, w in _rounded(shares).items()) + "\n"


def _huggingface(
    shares: Mapping[str, float], tokens_per_document: Mapping[str, float] | None
) -> str:
    lengths = checked_lengths(tokens_per_document, list(shares))
    weights = {code: w / lengths.get(code, 1.0) for code, w in shares.items()}
    total = math.fsum(weights.values())
    drawn = _rounded({code: w / total for code, w in weights.items()})
    note = (
        "# shares of documents, from shares of tokens and the mean tokens of a document\n"
        if lengths
        else "# probabilities are of documents: equal to shares of tokens only where documents of "
        "all\n# languages are equally long; give their mean tokens otherwise\n"
    )
    return (
        f"{note}interleave_datasets(\n"
        f"    [datasets[code] for code in {list(drawn)!r}],\n"
        f"    probabilities={list(drawn.values())!r},\n"
        "    seed=0,\n"
        '    stopping_strategy="all_exhausted",\n'
        ")\n"
    )


def checked_lengths(
    tokens_per_document: Mapping[str, float] | None, codes: list[str]
) -> dict[str, float]:
    """Mean tokens of a document by our codes; of all languages, or of none.

    Raises:
        InputError: a number is not above zero, or some languages have none.
    """
    lengths = {language(code).code: n for code, n in (tokens_per_document or {}).items()}
    check_above_zero(**{f"tokens of a document of {code}": n for code, n in lengths.items()})
    missing = [code for code in codes if code not in lengths]
    if lengths and missing:
        raise InputError(
            "give the mean tokens of a document of every language, or of none",
            value=missing,
            where="tokens_per_document",
        )
    return lengths


def _olmix(shares: Mapping[str, float], name: str) -> str:
    rounded = _rounded(shares)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", *rounded])
    writer.writerow([name, *rounded.values()])
    return text.getvalue()


def _atlas(plan: PlannedMixture, shares: Mapping[str, float], name: str) -> str:
    """A study of one run, where the plan has a size and tokens; else its group alone."""
    group = [
        "groups:",
        "  - kind: mixture",
        f"    name: {name}",
        f"    sizes: [{'planned' if plan.n_params else 'SIZE'}]",
        f"    tokens: {'TOKENS' if plan.tokens is None else f'{plan.tokens:.0f}'}",
        "    shares:",
        *(f"      {code}: {share}" for code, share in _rounded(shares).items()),
    ]
    if plan.n_params is None or plan.tokens is None:
        return "\n".join(group) + "\n"
    shape = nearest_shape(plan.n_params)
    study = [
        f"# {plan.n_params:.3g} parameters; the nearest of Table B.3 has {shape.n_params:.3g}.",
        "# Text, vocabulary and batch are the paper's: put your own in their place.",
        f"name: {name}",
        f"languages: [{', '.join(shares)}]",
        "corpus: {source: huggingface, dataset: madlad-400}",
        "tokenizer: {vocab_size: 64000, reserved: 512}",
        "sequence_length: 2048",
        "sizes:",
        f"  planned: {{scale: {shape.scale}, rule: table-b2}}",
        "training: {batch_size: 256, first_evaluation: 1B}",
    ]
    return "\n".join([*study, *group]) + "\n"
