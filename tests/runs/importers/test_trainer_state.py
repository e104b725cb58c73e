import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_scaling.errors import InputError
from atlas_scaling.runs.importers.column_map import ColumnMap
from atlas_scaling.runs.importers.importing import import_runs
from tests.runs.importers.make_fixtures import FIXTURES

FOLDER = FIXTURES / "trainer_state"


def write_state(path: Path, history: list[dict], **others) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"log_history": history, **others}))
    return path


def test_the_furthest_state_that_the_trainer_saved_is_read():
    imported = import_runs(FOLDER)
    state = json.loads((FOLDER / "tiny-gpt2/trainer_state.json").read_text())
    # 4 sequences of 16 tokens a step; evaluated every 3 steps and at the end, step 8.
    expected = {
        (entry["step"], entry["step"] * 64.0, code, entry[f"eval_{name}_loss"])
        for entry in state["log_history"]
        for name, code in (("en", "eng_Latn"), ("de", "deu_Latn"))
        if f"eval_{name}_loss" in entry
    }
    assert len(expected) == 6
    rows = imported.frame.select("step", "tokens", "language", "loss").rows()
    assert set(rows) == expected
    assert imported.frame["run_id"].unique().to_list() == ["tiny-gpt2"]
    assert any("2 earlier copies" in note for note in imported.summary.notes)


def test_a_checkpoint_alone_is_read_up_to_its_step():
    frame = import_runs(FOLDER / "tiny-gpt2/checkpoint-4/trainer_state.json").frame
    assert frame["step"].unique().to_list() == [3]
    assert frame["run_id"].unique().to_list() == ["tiny-gpt2"]


def test_several_output_directories_are_several_runs(tmp_path):
    for name, loss in (("a", 3.0), ("b", 2.0)):
        entry = {"step": 10, "eval_loss": loss}
        write_state(tmp_path / name / "checkpoint-10/trainer_state.json", [entry], global_step=10)
    columns = ColumnMap.model_validate({"set": {"tokens_per_step": 512}})
    frame = import_runs(tmp_path, columns=columns).frame
    assert frame.select("run_id", "tokens", "loss").rows() == [("a", 5120, 3.0), ("b", 5120, 2.0)]


def test_its_losses_are_nats_per_token_without_saying_so():
    assert not any("unit" in note for note in import_runs(FOLDER).summary.notes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not valid JSON"),
        ("[1]", "no list log_history"),
        ('{"log_history": 3}', "no list log_history"),
        ('{"log_history": [], "global_step": "x"}', "global_step"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_what_is_no_trainer_state_is_refused_with_its_file(tmp_path, text, said):
    path = tmp_path / "trainer_state.json"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        import_runs(path)
    assert str(path) in caught.value.where


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["step", "eval_loss", "eval_en_loss", "a"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(json_values, max_size=5))
def test_any_log_history_is_rows_or_an_input_error(tmp_path_factory, history):
    path = write_state(tmp_path_factory.mktemp("s") / "trainer_state.json", history)
    try:
        imported = import_runs(path, columns=ColumnMap.model_validate({"set": {"tokens": 1e9}}))
    except InputError:
        return
    assert imported.frame["loss"].is_finite().all()
