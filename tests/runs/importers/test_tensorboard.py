import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_scaling.errors import InputError
from atlas_scaling.runs.importers.importing import import_runs
from atlas_scaling.runs.importers.tensorboard import masked_crc32c, read_tensorboard
from tests.runs.importers.make_fixtures import FIXTURES, RUN
from tests.runs.importers.stories import read, told
from tests.runs.importers.test_wire import field

FOLDER = FIXTURES / "tensorboard"
FILES = sorted((FOLDER / RUN).iterdir())


def record(data: bytes) -> bytes:
    head = struct.pack("<Q", len(data))
    crcs = [struct.pack("<I", masked_crc32c(part)) for part in (head, data)]
    return head + crcs[0] + data + crcs[1]


def event(step: int, **scalars: bytes) -> bytes:
    """An event whose values are given as the encoded field that holds the number."""
    values = [field(1, tag.encode()) + value for tag, value in scalars.items()]
    return record(field(2, step) + field(5, b"".join(field(1, v) for v in values)))


def tensor(dtype: int, content: bytes) -> bytes:
    return field(8, field(1, dtype) + field(4, content))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "events.out.tfevents.1.host"


def test_the_checksum_has_its_published_check_value():
    # CRC-32C of "123456789" is 0xE3069283; the mask rotates right by 15 and adds 0xA282EAD8.
    crc = 0xE3069283
    expected = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    assert masked_crc32c(b"123456789") == expected


def test_a_resumed_run_of_two_writers_is_read_as_one():
    # The first file has simple values (torch's writer), the second tensors (tensorboard's own).
    imported = import_runs(FOLDER)
    assert read(imported.frame) == told()
    assert sum(d.rows for d in imported.summary.dropped) == 3


def test_the_run_is_named_after_its_directory_from_wherever_it_is_read():
    for source in (FOLDER, FOLDER / RUN, FILES[0]):
        assert import_runs(source).frame["run_id"].unique().to_list() == [RUN]


def test_a_file_torn_at_any_byte_gives_the_rows_before_the_tear_and_a_note(log):
    whole = FILES[1].read_bytes()
    rows = [0]
    for length in range(13, len(whole), 11):
        log.write_bytes(whole[:length])
        source = read_tensorboard([log], root=log.parent)
        rows.append(source.scan([]).collect().height)
        assert rows[-1] >= rows[-2]
    log.write_bytes(whole[:-3])
    (note,) = read_tensorboard([log], root=log.parent).notes
    assert "ends inside a record" in note
    assert rows[-1] > 10


def test_a_damaged_record_ends_the_file_with_a_note(log):
    data = bytearray(FILES[0].read_bytes())
    data[-20] ^= 0xFF
    log.write_bytes(data)
    (note,) = read_tensorboard([log], root=log.parent).notes
    assert "damaged" in note


def test_scalars_of_every_type_are_read_and_other_tensors_are_not(log):
    log.write_bytes(
        event(
            3,
            single=tensor(1, struct.pack("<f", 0.5)),
            double=tensor(2, struct.pack("<d", 0.1)),
            int32=tensor(3, struct.pack("<i", -7)),
            int64=tensor(9, struct.pack("<q", 2**40)),
            listed=field(8, field(1, 2) + field(6, struct.pack("<d", 0.2))),
            vector=tensor(1, struct.pack("<ff", 1, 2)),
            text=field(8, field(1, 7) + field(8, b"words")),
        )
    )
    source = read_tensorboard([log], root=log.parent)
    assert set(source.columns) == {"single", "double", "int32", "int64", "listed", "step"}
    row = source.scan(source.columns).collect().row(0, named=True)
    assert (row["single"], row["double"], row["int32"]) == (0.5, 0.1, -7.0)
    assert (row["int64"], row["listed"], row["step"]) == (2.0**40, 0.2, 3.0)


def test_another_file_under_this_name_is_refused(log):
    log.write_bytes(b"step,loss\n1,2\n3,4\n")
    with pytest.raises(InputError) as caught:
        import_runs(log)
    assert caught.value.where == str(log)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.lists(st.binary(max_size=60), max_size=4))
def test_random_bytes_are_never_a_traceback(tmp_path_factory, noise, records):
    path = tmp_path_factory.mktemp("t") / "events.out.tfevents.1"
    for data in (noise, b"".join(map(record, records)) + noise):
        path.write_bytes(data)
        with contextlib.suppress(InputError):
            import_runs(path)
