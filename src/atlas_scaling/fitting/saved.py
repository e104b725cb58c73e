"""The files of a saved fit: ``fit.json`` for people and programs, ``fit.npz`` beside it for arrays.

The JSON is that of ``Fit.to_dict`` and a few keys more; the arrays are the optimum, the draws and
the data. Nothing is pickled: reading a fit runs no code of whoever wrote it.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from atlas_scaling.errors import InputError
from atlas_scaling.laws.base import FloatArray

FORMAT: Final = 1

_UNREADABLE: Final = (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error)
"""What NumPy raises on a file of arrays that is none, or is cut short."""


def write_saved(path: Path, document: Mapping[str, Any], arrays: dict[str, FloatArray]) -> Path:
    """Write ``path`` and the arrays beside it; returns ``path``.

    Raises:
        InputError: ``path`` does not end in ``.json``, or cannot be written.
    """
    check_fit_file(path)
    beside = path.with_suffix(".npz")
    text = json.dumps({**document, "format": FORMAT, "arrays": beside.name}, indent=1,
                      ensure_ascii=False, allow_nan=False)  # fmt: skip
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(beside, allow_pickle=False, **arrays)
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"this file cannot be written: {error}", value=str(path)) from None
    return path


def check_fit_file(path: Path) -> None:
    """Refuse a file whose ending is not ``.json``, before the work is done.

    Raises:
        InputError: it is not.
    """
    if path.suffix != ".json":
        raise InputError("a fit is saved as JSON", value=str(path), where="path", remedy="fit.json")


def read_saved(path: Path) -> tuple[dict[str, Any], dict[str, FloatArray]]:
    """The document and the arrays of a saved fit.

    Raises:
        InputError: the file is missing, is no saved fit, or its arrays are gone or damaged.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            "there is no such fit", value=str(path), remedy="save one: atlas fit … -o fit.json"
        ) from None
    except (ValueError, OSError) as error:
        raise InputError("this is no saved fit", value=str(error), where=str(path)) from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(
            "this is no saved fit of a format this version reads",
            value=document.get("format") if isinstance(document, dict) else None,
            where=str(path),
            remedy="save it again with this version: atlas fit … -o fit.json",
        )
    beside = _beside(path, document.get("arrays"))
    try:
        with beside.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return document, {k: stored[k] for k in stored.files}
    except FileNotFoundError:
        raise InputError(
            "the arrays of this fit are gone",
            value=beside.name,
            where=str(path.parent),
            remedy="a fit is two files; move them together",
        ) from None
    except _UNREADABLE as error:
        raise InputError(
            "the arrays of this fit cannot be read",
            value=str(error),
            where=str(beside),
            remedy="the file is damaged: copy it again, or fit again",
        ) from None


def _beside(path: Path, name: object) -> Path:
    """The file of arrays, in the folder of the fit and nowhere else."""
    if not isinstance(name, str) or name != Path(name).name or not name.endswith(".npz"):
        raise InputError(
            "the arrays of a fit lie beside it, in a file .npz",
            value=name,
            where=f"{path}, arrays",
            remedy=f"{path.stem}.npz",
        )
    beside = path.with_name(name)
    if beside.is_symlink() and beside.resolve().parent != path.resolve().parent:
        raise InputError(
            "the arrays of a fit lie beside it, and this is a link to elsewhere",
            value=str(beside.resolve()),
            where=str(beside),
            remedy="copy the file here",
        )
    return beside
