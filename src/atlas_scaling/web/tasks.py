"""What workers do: calls of the same functions as the command line, on files of the session."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from atlas_scaling.answers import jsonable
from atlas_scaling.errors import AtlasError, FitError, InputError
from atlas_scaling.web.jobs import Tell

SAMPLE_ROWS: Final = 8
MOST_ROWS: Final = 5_000_000
MOST_COLUMNS: Final = 5_000
MOST_TARGETS: Final = 500
_FIRST_LINE: Final = 1_000_000
_TEXT: Final = 60


def preview(task: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Columns and first rows of a table, and what the importer takes each column for."""
    from atlas_scaling.runs.importers.column_map import FIELDS, ColumnMap
    from atlas_scaling.runs.importers.importing import guess_map, import_runs

    path = Path(task["path"])
    tell(0, 2, "reading the columns")
    table = _head(path)
    tell(1, 2, "matching the columns")
    guess, problem = ColumnMap(), None
    try:
        with _called_upload(path):
            guess = guess_map(path)
            guess = import_runs(path).columns
    except InputError as error:
        problem = error.to_dict()
    return {
        "columns": [
            {"name": name, "type": str(kind), "sample": [_shown(v) for v in table[name].to_list()]}
            for name, kind in table.schema.items()
        ],
        "fields": list(FIELDS),
        "map": guess.model_dump(mode="json", exclude_defaults=True),
        "problem": problem,
        "bytes": path.stat().st_size,
    }


