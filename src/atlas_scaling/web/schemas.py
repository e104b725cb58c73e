"""JSON schemas of answers, from the frozen dataclasses that they are.

``Answer.to_dict`` writes NaN and infinities as null, so every number of an answer may be null.
"""

from __future__ import annotations

import inspect
from typing import Any, Final

from pydantic import TypeAdapter

REF: Final = "#/components/schemas/{model}"
PREFIX: Final = "#/components/schemas/"

Responses = dict[int | str, dict[str, Any]]
"""What FastAPI calls so: by status."""


class Schemas:
    """Collects the schemas of answers for one OpenAPI document."""

    def __init__(self) -> None:
        self.components: dict[str, Any] = {}

    def answer(self, kind: type) -> Responses:
        """Responses of a route that answers with ``kind``, for FastAPI's ``responses``."""
        schema = TypeAdapter(kind).json_schema(ref_template=REF, mode="serialization")
        for name, definition in schema.pop("$defs", {}).items():
            self.components[name] = _with_nulls(definition)
        schema = _with_nulls(schema)
        schema["description"] = _summary(kind)
        self.components[kind.__name__] = schema
        return _response({"$ref": PREFIX + kind.__name__}, _summary(kind))


def _response(schema: dict[str, Any], description: str) -> Responses:
    return {200: {"description": description, "content": {"application/json": {"schema": schema}}}}


def _summary(kind: type) -> str:
    return inspect.getdoc(kind) or kind.__name__


def _with_nulls(schema: Any) -> Any:
    """The same schema in which every number may be null."""
    if isinstance(schema, list):
        return [_with_nulls(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {name: _with_nulls(part) for name, part in schema.items()}
    if schema.get("type") == "number":
        changed["type"] = ["number", "null"]
    return changed


SCHEMAS: Final = Schemas()
"""Of all routes; ``app`` puts them into the OpenAPI document."""
