import pytest

from atlas_scaling.config import load_config
from atlas_scaling.errors import InputError
from atlas_scaling.study.design import design_study
from atlas_scaling.study.spec import StudySpec
from tests.study.small_study import write_small_study


def designed(folder, old: str, new: str):
    path = write_small_study(folder)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return design_study(load_config(path, StudySpec))


def test_decays_branch_off_from_one_run_that_does_not_decay(tmp_path):
    design = designed(tmp_path, "kind: capacity", "kind: capacity, decays: [0.5, 1]")
    runs = {run.run_id: run for run in design.runs}
    stable, half, whole = (runs[f"even2-s-seed0{end}"] for end in ("-stable", "-at10k", ""))
    # 64 tokens a step: 157 steps of which 16 decay, and 313 of which 31 do
    assert (half.tokens, half.branch_tokens) == (10_000, 141 * 64)
    assert (whole.tokens, whole.branch_tokens) == (20_000, 282 * 64)
    assert (stable.tokens, stable.keep_tokens) == (282 * 64, (141 * 64, 282 * 64))
    assert half.base_run == whole.base_run == stable.run_id
    assert design.runs.index(stable) < design.runs.index(half)
    trained = stable.tokens + (10_000 - 141 * 64) + (20_000 - 282 * 64)
    assert design.tokens == trained + 3 * 20_000  # and the three runs of the other groups
    assert design.flops == pytest.approx(6 * stable.n_params * design.tokens)
    continued = runs["continued-swe_Latn-from-even2-s-seed0"]
    assert continued.base_run == whole.run_id


def test_a_run_that_starts_from_another_has_no_decays_that_branch_off(tmp_path):
    with pytest.raises(InputError, match="from the beginning only") as caught:
        designed(tmp_path, "kind: continued", "kind: continued, decays: [1]")
    assert "continued-swe" in caught.value.value
