"""``/api/languages``, ``/api/laws``, ``/api/accelerators``: what there is to choose from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query

from atlas_scaling import laws
from atlas_scaling.accelerators import ACCELERATORS, Accelerator
from atlas_scaling.answers import Answer
from atlas_scaling.languages import Language, language, languages, search
from atlas_scaling.planning.language_laws import published_law
from atlas_scaling.planning.unique_tokens import unique_tokens
from atlas_scaling.transfer.reference import published_matrix
from atlas_scaling.web.schemas import SCHEMAS

router = APIRouter(prefix="/api", tags=["choices"])


@dataclass(frozen=True, slots=True)
class KnownLanguage(Answer):
    """A language and what the published study knows of it.

    Attributes:
        code, name, script, family, branch: as in the table of languages.
        unique_tokens: distinct tokens that a plan takes if none are given; None if not known.
        unique_source: where that number is from.
        law: whose published law a plan takes if there is no fit.
        in_matrix: whether the published matrix has it.
    """

    code: str
    name: str
    script: str
    family: str
    branch: str
    unique_tokens: float | None
    unique_source: str
    law: str
    in_matrix: bool


@dataclass(frozen=True, slots=True)
class FoundLanguages(Answer):
    """Languages that a search found, best first, and how many there are in all."""

    languages: tuple[KnownLanguage, ...]
    total: int


@dataclass(frozen=True, slots=True)
class KnownLaw(Answer):
    """A law that can be fitted."""

    name: str
    title: str
    formula: str
    source: str
    variants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choices(Answer):
    """Laws and accelerators."""

    laws: tuple[KnownLaw, ...]
    accelerators: tuple[Accelerator, ...]


@router.get("/languages", responses=SCHEMAS.answer(FoundLanguages))
def find_languages(
    q: Annotated[str, Query(max_length=60, description="A name, code, family or script.")] = "",
    code: Annotated[
        list[str] | None, Query(max_length=500, description="These, in place of a search.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
) -> dict[str, Any]:
    """Languages by name or code, best match first."""
    if code:
        found = [language(one) for one in code]
    else:
        found = search(q) if q.strip() else list(languages())
    return FoundLanguages(tuple(_known(one) for one in found[:limit]), len(found)).to_dict()


@router.get("/choices", responses=SCHEMAS.answer(Choices))
def choices() -> dict[str, Any]:
    """Laws that can be fitted, and accelerators whose cost is known."""
    known = [laws.get(name) for name in laws.names() if name != "crossover"]
    return Choices(
        laws=tuple(
            KnownLaw(
                name=law.name,
                title=law.title or law.name,
                formula=law.formula,
                source=law.source,
                variants=("full", "other", "target") if law.name == "atlas" else (),
            )
            for law in known
        ),
        accelerators=tuple(ACCELERATORS.values()),
    ).to_dict()


def _known(one: Language) -> KnownLanguage:
    count = unique_tokens([one.code])[0][one.code]
    return KnownLanguage(
        code=one.code,
        name=one.name,
        script=one.script,
        family=one.family,
        branch=one.branch,
        unique_tokens=count.tokens,
        unique_source=count.source,
        law=published_law(one.code).basis,
        in_matrix=one.code in published_matrix().targets,
    )