def import_table(task: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """A run table of an upload, and what became of every row."""
    from atlas_scaling.fitting.data import targets_of
    from atlas_scaling.runs.export import write_table
    from atlas_scaling.runs.importers.column_map import ColumnMap
    from atlas_scaling.runs.importers.importing import import_runs

    tell(0, 2, "reading the table")
    path = Path(task["path"])
    _head(path)
    with _called_upload(path):
        imported = import_runs(path, columns=ColumnMap.model_validate(task["map"]))
    tell(1, 2, "writing the run table")
    write_table(imported.frame, Path(task["output"]))
    targets = [t for t in targets_of(imported.frame) if t is not None]
    return {
        "summary": imported.summary.to_dict(),
        "map": imported.columns.model_dump(mode="json", exclude_defaults=True),
        "targets": targets[:MOST_TARGETS],
    }


def fit_laws(task: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Every law fitted to every target, or to all of them with shared parameters.

    What cannot be fitted says why; the rest is fitted.
    """
    shared = task.get("shared")
    targets = [None] if shared else task["targets"] or [None]
    total = len(task["laws"]) * len(targets)
    tell(0, total, "reading the runs")
    data = _data(task["paths"])
    results: list[dict[str, Any]] = []
    pooled: list[dict[str, Any]] = []
    done = 0
    for choice in task["laws"]:
        for target in targets:
            what = (
                f"{len(task['targets']) or 'all'} languages" if shared else target or "the losses"
            )
            tell(done, total, f"fitting {_title(choice)} to {what}")
            try:
                if shared:
                    results += _pooled(data, choice, task, pooled)
                else:
                    results.append(_alone(data, choice, target, task))
            except (FitError, InputError) as error:
                said = {"law": _title(choice), "target": target, "error": error.to_dict()}
                results.append(said)
            done += 1
    return {"fits": results, "pooled": pooled}


def _alone(
    data: Any, choice: dict[str, Any], target: str | None, task: dict[str, Any]
) -> dict[str, Any]:
    from atlas_scaling.fitting.api import fit

    made = fit(data, _law(choice), target=target, **task["options"])
    return _kept(made, _title(choice), target, task["output"])


def _pooled(
    data: Any, choice: dict[str, Any], task: dict[str, Any], pooled: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The fit of each target; what they share goes to ``pooled``."""
    from atlas_scaling.fitting.pooled import fit_pooled

    options = dict(task["options"])
    if options.pop("resample", "run") != "run":
        raise InputError(
            "shared parameters get their intervals from resampled runs",
            where="resample",
            remedy="leave it at run",
        )
    made = fit_pooled(
        data, _law(choice), targets=task["targets"] or None, shared=task["shared"], **options
    )
    about = made.to_dict()
    del about["fits"]
    pooled.append(about | {"law": _title(choice), "targets": list(made.fits)})
    named = f"{_title(choice)} shared"
    return [_kept(one, named, target, task["output"]) for target, one in made.fits.items()]


def _kept(made: Any, title: str, target: str | None, output: str) -> dict[str, Any]:
    """A fit in the session's folder, and its document."""
    path = made.save(_free(output, target, title))
    return {"law": title, "target": target, "file": str(path), "fit": made.to_dict()}


def compare_laws(task: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Laws side by side on held-out rows."""
    from atlas_scaling.fitting.comparison import compare

    tell(0, 0, "reading the runs")
    return compare(
        _data(task["paths"]),
        [_law(choice) for choice in task["laws"]] or None,
        targets=task["targets"] or None,
        done=lambda share: tell(round(100 * share), 100, "scoring every law on every cut"),
        **task["options"],
    ).to_dict()


def measure_matrix(task: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Transfer scores of the pairs that were run, one matrix a model size, each saved."""
    from atlas_scaling.runs.store import read_runs
    from atlas_scaling.transfer.matrix_files import save_matrix
    from atlas_scaling.transfer.pairs import matrices_from_runs
    from atlas_scaling.units import format_count

    tell(0, 3, "reading the runs")
    frame = read_runs(task["paths"]).frame
    tell(1, 3, "scoring the pairs")
    answer = matrices_from_runs(frame, **task["options"])
    tell(2, 3, "writing the matrices")
    for one in answer.matrices:
        size = "unknown" if one.n_params is None else format_count(one.n_params)
        path = Path(task["output"]) / f"measured-{size}.parquet"
        save_matrix(one.matrix(answer.source), path)
    return answer.to_dict()


def complete_matrix(task: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """A matrix with every hole estimated, saved."""
    from atlas_scaling.transfer.completion import complete
    from atlas_scaling.transfer.matrix_files import save_matrix

    tell(0, 2, "reading the matrix")
    matrix = _matrix(task["path"])
    tell(1, 2, "estimating the pairs that nobody measured")
    answer = complete(matrix, languages=task["languages"] or None, **task["options"])
    save_matrix(answer.matrix, Path(task["output"]))
    return answer.to_dict()


def analyze_matrix(task: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """What a matrix says of script, family, symmetry and groups."""
    from atlas_scaling.transfer.analysis import analyze

    tell(0, 1, "permuting")
    return analyze(_matrix(task["path"]), **task["options"]).to_dict()


def look_at_studies(task: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Where the runs of studies stand, by their folders and engines; or why that is not known."""
    from atlas_scaling.study.status import study_status

    studies: list[dict[str, Any]] = []
    for place in task["paths"]:
        tell(len(studies), len(task["paths"]), f"asking after {Path(place).name}")
        try:
            studies.append(study_status(Path(place)).to_dict())
        except AtlasError as error:
            unknown: dict[str, Any] = {
                "engine": None,
                "states": {},
                "runs": [],
                "warnings": [str(error)],
            }
            studies.append({"study": Path(place).name, "path": place, **unknown})
    return {"studies": studies}


TASKS: Final[Mapping[str, Callable[[dict[str, Any], Tell], dict[str, Any]]]] = {
    "preview": preview,
    "import": import_table,
    "fit": fit_laws,
    "compare": compare_laws,
    "matrix": measure_matrix,
    "complete": complete_matrix,
    "analyze": analyze_matrix,
    "status": look_at_studies,
}


def _data(paths: Sequence[str]) -> Any:
    from atlas_scaling.fitting.tables import read
    from atlas_scaling.runs.store import read_runs

    given = [Path(path) for path in paths]
    return read(given[0]) if given[0].is_file() else read_runs(given)


def _matrix(path: str | None) -> Any:
    if path is None:
        from atlas_scaling.transfer.reference import published_matrix

        return published_matrix()
    from atlas_scaling.transfer.matrix_files import load_matrix

    return load_matrix(Path(path))


def _law(choice: dict[str, Any]) -> Any:
    from atlas_scaling import laws
    from atlas_scaling.languages import normalise

    options: dict[str, Any] = {}
    if choice.get("variant"):
        options["variant"] = choice["variant"]
    if choice.get("sources"):
        options["sources"] = tuple(normalise(code) for code in choice["sources"])
    law = laws.get(choice["law"], **options)
    for names in choice.get("ties", ()):
        law = law.tied(*names)
    return law.with_fixed(**choice["fixed"]) if choice.get("fixed") else law


def _title(choice: dict[str, Any]) -> str:
    parts = [choice["law"], choice.get("variant") or "", *("=".join(t) for t in choice["ties"])]
    return " ".join(part for part in parts if part)


def _free(folder: str, target: str | None, title: str) -> Path:
    from atlas_scaling.web.free_names import free_path

    stem = "-".join(part for part in (target, *title.split()) if part)
    return free_path(Path(folder), stem, ".json")


@contextmanager
def _called_upload(path: Path) -> Iterator[None]:
    """Say ``upload:3`` in place of where this server put the file."""
    try:
        yield
    except InputError as error:
        error.where = error.where and error.where.replace(str(path), "upload")
        raise


def _head(path: Path) -> Any:
    """The first rows; refuses tables that would unfold to more than a machine holds.

    Raises:
        InputError: the file is no table of its ending, or too large a one.
    """
    import polars as pl

    _refuse_wide(path)
    scans: dict[str, Callable[[], pl.LazyFrame]] = {
        ".csv": lambda: pl.scan_csv(path, infer_schema_length=200),
        ".tsv": lambda: pl.scan_csv(path, separator="\t", infer_schema_length=200),
        ".jsonl": lambda: pl.scan_ndjson(path, infer_schema_length=200),
        ".ndjson": lambda: pl.scan_ndjson(path, infer_schema_length=200),
    }
    try:
        scan = scans.get(path.suffix, lambda: pl.scan_parquet(path))()
        columns = scan.collect_schema().names()
        rows = int(scan.select(pl.len()).collect().item()) if columns else 0
        table = scan.head(SAMPLE_ROWS).collect() if columns else pl.DataFrame()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            "the table cannot be read",
            value=str(error).splitlines()[0],
            where="upload",
            remedy=f"check that it is {path.suffix}",
        ) from None
    _refuse_more(len(columns), MOST_COLUMNS, "columns")
    _refuse_more(rows, MOST_ROWS, "rows")
    if rows == 0:
        raise InputError("the table has no row", where="upload", remedy="send another file")
    return table


def _refuse_wide(path: Path) -> None:
    """Count columns where the first line tells them: polars takes minutes over 100,000 of them."""
    separator = {".csv": b",", ".tsv": b"\t"}.get(path.suffix)
    if separator is not None:
        with path.open("rb") as file:
            _refuse_more(file.readline(_FIRST_LINE).count(separator) + 1, MOST_COLUMNS, "columns")


def _refuse_more(count: int, most: int, what: str) -> None:
    if count > most:
        raise InputError(
            f"the table has more {what} than the dashboard takes",
            value=count,
            where="upload",
            remedy=f"at most {most:,} {what}; atlas runs import FILE -o runs.parquet has no such "
            "limit",
        )


def _shown(value: Any) -> str | None:
    if value is None:
        return None
    text = str(jsonable(value))
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"
