"""The application: the API, the page's files, and who may ask for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from atlas_scaling._version import __version__
from atlas_scaling.answers import Answer
from atlas_scaling.web import failures, look
from atlas_scaling.web.routes import fits, languages, plan, runs, transfer, work
from atlas_scaling.web.schemas import SCHEMAS
from atlas_scaling.web.security import Access, Guard
from atlas_scaling.web.session import Here, Session

STATIC: Final = Path(__file__).parent / "static"
THREADS: Final = 8
"""Requests that are answered at once; more only wait for each other's turn of the interpreter."""

DESCRIPTION: Final = """The functions of the `atlas` command over HTTP. Every answer is the JSON
document that the command prints with `--json`; every failure is the document that it prints then.
Numbers are full doubles; null is "not known"; an interval is `[low, high]` at `level`, or null."""


@dataclass(frozen=True, slots=True)
class About(Answer):
    """What a page asks first.

    Attributes:
        version: of this package.
        sources: the paths that the server was given.
        saves_to: where fits and matrices are saved.
        n_runs: runs that have begun or are planned.
        n_fits: fits of the session.
        has_runs: whether folders of runs were given.
        max_upload_bytes: of one file.
        notes: what was found amiss in the given paths.
    """

    version: str
    sources: tuple[str, ...]
    saves_to: str
    n_runs: int
    n_fits: int
    has_runs: bool
    max_upload_bytes: int
    notes: tuple[str, ...]


def create_app(session: Session, access: Access | None = None) -> FastAPI:
    """The dashboard as an ASGI application.

    Args:
        session: files, runs and jobs behind it.
        access: who may talk to it; the loopback names without a token if not given.
    """
    app = FastAPI(
        title="atlas dashboard",
        version=__version__,
        description=DESCRIPTION,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        responses=dict(failures.FAILURES),
    )
    app.state.session = session
    failures.install(app)
    for one in (plan, languages, transfer, runs, fits, work):
        app.include_router(one.router)
    app.get("/api/session", tags=["session"], responses=SCHEMAS.answer(About))(about)
    app.get("/theme.css", include_in_schema=False)(theme)
    app.mount("/", _Pages(directory=STATIC, html=True))
    app.add_middleware(GZipMiddleware, minimum_size=2000, compresslevel=4)
    app.add_middleware(Guard, access=access or Access())
    app.openapi = _described(app)  # type: ignore[method-assign]
    return app


def about(here: Here) -> dict[str, Any]:
    """What the server has."""
    return About(
        version=__version__,
        sources=tuple(map(str, here.files.sources)),
        saves_to=str(here.files.saves_to),
        n_runs=here.runs.page(limit=0).total,
        n_fits=len(here.files.fits()),
        has_runs=bool(here.files.run_folders),
        max_upload_bytes=here.max_upload_bytes,
        notes=(
            *here.notes,
            *(
                f"{path} is no longer there: what it held is missing here"
                for path in here.files.gone()
            ),
        ),
    ).to_dict()


def theme() -> Response:
    """Colours of the reports' figures as variables of a style sheet."""
    return Response(look.style_sheet(), media_type="text/css", headers=_REVALIDATE)


_REVALIDATE: Final = {"cache-control": "no-cache"}


class _Pages(StaticFiles):
    """The page's files: kept by browsers, and asked about each time (a 304 costs a millisecond)."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, with the header that makes browsers ask."""
        response = await super().get_response(path, scope)
        response.headers.update(_REVALIDATE)
        return response


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield
    app.state.session.close()


def _described(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """``app.openapi`` with the schemas of answers and failures in it."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            components = schema.setdefault("components", {}).setdefault("schemas", {})
            components.update(SCHEMAS.components)
            components["Failure"] = failures.FAILURE_SCHEMA
            app.openapi_schema = schema
        return app.openapi_schema

    return openapi
