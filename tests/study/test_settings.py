import pytest

from atlas_scaling.config import check_config
from atlas_scaling.errors import InputError
from atlas_scaling.study.settings import Hardware


@pytest.mark.parametrize("together", [0, -1, 2.5, True, "many"])
def test_how_many_are_trained_together_is_a_count_or_auto(together):
    with pytest.raises(InputError, match="a whole number of runs above 0, or auto") as raised:
        check_config({"together": together}, Hardware, name="hardware")
    assert raised.value.value == together


@pytest.mark.parametrize("given", [1, "yes", "perhaps"])
def test_whether_to_compile_is_said_plainly(given):
    with pytest.raises(InputError, match="write true, false or auto") as raised:
        check_config({"compile": given}, Hardware, name="hardware")
    assert raised.value.value == given


def test_runs_of_several_processes_are_not_trained_together():
    with pytest.raises(InputError, match="processes: 2, or together: 3"):
        check_config({"processes": 2, "together": 3}, Hardware, name="hardware")
    for together in (1, "auto"):
        assert Hardware(processes=2, together=together).together == together
