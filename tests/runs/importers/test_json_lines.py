import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_scaling.errors import InputError
from atlas_scaling.runs.importers import json_lines
from atlas_scaling.runs.importers.importing import import_runs
from atlas_scaling.runs.importers.json_lines import read_json_lines
from tests.runs.importers.tables import dropped, import_text, mixture

ROW = '{"run_id": "a", "step": 1, "tokens": 1e9, "loss": 2.5}\n'


def test_nested_objects_become_columns(tmp_path):
    row = {"run_id": "a", "tokens": 1e9, "loss": 2.5, "mixture": {"en": 0.75, "no": 0.25}}
    imported = import_text(tmp_path, json.dumps(row) + "\n", "runs.jsonl")
    assert mixture(imported) == {"eng_Latn": 0.75, "nor_Latn": 0.25}
    assert imported.summary.columns["mixture"] == "mixture.{language}"


def test_keys_may_come_late(tmp_path):
    early = "".join(f'{{"run": "a", "step": {s}, "tokens": {s}}}\n' for s in range(500))
    late = '{"run": "a", "step": 499, "val_loss": 2.5}\n'
    frame = import_text(tmp_path, early + late, "runs.jsonl").frame
    assert frame.select("step", "tokens", "loss").rows() == [(499, 499.0, 2.5)]


def test_chunks_do_not_show(tmp_path, monkeypatch):
    monkeypatch.setattr(json_lines, "CHUNK_ROWS", 3)
    # Numbers at first, then text: the chunks have different types.
    values = [1, 2, 3, 4, "5B", 6, None]
    lines = [
        json.dumps({"run_id": f"r{i}", "tokens": v, "loss": 2.5}) for i, v in enumerate(values)
    ]
    frame = import_text(tmp_path, "\n".join(lines) + "\n", "runs.jsonl").frame
    assert frame["tokens"].to_list() == [1, 2, 3, 4, 5e9, 6]


def test_a_torn_last_line_and_a_damaged_one_are_counted_with_their_places(tmp_path):
    text = ROW + "{broken}\n\n[1, 2]\n" + ROW.replace('"step": 1', '"step": 2') + '{"run_id": "a'
    imported = import_text(tmp_path, text, "runs.jsonl")
    assert imported.summary.kept == 2
    assert dropped(imported) == {"the line is no JSON object": 2, "torn last line": 1}
    places = {d.reason: d.first for d in imported.summary.dropped}
    path = tmp_path / "runs.jsonl"
    assert places["the line is no JSON object"] == (f"{path}:2", f"{path}:4")
    assert places["torn last line"] == (f"{path}:6",)
    assert imported.summary.found == 5


def test_python_s_nan_is_a_loss_that_is_dropped(tmp_path):
    text = ROW + ROW.replace("2.5", "NaN").replace('"step": 1', '"step": 2')
    assert dropped(import_text(tmp_path, text, "runs.jsonl")) == {"loss is NaN or no number": 1}


def test_lists_truths_and_huge_numbers_are_no_surprise(tmp_path):
    row = {"run_id": "a", "tokens": 10**400, "loss": 2.5, "tags": ["x"], "ok": True, "none": None}
    with pytest.raises(InputError, match="no row") as caught:
        import_text(tmp_path, json.dumps(row) + "\n", "runs.jsonl")
    assert "tokens are not a number" in caught.value.value[0]


def test_a_file_without_an_object_is_refused(tmp_path):
    with pytest.raises(InputError, match="JSON object"):
        import_text(tmp_path, "1\n2\n", "runs.jsonl")


def test_an_endless_line_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(json_lines, "LONGEST_LINE", 100)
    with pytest.raises(InputError, match="no file of JSON lines"):
        import_text(tmp_path, '{"a": "' + "x" * 200 + '"}', "runs.jsonl")


def test_half_a_surrogate_pair_is_no_surprise(tmp_path):
    text = ROW.replace('"a"', r'"a\ud800"') + '{"x\\udfff": "\\uD83D"}\n'
    imported = import_text(tmp_path, text, "runs.jsonl")
    assert imported.frame["run_id"].to_list() == ["a?"]


def test_deep_nesting_is_no_recursion(tmp_path):
    text = ROW + '{"a": ' * 50_000 + "1" + "}" * 50_000 + "\n"
    assert dropped(import_text(tmp_path, text, "runs.jsonl")) == {"the line is no JSON object": 1}


def test_the_evaluations_of_our_own_runs_are_understood_too(tmp_path):
    row = {
        "step": 1,
        "tokens": 1024,
        "tokens_by_language": {"swe_Latn": 768, "deu_Latn": 256},
        "language": "swe_Latn",
        "loss": 5.0,
        "bits_per_byte": 2.0,
        "lr": 0.004,
        "lr_state": "stable",
    }
    imported = import_text(tmp_path, json.dumps(row) + "\n", "evals.jsonl")
    assert mixture(imported, 0, "tokens_by_language") == {"deu_Latn": 256, "swe_Latn": 768}
    assert mixture(imported) == {"deu_Latn": 0.25, "swe_Latn": 0.75}
    assert imported.frame.select("run_id", "bits_per_byte", "lr").row(0) == ("evals", 2.0, 0.004)


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
objects = st.dictionaries(
    st.sampled_from(["run_id", "step", "tokens", "loss", "language", "mixture", "w"]),
    values | st.lists(values, max_size=2) | st.dictionaries(st.sampled_from(["en", "no"]), values),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(objects, min_size=1, max_size=8))
def test_any_objects_are_rows_or_an_input_error(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("j") / "runs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert read_json_lines([path]).scan([]).collect().height == len(rows)
    try:
        imported = import_runs(path)
    except InputError:
        return
    assert imported.summary.found == imported.summary.kept + sum(dropped(imported).values())
