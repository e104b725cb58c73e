"""A user's own text as a corpus: ``DIR/CODE.txt``, with ``DIR/eval/CODE.txt`` where there is one.

Instead of a text file with a sentence or paragraph a line there may be ``CODE.jsonl`` or
``CODE.parquet`` with a document a record, and a folder ``CODE/`` of such files. The text is taken
as it is, but for NFC, white space and copies. A language without evaluation text gives some of its
own for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from atlas_scaling.config import BesideTheFile
from atlas_scaling.errors import InputError, nearest
from atlas_scaling.languages import languages
from atlas_scaling.runs.record import Frozen
from atlas_scaling.study.cache import key_of, sha256_of
from atlas_scaling.study.corpus_store import SourceRecord
from atlas_scaling.study.documents import KINDS, about_bytes, kind_of, read_documents
from atlas_scaling.study.say import Pace, Say
from atlas_scaling.study.streamed_corpus import (
    STREAMING_VERSION,
    GivenLine,
    Intake,
    numbered_lines,
    tidy,
)

FOLDER_VERSION: Final = 2
"""Raised with every change that alters a corpus that is built from a folder."""

_SOURCE: Final = "folder"


class FolderSpec(Frozen):
    """Text files of the user.

    Attributes:
        source: says that it is this one.
        path: folder with a text a language; relative to the file that names it.
        column: where records of JSON lines and Parquet have their text.
        eval_lines: evaluation lines to split off for a language without ``eval/CODE.txt``; at most
            a tenth of its text.
        contamination: whether training text that has a passage of the evaluation text is dropped
            or only reported.
        seed: of that split and of the order of training lines.
    """

    source: Literal["folder"]
    path: BesideTheFile
    column: str = "text"
    eval_lines: int = Field(default=800, gt=0)
    contamination: Literal["drop", "report"] = "report"
    seed: int = 0


def folder_request(
    spec: FolderSpec, languages: Sequence[str], cache: Path, say: Say
) -> dict[str, Any]:
    """All that a corpus depends on: the hashes of the files, not where they lie.

    Raises:
        InputError: the folder or the text of a language is not there.
    """
    if not spec.path.is_dir():
        raise InputError("there is no such folder", value=str(spec.path), where="corpus.path")
    paths = [
        path
        for code in languages
        for path in [*_text_files(spec.path, code), *_evaluation_files(spec.path, code)]
    ]
    paces = Pace(say).parts([path.stat().st_size for path in paths])
    files = {
        str(path.relative_to(spec.path)): _remembered_sha256(path, cache, pace)
        for path, pace in zip(paths, paces, strict=True)
    }
    return {
        **spec.model_dump(mode="json", exclude={"path"}),
        "languages": list(languages),
        "files": files,
        "version": [FOLDER_VERSION, STREAMING_VERSION],
    }


def folder_intake(spec: FolderSpec) -> Intake:
    """How the folder's text is read."""

    def documents(code: str) -> Iterator[str]:
        for path in _text_files(spec.path, code):
            yield from read_documents(path, column=spec.column)

    def evaluation(code: str) -> Sequence[GivenLine] | None:
        files = _evaluation_files(spec.path, code)
        if not files:
            return None
        return numbered_lines(_evaluation_lines(files[0], spec.column))

    return Intake(
        source=_SOURCE,
        place=lambda code: str(_text_files(spec.path, code)[0]),
        documents=documents,
        evaluation=evaluation,
        eval_lines=spec.eval_lines,
        seed=spec.seed,
        contamination=spec.contamination,
        about_bytes=lambda code: sum(about_bytes(path) for path in _text_files(spec.path, code)),
        records=[SourceRecord(name=_SOURCE, licence="the user's own")],
    )


def _evaluation_lines(path: Path, column: str) -> list[str]:
    lines = list(read_documents(path, column=column))
    for number, line in enumerate(lines, 1):
        if not tidy(line):
            raise InputError(
                "a line of evaluation text is empty",
                where=f"{path}:{number}",
                remedy="remove it, in the files of the other languages too if they are aligned",
            )
    return lines


def languages_in(folder: Path) -> tuple[str, ...]:
    """Languages whose code names a file or folder of text.

    Raises:
        InputError: there is no such folder, or none in it.
    """
    if not folder.is_dir():
        raise InputError("there is no such folder", value=str(folder), where="corpus.path")
    names = {path.name.partition(".")[0] for path in folder.iterdir() if _is_text(path)}
    known = {entry.code for entry in languages()}
    if not names & known:
        raise InputError(
            "no file of this folder is named by the code of a language",
            value=sorted(names)[:8],
            where=str(folder),
            remedy="name them like swe_Latn.txt; atlas languages NAME finds codes",
        )
    return tuple(sorted(names & known))


def _text_files(folder: Path, code: str) -> list[Path]:
    if files := _files(folder, code):
        return files
    there = sorted({path.name.partition(".")[0] for path in folder.iterdir() if _is_text(path)})
    raise InputError(
        f"there is no text for {code}",
        value=f"{code}.txt",
        where=str(folder),
        remedy=nearest(code, there)
        or (f"the folder has {', '.join(there)}" if there else f"put its text into {code}.txt"),
    )


def _evaluation_files(folder: Path, code: str) -> list[Path]:
    return _files(folder / "eval", code)


def _files(folder: Path, code: str) -> list[Path]:
    """The file of a language, or those in its folder."""
    one = [path for kind in KINDS if (path := folder / f"{code}{kind}").is_file()]
    if len(one) > 1:
        raise InputError(
            f"two files have the text of {code}",
            value=[path.name for path in one],
            where=str(folder),
            remedy=f"keep one, or put both into a folder {code}/",
        )
    if one:
        return one
    inner = folder / code
    return sorted(p for p in inner.rglob("*") if kind_of(p)) if inner.is_dir() else []


def _is_text(path: Path) -> bool:
    return kind_of(path) is not None or (path.is_dir() and path.name != "eval")


def _remembered_sha256(path: Path, cache: Path, pace: Pace) -> str:
    """The hash of a file, noted in the cache so that an unchanged file is not read again."""
    stat = path.stat()
    name = key_of({"path": str(path.resolve()), "size": stat.st_size, "at": stat.st_mtime_ns})
    note = cache / "hashes" / f"{name}.json"
    try:
        return str(json.loads(note.read_text("utf-8"))["sha256"])
    except (OSError, ValueError, KeyError):
        size = max(stat.st_size, 1)
        digest = sha256_of(
            path, lambda n: pace.offer(lambda: f"looking through {path.name}", n / size)
        )
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"path": str(path), "sha256": digest}) + "\n", "utf-8")
    except OSError:  # without the note the file is read once more
        return digest
    return digest
