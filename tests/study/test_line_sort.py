import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_scaling.study import line_sort
from atlas_scaling.study.line_sort import LineSorter

LINES = st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line), max_size=120)


@settings(max_examples=60, deadline=None)
@given(LINES, st.sampled_from([1, 200, 1000, 1 << 20]), st.sampled_from([2, 3, 64]))
def test_lines_come_back_sorted_however_little_memory_there_is(lines, memory, at_once):
    before = line_sort.MERGED_AT_ONCE
    line_sort.MERGED_AT_ONCE = at_once
    try:
        with tempfile.TemporaryDirectory() as folder:
            sorter = LineSorter(Path(folder) / "runs", memory=memory)
            for line in lines:
                sorter.add(line)
            # with its newline, as a file has it: "a" comes before "a\t" only without one
            assert list(sorter.merged()) == sorted(lines, key=lambda line: line + b"\n")
            assert not any((Path(folder)).rglob("run-*"))
    finally:
        line_sort.MERGED_AT_ONCE = before


def test_memory_is_what_was_asked_for_and_few_files_are_there_at_a_time(tmp_path):
    sorter = LineSorter(tmp_path / "runs", memory=10_000)
    for i in range(100_000):
        sorter.add(b"%08d" % (i * 7919 % 100_000))
        assert sorter._held <= 10_000
    assert len(list((tmp_path / "runs").iterdir())) <= line_sort.MERGED_AT_ONCE
    assert [int(line) for line in sorter.merged()] == list(range(100_000))
