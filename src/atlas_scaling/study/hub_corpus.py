"""Corpora of the Hugging Face hub, streamed: MADLAD-400, FineWeb-2, FLORES+ and others like them.

A dataset is a repository with files of a language at a place that its code gives, and a column of
text. Documents stream through the library ``datasets``; nothing is kept but the corpus. The same
files in a folder, laid out as on the hub, serve where there is no network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from atlas_scaling.config import BesideTheFile
from atlas_scaling.errors import InputError, SourceError, nearest
from atlas_scaling.languages import language, relatives
from atlas_scaling.runs.record import Frozen
from atlas_scaling.study.corpus_store import SourceRecord
from atlas_scaling.study.say import Pace, Say
from atlas_scaling.study.settings import Count
from atlas_scaling.study.streamed_corpus import STREAMING_VERSION, GivenLine, Intake

HUB_VERSION: Final = 1
"""Raised with every change that alters a corpus that is built here."""

BUILDERS: Final = {".jsonl": "json", ".jsonl.gz": "json", ".json.gz": "json", ".parquet": "parquet"}


@dataclass(frozen=True, slots=True)
class KnownDataset:
    """What a study may leave out of a dataset that is known.

    Attributes:
        repository: on the hub.
        files: pattern of a language's files; ``{code}`` is ours, such as ``swe_Latn``, ``{madlad}``
            that of MADLAD-400, ``{iso639_3}`` and ``{iso639_1}`` those of ISO.
        licence: of the texts.
        column: of the text.
        identity: column of the id that translations share, if there is one.
        line_break: what stands for a line break in a text, beside the character itself.
    """

    repository: str
    files: str
    licence: str
    column: str = "text"
    identity: str | None = None
    line_break: str | None = None


DATASETS: Final = {
    "madlad-400": KnownDataset(
        "allenai/MADLAD-400",
        "data/{madlad}/{madlad}_clean_*.jsonl.gz",
        "ODC-BY 1.0, and the terms of Common Crawl",
        line_break="\\n",
    ),
    "fineweb-2": KnownDataset(
        "HuggingFaceFW/fineweb-2", "data/{code}/train/*.parquet", "ODC-BY 1.0"
    ),
    "flores-plus": KnownDataset(
        "openlanguagedata/flores_plus",
        "devtest/{code}.jsonl",
        "CC-BY-SA-4.0; not to be trained on, and its terms are accepted on the hub",
        identity="id",
    ),
}


class HubDataset(Frozen):
    """A dataset of the hub, or a folder that is laid out like one.

    Attributes:
        dataset: ``madlad-400``, ``fineweb-2``, ``flores-plus``, or ``owner/name``.
        root: a folder with the dataset's files, in place of the hub; relative to the study's file.
        files: pattern of a language's files (``KnownDataset``); known datasets have one.
        column: of the text.
        identity: column of the id that translations share.
        line_break: what stands for a line break in a text, beside the character itself.
        revision: branch, tag or commit.
        codes: the dataset's code of a language where it is another than ours, such as
            ``{swa_Latn: swh_Latn}``.
    """

    dataset: str
    root: BesideTheFile | None = None
    files: str | None = None
    column: str | None = None
    identity: str | None = None
    line_break: str | None = None
    revision: str = "main"
    codes: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_known_or_described(self) -> HubDataset:
        if self.dataset in DATASETS:
            return self
        if "/" not in self.dataset:
            hint = nearest(self.dataset, DATASETS) or f"known are {', '.join(DATASETS)}"
            raise ValueError(
                f"{self.dataset!r} is no known dataset; {hint}; any other is written owner/name"
            )
        if self.files is None:
            raise ValueError(
                f"where in {self.dataset} are the files of a language? give files, such as "
                "data/{code}/*.parquet"
            )
        return self

    @property
    def known(self) -> KnownDataset:
        """All settings, those given over those known."""
        base = DATASETS.get(self.dataset) or KnownDataset(self.dataset, "", "see its card")
        return KnownDataset(
            base.repository,
            self.files or base.files,
            base.licence,
            self.column or base.column,
            self.identity or base.identity,
            self.line_break if self.line_break is not None else base.line_break,
        )


class HubSpec(HubDataset):
    """Text of a dataset of the hub.

    Attributes:
        source: says that it is this one.
        max_bytes: text to take of a language at most, its first documents; all unless given.
        evaluation: a dataset of test text, such as ``{dataset: flores-plus}``; without it documents
            are split off.
        not_in_evaluation: what becomes of a language that ``evaluation`` lacks: ``split``, some of
            its own documents are split off and its losses do not compare with other languages', or
            ``refuse``.
        eval_lines: evaluation documents to split off, or lines to take of ``evaluation``.
        contamination: whether training text that has a passage of the evaluation text is dropped
            or only reported.
        seed: of the split and of the order of documents.
    """

    source: Literal["huggingface"]
    max_bytes: Count | None = Field(default=None, gt=0)
    evaluation: HubDataset | None = None
    not_in_evaluation: Literal["split", "refuse"] = "split"
    eval_lines: int = Field(default=800, gt=0)
    contamination: Literal["drop", "report"] = "drop"
    seed: int = 0


def hub_request(spec: HubSpec, languages: Sequence[str]) -> dict[str, Any]:
    """All that a corpus depends on; a branch is what it was when the corpus was built."""
    return {
        **spec.model_dump(mode="json"),
        "languages": list(languages),
        "version": [HUB_VERSION, STREAMING_VERSION],
    }


def hub_intake(spec: HubSpec) -> Intake:
    """How the dataset's text is read."""

    def evaluation(code: str) -> Sequence[GivenLine] | None:
        if spec.evaluation is None or not _is_there(spec.evaluation, code):
            return None
        rows = islice(_rows(spec.evaluation, code), spec.eval_lines)
        return [
            GivenLine(str(i) if one is None else one, text) for i, (one, text) in enumerate(rows)
        ]

    datasets = [spec] if spec.evaluation is None else [spec, spec.evaluation]
    return Intake(
        source=spec.dataset,
        place=lambda code: files_of(spec, code),
        documents=lambda code: _first_bytes(
            (text for _, text in _rows(spec, code)), spec.max_bytes
        ),
        evaluation=evaluation,
        eval_lines=spec.eval_lines,
        seed=spec.seed,
        contamination=spec.contamination,
        about_bytes=lambda _: spec.max_bytes,
        has_ids=spec.evaluation is not None and spec.evaluation.known.identity is not None,
        records=[
            SourceRecord(
                name=one.dataset,
                licence=one.known.licence,
                homepage=f"https://huggingface.co/datasets/{one.known.repository}",
                pin=str(one.root) if one.root is not None else f"revision {one.revision}",
            )
            for one in datasets
        ],
    )


