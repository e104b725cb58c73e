"""A user's own law from a file: ``my_law.py:MyLaw``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from atlas_scaling.errors import InputError, unknown
from atlas_scaling.laws.base import Law


def load_law(place: str, **options: Any) -> Law:
    """The law ``CLASS`` of a Python file, ``FILE.py:CLASS``. The file is run.

    Raises:
        InputError: there is no such file or class, the file fails, or the class is no law.
    """
    file, _, name = place.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise InputError(
            "there is no such file", value=file, where="law", remedy="like my_law.py:MyLaw"
        )
    spec = importlib.util.spec_from_file_location(f"_own_law_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError("this is no Python file", value=file, where="law")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file raises is about that file
        raise InputError(f"{path} fails: {error}", value=type(error).__name__, where=file) from None
    known = [k for k, v in vars(module).items() if _as_law(v) and v.__module__ == spec.name]
    law_class = _as_law(getattr(module, name, None))
    if law_class is None:
        raise unknown(
            "this file has no such law",
            name,
            known,
            where=file,
            otherwise=f"one of {', '.join(known) or 'none: derive from Law'}",
        )
    try:
        return law_class(**options)
    except TypeError as error:
        raise InputError(f"this law takes no such option: {error}", where=place) from None


def _as_law(value: Any) -> type[Law] | None:
    is_law = isinstance(value, type) and issubclass(value, Law) and value is not Law
    return value if is_law else None
