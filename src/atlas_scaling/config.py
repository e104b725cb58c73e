"""YAML files checked against a pydantic model, with errors that name file, line and key.

YAML 1.2 only: ``no`` stays the string ``no`` (Norwegian), it does not become False.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from atlas_scaling.errors import InputError, nearest

M = TypeVar("M", bound=BaseModel)


def beside_the_file(path: Path, info: ValidationInfo) -> Path:
    """``path`` as the file that is being read means it: relative to that file's folder."""
    folder = (info.context or {}).get("folder")
    path = path.expanduser()
    return path if folder is None else Path(os.path.normpath(Path.cwd() / folder / path))


_MESSAGES: Final = {
    "list_type": "write a list, such as [a, b]",
    "tuple_type": "write a list, such as [a, b]",
    "dict_type": "write keys with values, such as {a: 1, b: 2}",
    "model_type": "write keys with values, such as {a: 1, b: 2}",
    "string_pattern_mismatch": "a name has letters, digits, - and _ only",
}
"""Of pydantic's errors whose own words are of Python, not of YAML."""

BesideTheFile = Annotated[Path, AfterValidator(beside_the_file)]
"""A path that is relative to the file that names it; absolute once that file was read."""


def load_config(path: Path, model: type[M]) -> M:
    """Read ``path`` and build ``model`` of it.

    Raises:
        InputError: the file is missing, is no YAML, or does not fit the model; with the line, the
            value received and, for an unknown key, the nearest known one.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError("there is no such file", value=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"this file cannot be read: {error}", value=str(path)) from None
    return parse_config(text, model, name=str(path), folder=path.parent)


def parse_config(text: str, model: type[M], *, name: str, folder: Path | None = None) -> M:
    """The same from a text; ``name`` stands for the file in messages, ``folder`` is its place.

    Raises:
        InputError: the text is no YAML of a mapping, or does not fit the model.
    """
    data = _parse_yaml(text, name)
    if not isinstance(data, dict):
        raise InputError(
            "this must be a mapping of keys to values",
            value=data,
            where=f"{name}:1",
            remedy=f"the keys are {', '.join(model.model_fields)}",
        )
    return check_config(data, model, name=name, folder=folder)


def check_config(
    data: dict[str, Any], model: type[M], *, name: str, folder: Path | None = None
) -> M:
    """The same from a mapping; ``name`` stands for where it came from in messages.

    Raises:
        InputError: the mapping does not fit the model; says the key, the value and the place.
    """
    try:
        return model.model_validate(data, context={"folder": folder})
    except ValidationError as error:
        raise _as_input_error(error, data, model, name) from None


def parse_scalar(text: str, *, name: str) -> Any:
    """A value as it would stand in a YAML file: a number, a flag, a list, else the text itself."""
    return _plain(_parse_yaml(text, name))


def dump_config(model: BaseModel) -> str:
    """``model`` as YAML text that ``parse_config`` reads back to an equal value."""
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.width = 100
    stream = StringIO()
    yaml.dump(model.model_dump(mode="json", exclude_none=True), stream)
    return stream.getvalue()


def _parse_yaml(text: str, name: str) -> Any:
    yaml = YAML(typ="rt")
    yaml.version = "1.2"
    try:
        return yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"{name}:{mark.line + 1}" if mark is not None else name
        problem = " ".join(str(error.problem or error.context).split())
        raise InputError(f"this is not valid YAML: {problem}", where=line) from None
    except (YAMLError, ValueError) as error:
        raise InputError(f"this is not valid YAML: {error}", where=name) from None


def _as_input_error(
    error: ValidationError, data: Any, model: type[BaseModel], name: str
) -> InputError:
    """The first of the errors, with its place in the file, and how many more there are."""
    errors = error.errors()
    # A misspelt key is the likeliest reason for a missing one: say that first.
    first = min(errors, key=lambda e: e["type"] != "extra_forbidden")
    location = [*first["loc"], *_named_by(first)]
    path = _path_in_file(location, data, missing=first["type"] == "missing")
    problem, value, remedy = _explained(first, path, model)
    # A union tries each of its members, and what holds a broken value is broken too: one place.
    places = {tuple(_path_in_file(e["loc"], data, missing=e["type"] == "missing")) for e in errors}
    others = sum(tuple(path[: len(place)]) != place for place in places)
    if others:
        problem += f" (and {others} more)"
    dotted = ".".join(map(str, path))
    line = f":{_line_of(data, path)}" if hasattr(data, "lc") else ""
    where = f"{name}{line}" + (f", {dotted}" if dotted else "")
    return InputError(problem, value=_plain(value), where=where, remedy=remedy)


def _explained(
    first: ErrorDetails, path: Sequence[int | str], model: type[BaseModel]
) -> tuple[str, Any, str | None]:
    """Problem, value and remedy of one of pydantic's errors."""
    dotted = ".".join(map(str, path))
    context = first.get("ctx", {})
    cause = context.get("error")
    if first["type"] == "extra_forbidden":
        known = list(dict.fromkeys(_keys_beside(model, path)))
        remedy = nearest(str(path[-1]), known) or f"known keys: {', '.join(known)}"
        return f"unknown key {path[-1]!r}", None, remedy
    if first["type"] == "union_tag_invalid":
        key = context["discriminator"].strip("'")
        known = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
        remedy = nearest(context["tag"], known) or f"one of {', '.join(known)}"
        return f"{dotted}: there is no such {key}", context["tag"], remedy
    value = None if first["type"] == "missing" else first["input"]
    if isinstance(cause, InputError):
        place = f"{dotted}: " if dotted else ""
        return f"{place}{cause.problem}", cause.value or value, cause.remedy
    message = _MESSAGES.get(first["type"], first["msg"].removeprefix("Value error, "))
    return f"{dotted}: {message}" if dotted else message, value, None


def _named_by(error: ErrorDetails) -> list[int | str]:
    """The place below that a check of the whole names itself (``InputError.where``)."""
    cause = error.get("ctx", {}).get("error")
    where = cause.where if isinstance(cause, InputError) else None
    return [int(key) if key.isdigit() else key for key in (where or "").split(".") if key]


def _path_in_file(location: Sequence[int | str], data: Any, *, missing: bool) -> list[int | str]:
    """The parts of a location that the file has; pydantic adds tags of unions and validators."""
    path: list[int | str] = []
    for key in location:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            continue
        path.append(key)
    return [*path, location[-1]] if missing else path


def _line_of(data: Any, path: Sequence[int | str]) -> int:
    """The 1-based line of the last part of ``path`` that the file has."""
    line = 1
    for key in path:
        position = getattr(data, "lc", None)
        try:
            if position is not None and position.data is not None and key in position.data:
                line = position.data[key][0] + 1
            data = data[key]
        except (KeyError, IndexError, TypeError):
            break
    return line


def _keys_beside(model: type[BaseModel], path: Sequence[int | str]) -> Iterator[str]:
    """Field names of the (nested) model in which the last key of ``path`` stands."""
    models: list[type[BaseModel]] = [model]
    for key in path[:-1]:
        fields = [m.model_fields[key] for m in models if key in m.model_fields]
        if fields:
            models = [m for field in fields for m in _models_in(field.annotation)]
    for one in models:
        yield from one.model_fields


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)


def _plain(value: Any) -> Any:
    """YAML's own node types print with their positions; plain ones read better."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value
