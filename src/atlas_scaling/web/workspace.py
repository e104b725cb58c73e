"""What a session may read and write: the paths it was given, and one folder to save into.

Callers of the API name things by ids that are made here, from what lies in the given paths; no text
of theirs is ever joined to a path but a file's own name, and that is checked. Uploads and results
that are not saved yet lie in a folder that goes away with the session.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError, RunError, unknown
from atlas_scaling.runs.store import SPEC_NAME, find_runs
from atlas_scaling.web.file_kinds import (
    MATRICES,
    FitFile,
    MatrixFile,
    UnlessChanged,
    fit_file,
    is_matrix,
    matrices_in,
    matrix_size,
    read_fit_head,
)
from atlas_scaling.web.free_names import distinct, free_path

if TYPE_CHECKING:
    from atlas_scaling.fitting.result import Fit
    from atlas_scaling.transfer.matrix import TransferMatrix

PUBLISHED: Final = "published"
RUNS: Final = "runs"
FITS_FOLDER: Final = "fits"
TABLES: Final = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
UPLOADS: Final = (*TABLES, ".pq")
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


@dataclass(frozen=True, slots=True)
class DataSet(Answer):
    """Something that laws can be fitted to: the runs of the session, a table, an import.

    Attributes:
        id: its name in this session.
        title: for people.
        targets: languages whose loss can be fitted; none where it names none.
        n_runs: how many runs it has; None where that is not known.
    """

    id: str
    title: str
    targets: tuple[str, ...]
    n_runs: int | None


class Workspace:
    """The files of one session.

    Args:
        sources: folders of runs or studies, saved fits, tables, matrices.
        saves_to: where fits and matrices are saved; made when it is first written to.
        scratch: an empty folder that is removed with the session.

    Raises:
        InputError: a source does not exist or is nothing that can be shown.
    """

    def __init__(self, sources: Sequence[Path], *, saves_to: Path, scratch: Path) -> None:
        self.sources = tuple(path.resolve() for path in sources)
        self.saves_to = saves_to.resolve()
        self.scratch = scratch.resolve()
        self.run_folders: tuple[Path, ...] = ()
        self.study_folders: tuple[Path, ...] = ()
        self._given_fits: list[Path] = []
        self._given_tables: list[Path] = []
        self._given_matrices: list[Path] = []
        self._imports: dict[str, DataSet] = {}
        self._loaded = UnlessChanged(_load_fit)
        self._heads = UnlessChanged(read_fit_head)
        self._table_facts = UnlessChanged(_table_facts)
        for path in self.sources:
            self._take(path)

    def gone(self) -> tuple[Path, ...]:
        """Sources that were there when the session began and are no longer."""
        return tuple(path for path in self.sources if not path.exists())

    # --- fits -------------------------------------------------------------------------------

    def fits(self) -> tuple[FitFile, ...]:
        """Saved fits in the given places, then those of this session."""
        return tuple(one for one, _ in self._fit_files().values())

    def fit(self, name: str) -> Fit:
        """The fit called ``name``, read once as long as its file stays the same."""
        return self._loaded(self.fit_path(name))

    def fit_path(self, name: str) -> Path:
        """Where the fit called ``name`` lies."""
        files = self._fit_files()
        if name not in files:
            raise _unknown("fit", name, files)
        return files[name][1]

    def fit_name(self, path: Path) -> str:
        """The id of the fit that lies at ``path``; it is not the file's name where two have one."""
        return next(name for name, (_, own) in self._fit_files().items() if own == path)

    def save_fit(self, name: str, as_name: str) -> Path:
        """Copy a fit into the folder of saved ones.

        Raises:
            InputError: there is no such fit, the name is none, or it is taken.
            RunError: the folder cannot be written.
        """
        path = self._free_path(as_name, ".json")
        fit = self.fit(name)
        with _said_if_unwritable(path):
            return fit.save(path)

    @property
    def new_fits(self) -> Path:
        """Where fits of this session lie until they are saved."""
        return self.scratch / FITS_FOLDER

    # --- matrices ---------------------------------------------------------------------------

    def matrices(self) -> tuple[MatrixFile, ...]:
        """The published matrix, then those of files."""
        published = MatrixFile(PUBLISHED, "Published, 38 languages (Fig. C.2)", 38, 38, True)
        found = [published]
        for name, (path, saved) in self._matrix_files().items():
            size = matrix_size(path)
            found.append(MatrixFile(name, path.stem, *size, saved))
        return tuple(found)

    def matrix(self, name: str | None) -> TransferMatrix:
        """The matrix called ``name``; the published one if None."""
        if name is None or name == PUBLISHED:
            from atlas_scaling.transfer.reference import published_matrix

            return published_matrix()
        from atlas_scaling.transfer.matrix_files import load_matrix

        path = self.matrix_path(name)
        assert path is not None
        return load_matrix(path)

    def matrix_path(self, name: str | None) -> Path | None:
        """Where the matrix lies; None for the published one."""
        if name is None or name == PUBLISHED:
            return None
        files = self._matrix_files()
        if name not in files:
            raise _unknown("matrix", name, [PUBLISHED, *files])
        return files[name][0]

    def matrix_name(self, path: Path) -> str:
        """The id of the matrix that lies at ``path``."""
        return next(name for name, (own, _) in self._matrix_files().items() if own == path)

    def save_matrix(self, name: str, as_name: str) -> Path:
        """Copy a matrix into the folder of saved ones, as Parquet."""
        from atlas_scaling.transfer.matrix_files import save_matrix

        path = self._free_path(as_name, ".parquet")
        matrix = self.matrix(name)
        with _said_if_unwritable(path):
            save_matrix(matrix, path)
        return path

    def new_matrix_path(self, stem: str) -> Path:
        """A free path for a matrix of this session."""
        return free_path(self.scratch / "matrices", stem, ".parquet")

    # --- data for fits ----------------------------------------------------------------------

    def data_sets(self) -> tuple[DataSet, ...]:
        """Runs, tables and imports; what languages the runs have is for the caller to add."""
        found = []
        if self.run_folders:
            found.append(DataSet(RUNS, "the runs of this session", (), None))
        found += [self._table(name, path) for name, path in self._tables().items()]
        return (*found, *self._imports.values())

    def data_paths(self, name: str) -> tuple[Path, ...]:
        """What ``fit`` reads for a data set: run folders, or one table."""
        if name == RUNS and self.run_folders:
            return self.run_folders
        tables = self._tables()
        if name in tables:
            return (tables[name],)
        if name in self._imports:
            return (self.scratch / "imports" / f"{name}.parquet",)
        known = [one.id for one in self.data_sets()]
        raise _unknown("data set", name, known)

    # --- uploads ----------------------------------------------------------------------------

    def new_upload(self, file_name: str) -> tuple[str, Path]:
        """An id and a path for a file that is being sent; its own name only gives the ending.

        Raises:
            InputError: the ending is of no table that can be read.
        """
        ending = Path(file_name).suffix.lower()
        if ending not in UPLOADS:
            raise InputError(
                "a table of runs has one of the endings that tell its format",
                value=file_name[-80:],
                where="name",
                remedy=", ".join(UPLOADS),
            )
        folder = self.scratch / "uploads"
        folder.mkdir(exist_ok=True)
        name = secrets.token_hex(8)
        return name, folder / f"{name}{ending}"

    def upload_path(self, name: str) -> Path:
        """The file that was sent as ``name``.

        Raises:
            InputError: there is no such upload.
        """
        sent = {path.stem: path for path in (self.scratch / "uploads").glob("*")}
        if name not in sent:
            raise InputError(
                "there is no such upload", value=name, where="upload", remedy="send the file again"
            )
        return sent[name]

    def import_path(self, upload: str) -> Path:
        """Where the run table made of an upload goes."""
        self.upload_path(upload)
        folder = self.scratch / "imports"
        folder.mkdir(exist_ok=True)
        return folder / f"{upload}.parquet"

    def add_import(self, data: DataSet) -> None:
        """Make an import known as a data set."""
        self._imports[data.id] = data

    # --- inside -----------------------------------------------------------------------------

    def _take(self, path: Path) -> None:
        """Sort one given path into what it is."""
        if path.is_dir():
            self._take_folder(path)
        elif not path.exists():
            raise InputError("there is no such file or folder", value=str(path), where="SOURCE")
        elif path.suffix == ".json" and self._fit_head(path) is not None:
            self._given_fits.append(path)
        elif path.suffix in MATRICES and is_matrix(path):
            self._given_matrices.append(path)
        elif path.suffix in TABLES:
            self._given_tables.append(path)
        else:
            raise _nothing_to_show(path)

    def _take_folder(self, folder: Path) -> None:
        is_study = (folder / SPEC_NAME).is_file()
        try:
            find_runs(folder)
            has_runs = True
        except InputError:
            has_runs = False
        if has_runs or is_study:
            self.run_folders = (*self.run_folders, folder)
        for place in (folder, folder.parent):
            if (place / SPEC_NAME).is_file() and (has_runs or is_study):
                self.study_folders = (*self.study_folders, place)
                break
        if not (has_runs or is_study or any(self._fits_in(folder)) or any(matrices_in(folder))):
            raise _nothing_to_show(folder)

    def _tables(self) -> dict[str, Path]:
        """Given tables by id; none takes that of the runs."""
        found: dict[str, Path] = {}
        for path in self._given_tables:
            found[distinct(path.stem, [RUNS, *found])] = path
        return found

    def _table(self, name: str, path: Path) -> DataSet:
        """A given table; of one that cannot be read only its name, and a fit says why."""
        try:
            targets, n_runs = self._table_facts(path)
        except (InputError, OSError):
            targets, n_runs = (), None
        return DataSet(name, path.name, targets, n_runs)

    def _fits_in(self, folder: Path) -> Iterable[Path]:
        for place in (folder, folder / FITS_FOLDER):
            for path in sorted(place.glob("*.json")):
                if path.is_file() and self._fit_head(path) is not None:
                    yield path

    def _fit_files(self) -> dict[str, tuple[FitFile, Path]]:
        """Every fit by id; the same file is listed once."""
        folders = [path for path in self.sources if path.is_dir()]
        saved = [*self._given_fits, *(p for f in folders for p in self._fits_in(f))]
        saved += [p for p in sorted(self.saves_to.glob("*.json")) if self._fit_head(p) is not None]
        new = sorted((self.scratch / FITS_FOLDER).glob("*.json"))
        found: dict[str, tuple[FitFile, Path]] = {}
        for path in dict.fromkeys([*saved, *new]):
            head = self._fit_head(path)
            if head is not None:
                name = distinct(path.stem, found)
                found[name] = (fit_file(name, head, saved=path not in new), path)
        return found

    def _fit_head(self, path: Path) -> dict[str, object] | None:
        """The document of a saved fit, or None where the file is none, or is gone."""
        try:
            return self._heads(path)
        except OSError:
            return None

    def _matrix_files(self) -> dict[str, tuple[Path, bool]]:
        folders = [path for path in self.sources if path.is_dir()]
        saved = [*self._given_matrices, *(p for f in folders for p in matrices_in(f))]
        saved += list(matrices_in(self.saves_to))
        new = sorted((self.scratch / "matrices").glob("*.parquet"))
        found: dict[str, tuple[Path, bool]] = {}
        for path in dict.fromkeys([*saved, *new]):
            found[distinct(path.stem, [PUBLISHED, *found])] = (path, path not in new)
        return found

    def _free_path(self, name: str, suffix: str) -> Path:
        """A path in the folder of saved things that does not exist yet."""
        if not _FILE_NAME.fullmatch(name):
            raise InputError(
                "a name is letters, digits, dots, - and _",
                value=name,
                where="name",
                remedy="such as swe-atlas",
            )
        path = self.saves_to / f"{name.removesuffix(suffix)}{suffix}"
        # a link that leads nowhere would be written through
        if any(os.path.lexists(one) for one in (path, path.with_suffix(".npz"))):
            raise InputError(
                "there is a file of that name already",
                value=path.name,
                where=str(self.saves_to),
                remedy="choose another name",
            )
        return path


def _load_fit(path: Path) -> Fit:
    from atlas_scaling.fitting.result import Fit

    return Fit.load(path)


def _table_facts(path: Path) -> tuple[tuple[str, ...], int | None]:
    """Languages whose loss can be fitted, and how many runs; None where the table names none."""
    from atlas_scaling.fitting.data import targets_of
    from atlas_scaling.fitting.tables import read_table

    frame = read_table(path)
    targets = tuple(target for target in targets_of(frame) if target is not None)
    return targets, frame["run_id"].n_unique() if "run_id" in frame.columns else None


@contextmanager
def _said_if_unwritable(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise RunError(
            f"this cannot be saved: {error.strerror}",
            value=str(path),
            remedy="start with a folder that can be written: atlas serve --save FOLDER",
        ) from None


def _nothing_to_show(path: Path) -> InputError:
    return InputError(
        "nothing here that can be shown",
        value=str(path),
        where="SOURCE",
        remedy="give a folder of runs, a study's folder, a saved fit (.json), a transfer matrix or "
        "a table of runs (.csv, .parquet)",
    )


def _unknown(what: str, name: str, known: Iterable[str]) -> InputError:
    return unknown(f"there is no such {what} in this session", name, known, where=what)
