import contextlib
import gzip
import json
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_scaling.errors import InputError
from atlas_scaling.runs.importers.importing import import_runs
from atlas_scaling.runs.importers.wandb import read_wandb
from tests.runs.importers.make_fixtures import FIXTURES, N_PARAMS, TOKENS_PER_STEP
from tests.runs.importers.stories import read, told
from tests.runs.importers.test_wire import field

FILES = sorted((FIXTURES / "wandb").rglob("*.wandb"))
HEADER = b":W&B\xe1\xbe\x00"


def framed(*records: bytes) -> bytes:
    """A file of whole records, as wandb's LevelDB log frames them."""
    out = HEADER
    for data in records:
        out += struct.pack("<IHB", zlib.crc32(b"\x01" + data), len(data), 1) + data
    return out


def history(*items: bytes) -> bytes:
    return field(2, b"".join(field(1, item) for item in items))


def item(name: str, value: object) -> bytes:
    return field(2, name.encode()) + field(16, json.dumps(value).encode())


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "run-x.wandb"


def test_a_resumed_run_logged_by_wandb_itself_is_read_as_one():
    imported = import_runs(FIXTURES / "wandb")
    assert read(imported.frame) == told()
    assert imported.frame["n_params"].unique().to_list() == [N_PARAMS]
    mixture = [{"language": "deu_Latn", "value": 0.25}, {"language": "eng_Latn", "value": 0.75}]
    assert imported.frame["mixture"].to_list() == [mixture] * 8
    # Step 75 of the first attempt, two languages, and the NaN that the story ends with.
    assert {d.reason.partition(":")[0]: d.rows for d in imported.summary.dropped} == {
        "overtaken": 2,
        "loss is NaN or no number": 1,
    }


def test_one_file_alone_is_one_attempt():
    imported = import_runs(FILES[0])
    assert imported.frame["step"].unique().to_list() == [25, 50, 75]
    assert imported.summary.n_runs == 1


def test_records_longer_than_a_block_are_joined(log):
    log.write_bytes(gzip.decompress((FIXTURES / "wandb_blocks/run-b10c5.wandb.gz").read_bytes()))
    source = read_wandb([log])
    assert not source.notes
    frame = source.scan(["eval/loss", "_step", "config.notes", "config.n_params"]).collect()
    assert frame["eval/loss"].to_list() == [4 - step / 1024 for step in range(1, 400)]
    assert frame["config.notes"][0] == "x" * 70_000
    imported = import_runs(log)
    assert imported.frame["tokens"].to_list() == [s * TOKENS_PER_STEP for s in range(1, 400)]


def test_a_file_torn_at_any_byte_gives_the_rows_before_the_tear_and_a_note(log):
    whole = FILES[0].read_bytes()
    rows, noted = [0], []
    for length in range(8, len(whole), 37):
        log.write_bytes(whole[:length])
        source = read_wandb([log])
        frame = source.scan([]).collect()
        assert frame.height >= rows[-1]
        rows.append(frame.height)
        noted.append(bool(source.notes))
    # A file cut between two records looks like one that is still being written.
    assert sum(noted) >= len(noted) - 2
    log.write_bytes(whole)
    assert not read_wandb([log]).notes
    assert rows[-1] > 10


def test_a_damaged_record_ends_the_file_with_a_note(log):
    data = bytearray(FILES[0].read_bytes())
    data[-100] ^= 0xFF
    log.write_bytes(data)
    (note,) = read_wandb([log]).notes
    assert "damaged" in note
    assert str(log) in note


def test_typed_values_of_newer_versions_are_read(log):
    typed = [
        field(2, b"eval/loss") + field(6, 2.5),
        field(2, b"tokens_seen") + field(5, 8192),  # sint64: zigzag of 4096
        field(2, b"_step") + field(5, 2),
        field(2, b"done") + field(4, 1),
        field(2, b"name") + field(7, b"text"),
    ]
    log.write_bytes(framed(history(*typed)))
    frame = import_runs(log).frame
    assert frame.select("step", "tokens", "loss").rows() == [(1, 4096.0, 2.5)]


def test_two_runs_of_one_name_are_told_apart_by_their_ids(tmp_path):
    for run_id in ("a1", "b2"):
        run = field(17, field(1, run_id.encode()) + field(8, b"same"))
        row = history(item("eval/loss", 2.5), item("tokens_seen", 7), item("_step", 1))
        (tmp_path / f"run-{run_id}.wandb").write_bytes(framed(run, row))
    assert import_runs(tmp_path).frame["run_id"].to_list() == ["same-a1", "same-b2"]


def test_a_configuration_value_that_was_removed_is_gone(log):
    first = field(17, field(1, b"x") + field(4, field(1, item("a", 1)) + field(1, item("b", 2))))
    second = field(5, field(2, field(2, b"a")))
    log.write_bytes(framed(first, second, history(item("eval/loss", 2.5))))
    assert "config.a" not in read_wandb([log]).columns
    assert "config.b" in read_wandb([log]).columns


def test_another_file_under_this_name_is_refused(log):
    log.write_bytes(b"step,loss\n1,2\n")
    with pytest.raises(InputError) as caught:
        import_runs(log)
    assert caught.value.where == str(log)
    assert "run-<id>.wandb" in caught.value.remedy


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.booleans(), st.lists(st.binary(max_size=60), max_size=4))
def test_random_bytes_are_never_a_traceback(tmp_path_factory, noise, with_header, records):
    path = tmp_path_factory.mktemp("w") / "run-r.wandb"
    for data in ((HEADER if with_header else b"") + noise, framed(*records) + noise):
        path.write_bytes(data)
        with contextlib.suppress(InputError):
            import_runs(path)
