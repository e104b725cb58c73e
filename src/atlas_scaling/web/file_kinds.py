"""What a file is, told by its head: a saved fit or a transfer matrix."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from atlas_scaling.answers import Answer

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T")

MATRICES: Final = (".csv", ".parquet")
MATRIX_COLUMNS: Final = frozenset({"target", "source", "bts"})
MOST_FIT_BYTES: Final = 20_000_000
"""A larger document is no fit; draws lie in a file beside it."""


@dataclass(frozen=True, slots=True)
class FitFile(Answer):
    """A fit of the session: its id, what it is of, and whether it lies in a given folder.

    ``untold`` names the parameters that its runs cannot tell.
    """

    id: str
    law: str
    variant: str | None
    target: str | None
    status: str
    n_rows: int
    n_runs: int
    has_draws: bool
    untold: tuple[str, ...]
    saved: bool
    loss_unit: str


def read_fit_head(path: Path) -> dict[str, object] | None:
    """The document of a saved fit, or None where the file is none.

    Raises:
        OSError: there is no such file.
    """
    if path.stat().st_size > MOST_FIT_BYTES:
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return None
    is_fit = isinstance(document, dict) and {"law", "arrays", "parameters"} <= set(document)
    return document if is_fit else None


def fit_file(name: str, head: dict[str, object], *, saved: bool) -> FitFile:
    """What a saved fit says of itself."""
    options = head.get("law_options")
    diagnostics = head.get("diagnostics")
    return FitFile(
        id=name,
        law=str(head["law"]),
        variant=str(options["variant"])
        if isinstance(options, dict) and options.get("variant")
        else None,
        target=None if head.get("target") is None else str(head["target"]),
        status=str(head.get("status")),
        n_rows=_whole(head.get("n_rows")),
        n_runs=_whole(head.get("n_runs")),
        has_draws=isinstance(diagnostics, dict) and diagnostics.get("resample") is not None,
        untold=_untold(head["parameters"]),
        saved=saved,
        loss_unit=str(head.get("loss_unit")),
    )


def _untold(parameters: object) -> tuple[str, ...]:
    if not isinstance(parameters, dict):
        return ()
    return tuple(
        str(name)
        for name, one in parameters.items()
        if isinstance(one, dict) and one.get("value") is None
    )


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


@dataclass(frozen=True, slots=True)
class MatrixFile(Answer):
    """A transfer matrix of the session."""

    id: str
    title: str
    n_targets: int
    n_sources: int
    saved: bool


def matrices_in(folder: Path) -> Iterable[Path]:
    """The matrices that lie in a folder itself."""
    for path in sorted(folder.glob("*")):
        if path.suffix in MATRICES and path.is_file() and is_matrix(path):
            yield path


def is_matrix(path: Path) -> bool:
    """Whether a table's columns are those of a matrix; only its head is read."""
    import polars as pl

    try:
        return set(_scan(path).collect_schema().names()) >= MATRIX_COLUMNS
    except (pl.exceptions.PolarsError, OSError):
        return False


def matrix_size(path: Path) -> tuple[int, int]:
    """How many targets and sources a matrix has; 0, 0 where it can no longer be read."""
    import polars as pl

    sizes = (pl.col("target").n_unique(), pl.col("source").n_unique())
    try:
        counts = _scan(path).select(sizes).collect()
    except pl.exceptions.PolarsError:
        return 0, 0
    return int(counts["target"][0]), int(counts["source"][0])


def _scan(path: Path) -> pl.LazyFrame:
    import polars as pl

    return pl.scan_parquet(path) if path.suffix == ".parquet" else pl.scan_csv(path)


class UnlessChanged(Generic[T]):
    """What ``read`` makes of a file, read again only when the file's time stamp moves."""

    def __init__(self, read: Callable[[Path], T]) -> None:
        self._read = read
        self._held: dict[Path, tuple[int, T]] = {}

    def __call__(self, path: Path) -> T:
        """The present reading of ``path``.

        Raises:
            OSError: there is no such file.
        """
        changed = path.stat().st_mtime_ns
        held = self._held.get(path)
        if held is None or held[0] != changed:
            held = self._held[path] = (changed, self._read(path))
        return held[1]
