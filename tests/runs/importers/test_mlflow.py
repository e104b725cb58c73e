import gzip
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_scaling.errors import InputError
from atlas_scaling.runs.importers.importing import import_runs
from atlas_scaling.runs.importers.mlflow import read_mlflow
from tests.runs.importers.make_fixtures import FIXTURES, N_PARAMS
from tests.runs.importers.stories import read, told


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    path.write_bytes(gzip.decompress((FIXTURES / "mlflow/mlflow.db.gz").read_bytes()))
    return path


def test_a_resumed_run_logged_by_mlflow_itself_is_read_as_one(database):
    imported = import_runs(database)
    assert read(imported.frame) == told()
    assert imported.frame["n_params"].unique().to_list() == [N_PARAMS]


def test_nan_and_infinity_come_back_from_how_mlflow_stores_them(database):
    reasons = {d.reason: d.rows for d in import_runs(database).summary.dropped}
    assert reasons["loss is NaN or no number"] == 1
    assert reasons["loss is infinite"] == 1


def test_runs_deleted_in_mlflow_are_left_out_with_a_note(database):
    source = read_mlflow([database])
    assert "a mistake" not in source.scan([]).collect()["@run"].to_list()
    assert any("1 runs deleted" in note for note in source.notes)


def test_the_database_is_not_written_to(database):
    before = database.read_bytes()
    import_runs(database)
    assert database.read_bytes() == before
    assert [path.name for path in database.parent.iterdir()] == ["mlflow.db"]


def test_another_sqlite_file_is_refused(tmp_path):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE runs (x)")
    with pytest.raises(InputError, match="no table metrics, params, tags") as caught:
        import_runs(path)
    assert caught.value.where == str(path)


def test_a_truncated_database_is_refused(database, tmp_path):
    path = tmp_path / "mlflow.db"
    path.write_bytes(database.read_bytes()[:100_000])
    with pytest.raises(InputError, match="no readable MLflow database"):
        import_runs(path)


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 900_000), st.booleans())
def test_random_damage_is_never_a_traceback(tmp_path_factory, database, noise, at, fresh):
    data = bytearray(b"SQLite format 3\0" if fresh else database.read_bytes())
    data[at : at + len(noise)] = noise
    path = tmp_path_factory.mktemp("m") / "mlflow.db"
    path.write_bytes(data)
    with suppress(InputError):
        import_runs(path)