def check_hub(spec: HubSpec, languages: Sequence[str], say: Say) -> None:
    """Look for the files of all languages, so that hours of reading do not end at one without.

    Raises:
        InputError: a language has no text; or no test text, where that is refused or none has any.
        SourceError: the dataset cannot be reached.
    """
    pace = Pace(say)
    for number, code in enumerate(languages):
        n = len(languages)
        pace.offer(lambda: f"looking for files: {number} of {n} languages", number / n)  # noqa: B023
        if _found(spec, files_of(spec, code)) is None:
            raise _has_no_text(spec, code)
    test = spec.evaluation
    if test is None:
        return
    without = [code for code in languages if not _is_there(test, code)]
    if without and (spec.not_in_evaluation == "refuse" or len(without) == len(languages)):
        raise InputError(
            f"{test.dataset} has no test text for {', '.join(without)}",
            value=[test.codes.get(code, code) for code in without],
            where="corpus.evaluation",
            remedy="leave them out, give the dataset's own codes (evaluation: {codes: …}), or have "
            "test text split off their own: "
            + ("not_in_evaluation: split" if len(without) < len(languages) else "no evaluation"),
        )


def _is_there(dataset: HubDataset, code: str) -> bool:
    try:
        pattern = files_of(dataset, code)
    except InputError:  # the dataset names languages by a code that this one does not have
        return False
    return _found(dataset, pattern) is not None


def _first_bytes(texts: Iterator[str], most: int | None) -> Iterator[str]:
    taken = 0
    for text in texts:
        yield text
        taken += len(text.encode())
        if most is not None and taken >= most:
            return


