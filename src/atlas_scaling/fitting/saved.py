"""The saved form of a fit: ``fit.json`` for people and programs, ``fit.npz`` beside it for arrays.

The JSON is that of ``Fit.to_dict`` and a few keys more; the arrays are the optimum, the draws and
the data. Nothing is pickled: reading a fit runs no code of whoever wrote it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from atlas_scaling import laws
from atlas_scaling.answers import jsonable
from atlas_scaling.errors import InputError
from atlas_scaling.fitting.identify import Diagnostics
from atlas_scaling.fitting.objective import Estimator
from atlas_scaling.fitting.observations import Dropped, Observations
from atlas_scaling.fitting.result import Fit, FitStatus
from atlas_scaling.laws.base import DataFacts, FloatArray, Law
from atlas_scaling.units import LossUnit

FORMAT: Final = 1


def save_fit(fit: Fit, path: Path) -> Path:
    """Write ``path`` and the arrays beside it; returns ``path``.

    Raises:
        InputError: ``path`` does not end in ``.json``.
    """
    if path.suffix != ".json":
        raise InputError("a fit is saved as JSON", value=str(path), where="path", remedy="fit.json")
    o = fit.observations
    arrays: dict[str, FloatArray] = {
        "values": np.array(list(fit.values.values())),
        "loss": o.loss,
        "run": o.run.astype(np.float64),
    }
    arrays |= {f"x.{k}": v for k, v in o.x.items()}
    arrays |= {f"facet.{k}": v for k, v in o.facets.items()}
    if o.weights is not None:
        arrays["weights"] = o.weights
    if fit.draws is not None:
        arrays["draws"] = fit.draws
    document = fit.to_dict() | {
        "format": FORMAT,
        "run_ids": list(o.run_ids),
        "facts": jsonable(o.facts),
        "arrays": path.with_suffix(".npz").name,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path.with_suffix(".npz"), allow_pickle=False, **arrays)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def load_fit(path: Path, *, law: Law | None = None) -> Fit:
    """Read a saved fit; ``law`` is needed where it is not one of the built-in ones.

    Raises:
        InputError: the file is missing, is no fit, or its arrays are gone.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            "there is no such fit", value=str(path), remedy="save one: atlas fit … -o fit.json"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError("this is no saved fit", value=str(error), where=str(path)) from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(
            "this is no saved fit of a format this version reads",
            value=document.get("format") if isinstance(document, dict) else None,
            where=str(path),
            remedy="save it again with this version: atlas fit … -o fit.json",
        )
    arrays_path = path.with_name(document["arrays"])
    if not arrays_path.exists():
        raise InputError(
            "the arrays of this fit are gone",
            value=arrays_path.name,
            where=str(path.parent),
            remedy="a fit is two files; move them together",
        )
    with np.load(arrays_path, allow_pickle=False) as stored:
        arrays = {k: stored[k] for k in stored.files}
    return _restored(document, arrays, law)


def _restored(document: dict[str, Any], arrays: dict[str, FloatArray], law: Law | None) -> Fit:
    facts = document["facts"]
    observations = Observations(
        x={k.removeprefix("x."): v for k, v in arrays.items() if k.startswith("x.")},
        loss=arrays["loss"],
        run=arrays["run"].astype(np.intp),
        run_ids=tuple(document["run_ids"]),
        weights=arrays.get("weights"),
        facets={k.removeprefix("facet."): v for k, v in arrays.items() if k.startswith("facet.")},
        facts=DataFacts(facts["target"], tuple(facts["co_sampled"]), tuple(facts["languages"])),
        unit=LossUnit(document["loss_unit"]),
        notes=tuple(document["notes"]),
        dropped=tuple(Dropped(**d) for d in document["dropped"]),
        hash=document["data_hash"],
    )
    diagnostics = dict(document["diagnostics"])
    diagnostics["at_bound"] = tuple(diagnostics["at_bound"])
    estimator = document["estimator"]
    return Fit(
        law=law or _law(document),
        values=dict(zip(document["parameters"], map(float, arrays["values"]), strict=True)),
        verdicts={name: p["verdict"] for name, p in document["parameters"].items()},
        estimator=Estimator.named(
            estimator["name"], estimator["delta"] if estimator["name"] == "huber" else None
        ),
        objective=document["objective"],
        status=FitStatus(document["status"]),
        diagnostics=Diagnostics(**diagnostics),
        observations=observations,
        draws=arrays.get("draws"),
        level=document["level"],
        seed=document["seed"],
        priors={k: (v[0], v[1]) for k, v in document["priors"].items()},
        version=document["version"],
    )


def _law(document: dict[str, Any]) -> Law:
    if document["law"] not in laws.names():
        raise InputError(
            "this fit is of a law that is not built in",
            value=document["law"],
            where="law",
            remedy="load it with its law: Fit.load(path, law=MyLaw())",
        )
    options = {k: _tuples(v) for k, v in document["law_options"].items()}
    return laws.get(document["law"], **options)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
