import numpy as np
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.planning.start_runs import advise_start, read_start_curves
from tests.planning.planted import continued_loss, scratch_loss
from tests.run_files import eval_line, write_run

UNIT = 1e9
"""Planted curves are in billions of tokens; the runs here have thousands."""


def write(folder, name, loss, *, states=("stable",) * 12, **changes):
    tokens = np.geomspace(1000, 100_000, len(states)).astype(int)
    lines = [
        eval_line(i, int(d), "swe_Latn", float(loss(d / 1000 * UNIT)), lr_state=state)
        for i, (d, state) in enumerate(zip(tokens, states, strict=True))
    ]
    return write_run(folder, lines, run_id=name, tokens=100_000, **changes)


@pytest.fixture
def runs(tmp_path):
    scratch = write(tmp_path, "scratch", scratch_loss)
    continued = write(tmp_path, "continued", continued_loss, base_run="mix-all")
    return scratch, continued


def test_run_directories_give_curves_size_and_checkpoint(runs):
    curves = read_start_curves(*runs, "sv")
    assert curves.n_params == 364_928
    assert "mix-all" in curves.base.description
    assert len(curves.scratch.tokens) == 12


def test_run_directories_decide(runs):
    scratch, continued = runs
    few = advise_start("sv", tokens=3000, scratch=scratch, continued=continued)
    many = advise_start("sv", tokens=90_000, scratch=scratch, continued=continued)
    assert (few.recommendation, many.recommendation) == ("continue", "scratch")
    # planted at 32.1 thousand tokens
    assert many.crossover_tokens.value == pytest.approx(32_100, rel=0.05)


def test_csv_files_decide_too(tmp_path):
    paths = []
    for name, loss in (("scratch", scratch_loss), ("continued", continued_loss)):
        tokens = np.geomspace(1e9, 1e11, 12)
        rows = "\n".join(f"{d},{loss(d)}" for d in tokens)
        path = tmp_path / f"{name}.csv"
        path.write_text(f"tokens,loss\n{rows}\n")
        paths.append(path)
    answer = advise_start("sv", tokens=9e10, n_params=1e9, scratch=paths[0], continued=paths[1])
    assert answer.recommendation == "scratch"
    assert answer.crossover_tokens.value == pytest.approx(32.1e9, rel=0.05)


def test_a_curve_does_not_cross_itself(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text("tokens,loss\n" + "".join(f"{d},{3 - d / 1e9}\n" for d in (1e6, 2e6, 3e6)))
    with pytest.raises(InputError, match="does not cross itself"):
        advise_start("sv", tokens=1e9, n_params=1e9, scratch=path, continued=path)


def test_runs_without_a_common_learning_rate_state_are_refused(tmp_path):
    scratch = write(tmp_path, "scratch", scratch_loss, states=("stable",) * 10)
    states = ("warmup",) * 5 + ("decay",) * 4 + ("decayed",)
    continued = write(tmp_path, "continued", continued_loss, states=states)
    with pytest.raises(InputError, match="no learning-rate state"):
        read_start_curves(scratch, continued, "sv")


def test_runs_of_two_sizes_are_refused(tmp_path):
    scratch = write(tmp_path, "scratch", scratch_loss)
    continued = write(tmp_path, "continued", continued_loss, n_params=9_000_000)
    with pytest.raises(InputError, match="differ in model size"):
        read_start_curves(scratch, continued, "sv")


def test_curves_of_one_size_are_no_answer_for_another(runs):
    scratch, continued = runs
    same = advise_start("sv", tokens=3000, n_params=365e3, scratch=scratch, continued=continued)
    assert same.recommendation == "continue"
    with pytest.raises(InputError, match="the runs have 365k parameters") as caught:
        advise_start("sv", tokens=3000, n_params=2e9, scratch=scratch, continued=continued)
    assert (caught.value.value, caught.value.where) == (2e9, "n_params")


def test_runs_in_each_others_place_or_in_both_are_refused(runs):
    scratch, continued = runs
    with pytest.raises(InputError, match="continues mix-all, so it is not from scratch"):
        read_start_curves(continued, scratch, "sv")
    with pytest.raises(InputError, match="on both sides") as caught:
        read_start_curves(scratch, scratch, "sv")
    assert caught.value.value == ["scratch"]


def test_runs_never_evaluated_on_the_target_say_on_what_they_were(runs):
    with pytest.raises(InputError) as caught:
        read_start_curves(*runs, "da")
    assert caught.value.value == "dan_Latn"
    assert "swe_Latn" in caught.value.remedy


def test_one_curve_is_no_crossing(runs):
    with pytest.raises(InputError, match="takes two curves"):
        advise_start("sv", tokens=1e9, n_params=1e9, scratch=runs[0])


def test_a_csv_with_another_column_names_it(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text("token,loss\n1,2\n")
    with pytest.raises(InputError) as caught:
        read_start_curves(path, path, "sv")
    assert caught.value.value == "token"
    assert "'tokens'" in caught.value.remedy


def test_a_csv_that_is_not_numbers_is_no_curve(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text("tokens,loss\nmany,2\n")
    with pytest.raises(InputError, match="this is no curve"):
        read_start_curves(path, path, "sv")


def test_the_size_must_come_from_somewhere():
    with pytest.raises(InputError) as caught:
        advise_start("sv", tokens=1e9)
    assert caught.value.where == "n_params"


def test_crossovers_at_several_sizes_are_preferred_to_the_published_ones():
    answer = advise_start(
        "sv", tokens=1e9, n_params=1e9, crossovers={1e8: 30e9, 3e8: 60e9, 1e9: 120e9}
    )
    assert answer.evidence == "fitted"
    assert advise_start("sv", tokens=1e9, n_params=1e9).evidence == "published"