def files_of(dataset: HubDataset, code: str) -> str:
    """The pattern of a language's files.

    Raises:
        InputError: the dataset names languages by a code that this one does not have.
    """
    entry = language(code)
    its_own = dataset.codes.get(code)
    codes = {
        "code": its_own or code,
        "madlad": its_own or entry.madlad,
        "iso639_3": its_own or entry.iso639_3,
        "iso639_1": its_own or entry.iso639_1,
    }
    pattern = dataset.known.files
    for name, value in codes.items():
        place = f"{{{name}}}"
        if place in pattern and value is None:
            raise InputError(
                f"{code} has no code in {dataset.dataset}",
                value=place,
                where="corpus.files",
                remedy=f"give it: codes: {{{code}: ITS_CODE}}",
            )
        pattern = pattern.replace(place, value or "")
    return pattern


def _rows(dataset: HubDataset, code: str) -> Iterator[tuple[str | None, str]]:
    """Id and text of every record of a language."""
    known = dataset.known
    pattern = files_of(dataset, code)
    stream = _found(dataset, pattern)
    if stream is None:
        raise _has_no_text(dataset, code)
    records = iter(stream)
    while True:
        record = _reported(lambda: next(records, None), dataset, pattern)
        if record is None:
            return
        for column in (known.column, *([known.identity] if known.identity else [])):
            if column not in record:
                raise InputError(
                    f"a record of {dataset.dataset} has no column {column!r}",
                    value=sorted(record),
                    where=pattern,
                    remedy=nearest(column, record) or "name the column of the text: column: NAME",
                )
        text = str(record[known.column] or "")
        if known.line_break is not None:
            text = text.replace(known.line_break, "\n")
        yield (None if known.identity is None else str(record[known.identity])), text


def _stream(dataset: HubDataset, pattern: str) -> Any:
    try:
        from datasets import load_dataset
    except ImportError:
        raise InputError(
            "the library datasets is not installed", remedy="pip install 'atlas-scaling[data]'"
        ) from None
    if dataset.root is not None and not dataset.root.is_dir():
        raise InputError("there is no such folder", value=str(dataset.root), where="corpus.root")
    kind = next(
        (end for end in sorted(BUILDERS, key=len, reverse=True) if pattern.endswith(end)), ""
    )
    if not kind:
        raise InputError(
            "files of a dataset are JSON lines or Parquet",
            value=pattern,
            where="corpus.files",
            remedy=f"end the pattern in one of {', '.join(BUILDERS)}",
        )
    place = (
        f"hf://datasets/{dataset.known.repository}@{dataset.revision}"
        if dataset.root is None
        else str(dataset.root)
    )
    return load_dataset(
        BUILDERS[kind], data_files=f"{place}/{pattern}", split="train", streaming=True
    )


def _found(dataset: HubDataset, pattern: str) -> Any:
    """The stream of a language's records; None where no file has the pattern."""
    try:
        return _reported(lambda: _stream(dataset, pattern), dataset, pattern)
    except SourceError as error:
        if error.__cause__ is not None and _is_of_no_file(error.__cause__):
            return None
        raise


def _reported(step: Callable[[], Any], dataset: HubDataset, pattern: str) -> Any:
    """``step()``, with what the library or the network refuse in one message."""
    try:
        return step()
    except InputError:
        raise
    except Exception as error:  # the library passes on errors of many kinds and packages
        raise SourceError(
            f"{dataset.dataset} could not be read: {_first_line(error)}",
            value=type(error).__name__,
            where=pattern,
            remedy="check the network; a dataset behind terms needs them accepted on the hub "
            "and a login (hf auth login); or give a folder with its files: root: DIR",
        ) from error


def _has_no_text(dataset: HubDataset, code: str) -> InputError:
    kin = ", ".join(str(one) for one in relatives(code))
    return InputError(
        f"{dataset.dataset} has no text for {code}",
        value=files_of(dataset, code),
        where=dataset.known.repository if dataset.root is None else str(dataset.root),
        remedy="leave the language out, or give the dataset's own code: "
        f"codes: {{{code}: ITS_CODE}}" + (f"; kin of it are {kin}" if kin else ""),
    )


def _is_of_no_file(error: BaseException) -> bool:
    """Whether no file has the pattern; what is raised then has changed between versions."""
    if isinstance(error, FileNotFoundError):
        return True
    return isinstance(error, ValueError) and "data_files" in str(error)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
