"""A user's own text as a corpus: ``DIR/CODE.txt``, with ``DIR/eval/CODE.txt`` where there is one.

One sentence or paragraph a line, UTF-8. The text is taken as it is, but for NFC, white space and
copies. A language without evaluation text gives some of its own lines for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from atlas_scaling.errors import InputError, nearest
from atlas_scaling.runs.record import Frozen
from atlas_scaling.study.cache import sha256_of
from atlas_scaling.study.cleaning import fingerprint, tidied
from atlas_scaling.study.corpus_store import CorpusText, Line, SourceRecord
from atlas_scaling.study.deduplication import distinct_lines, order_key
from atlas_scaling.study.say import Say

FOLDER_VERSION: Final = 1
"""Raised with every change that alters a corpus that is built from a folder."""

MAX_EVAL_SHARE: Final = 0.1

_SOURCE: Final = "folder"


class FolderSpec(Frozen):
    """Text files of the user.

    Attributes:
        source: says that it is this one.
        path: folder with one ``CODE.txt`` a language; relative to where the program runs.
        eval_lines: evaluation lines to split off for a language without ``eval/CODE.txt``; at most
            a tenth of its lines.
        seed: of that split and of the order of training lines.
    """

    source: Literal["folder"]
    path: Path
    eval_lines: int = Field(default=800, gt=0)
    seed: int = 0


def folder_request(spec: FolderSpec, languages: Sequence[str]) -> dict[str, Any]:
    """All that a corpus depends on: the hashes of the files, not where they lie.

    Raises:
        InputError: the folder or the text of a language is not there.
    """
    if not spec.path.is_dir():
        raise InputError("there is no such folder", value=str(spec.path), where="corpus.path")
    files: dict[str, str] = {}
    for code in languages:
        files[f"{code}.txt"] = sha256_of(_existing(spec.path, code))
        evaluation = spec.path / "eval" / f"{code}.txt"
        if evaluation.is_file():
            files[f"eval/{code}.txt"] = sha256_of(evaluation)
    return {
        "source": spec.source,
        "eval_lines": spec.eval_lines,
        "seed": spec.seed,
        "languages": list(languages),
        "files": files,
        "version": FOLDER_VERSION,
    }


def gather_folder(spec: FolderSpec, languages: Sequence[str], *, say: Say) -> CorpusText:
    """Read, split and free of copies.

    Raises:
        InputError: a file is missing, empty or no UTF-8.
    """
    dropped: dict[str, Counter[str]] = {code: Counter() for code in languages}
    candidates: dict[str, list[str]] = {}
    evaluation: dict[str, list[str]] = {}
    given: set[str] = set()
    for code in languages:
        say(f"reading {code}.txt")
        candidates[code] = [line for line in _lines(_existing(spec.path, code)) if line]
        path = spec.path / "eval" / f"{code}.txt"
        if path.is_file():
            given.add(code)
            evaluation[code] = _evaluation_lines(path)
        else:
            evaluation[code] = _split_off(candidates[code], spec)
    withheld = {fingerprint(line) for lines in evaluation.values() for line in lines}
    train = distinct_lines(
        {code: [Line(line, _SOURCE) for line in candidates[code]] for code in languages},
        withheld=withheld,
        seed=spec.seed,
        dropped=dropped,
    )
    for code in languages:
        if not train[code] or not evaluation[code]:
            raise InputError(
                f"there is too little text for {code}: nothing is left to train or evaluate on",
                value=f"{len(train[code])} training, {len(evaluation[code])} evaluation lines",
                where=str(spec.path / f"{code}.txt"),
                remedy="give it more lines that are not copies of each other",
            )
    aligned = given == set(languages) and len({len(v) for v in evaluation.values()}) == 1
    return CorpusText(
        train=train,
        evaluation={
            code: [Line(line, _SOURCE) for line in lines] for code, lines in evaluation.items()
        },
        ids=[str(i) for i in range(len(evaluation[languages[0]]))] if aligned else None,
        sources=[SourceRecord(name=_SOURCE, licence="the user's own")],
        dropped=dropped,
        notes=_notes(aligned, sorted(set(languages) - given)),
    )


def _notes(aligned: bool, split: Sequence[str]) -> list[str]:
    notes = []
    if split:
        notes.append(f"evaluation lines split off by hash of the line: {', '.join(split)}")
    if not aligned:
        notes.append("the evaluation text is not aligned: losses of two languages do not compare")
    return notes


def _split_off(lines: Sequence[str], spec: FolderSpec) -> list[str]:
    """The first lines of the seeded order, each fingerprint once."""
    distinct = {fingerprint(line): line for line in reversed(lines)}
    ordered = sorted(distinct.values(), key=lambda line: order_key(spec.seed, "eval", line))
    return ordered[: min(spec.eval_lines, max(1, int(MAX_EVAL_SHARE * len(ordered))))]


def _evaluation_lines(path: Path) -> list[str]:
    lines = _lines(path)
    if "" in lines:
        raise InputError(
            "a line of evaluation text is empty",
            where=f"{path}:{lines.index('') + 1}",
            remedy="remove it, in the files of the other languages too if they are aligned",
        )
    return lines


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise InputError(
            "this file is not UTF-8", where=f"{path}:{line}", remedy="convert it, e.g. with iconv"
        ) from None
    return [tidied(line) for line in text.split("\n")][: -1 if text.endswith("\n") else None]


def _existing(folder: Path, code: str) -> Path:
    path = folder / f"{code}.txt"
    if path.is_file():
        return path
    there = sorted(file.stem for file in folder.glob("*.txt"))
    raise InputError(
        f"there is no text for {code}",
        value=path.name,
        where=str(folder),
        remedy=nearest(code, there)
        or (f"the folder has {', '.join(there)}" if there else f"put its text into {path}"),
    )
