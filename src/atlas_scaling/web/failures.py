"""Failures as the document that ``--json`` prints, with a status that says whose they are.

400: the request is not HTTP or JSON that can be read. 422: it is, and cannot be answered.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from atlas_scaling.errors import AtlasError, InputError, RunError, nearest

FAILURE_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["error", "problem", "value", "where", "remedy"],
    "additionalProperties": False,
    "properties": {
        "error": {"type": "string", "examples": ["InputError"]},
        "problem": {"type": "string", "description": "One sentence that says what is wrong."},
        "value": {"type": ["string", "null"], "description": "What was received."},
        "where": {"type": ["string", "null"], "description": "The field or place."},
        "remedy": {"type": ["string", "null"], "description": "What to try next."},
    },
}
FAILURE_REF: Final = {"$ref": "#/components/schemas/Failure"}


def failure_response(description: str) -> dict[str, Any]:
    """One entry of an operation's ``responses``."""
    return {
        "description": description,
        "content": {"application/json": {"schema": FAILURE_REF}},
    }


FAILURES: Final[Mapping[int | str, dict[str, Any]]] = {
    400: failure_response("The request cannot be read."),
    401: failure_response("The token is missing or wrong."),
    403: failure_response("The request comes from another site."),
    413: failure_response("The request is too large."),
    422: failure_response("The request cannot be answered; says why and what to try."),
}


def install(app: FastAPI) -> None:
    """Let ``app`` answer every failure with the document."""

    @app.exception_handler(AtlasError)
    async def _expected(_: Request, error: AtlasError) -> JSONResponse:
        return JSONResponse(error.to_dict(), 422)

    @app.exception_handler(RequestValidationError)
    async def _unfit(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        status = 400 if first["type"] == "json_invalid" else 422
        return JSONResponse(_of_validation(first).to_dict(), status)

    @app.exception_handler(HTTPException)
    async def _refused(request: Request, error: HTTPException) -> JSONResponse:
        said = InputError(
            str(error.detail),
            value=request.url.path if error.status_code in (404, 405) else None,
            where=request.method,
            remedy="see /api/openapi.json" if error.status_code in (404, 405) else None,
        )
        return JSONResponse(said.to_dict(), error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def _unforeseen(_: Request, error: Exception) -> JSONResponse:
        traceback.print_exception(error, file=sys.stderr)
        said = RunError(
            f"this failed for a reason that was not foreseen: {type(error).__name__}",
            remedy="see what atlas serve printed, and report it",
        )
        return JSONResponse(said.to_dict(), 500)


def _of_validation(error: Mapping[str, Any]) -> InputError:
    """What pydantic found first, in our words."""
    place = [str(part) for part in error["loc"] if part not in ("body", "query", "path")]
    remedy = None
    if error["type"] == "extra_forbidden":
        remedy = "leave it out; see /api/openapi.json"
    expected = error.get("ctx", {}).get("expected_tags") or error.get("ctx", {}).get("expected")
    if expected is not None:
        known = [word.strip(" '") for word in str(expected).replace(" or ", ",").split(",")]
        remedy = nearest(str(error.get("input")), known) or f"one of {', '.join(known)}"
    return InputError(
        str(error["msg"]).removeprefix("Value error, "),
        value=None if error["type"] == "missing" else error.get("input"),
        where=".".join(place) or "body",
        remedy=remedy,
    )
