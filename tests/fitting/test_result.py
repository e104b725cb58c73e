import io
import json

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from atlas_scaling import laws
from atlas_scaling.answers import jsonable
from atlas_scaling.errors import InputError
from atlas_scaling.fitting import Fit, fit
from atlas_scaling.laws import Law, Parameter
from tests.fitting.planted import planted_runs, two_power_table

KEYS = {
    "law",
    "parameters",
    "objective",
    "n_rows",
    "n_runs",
    "status",
    "diagnostics",
    "seed",
    "data_hash",
    "source",
    "warnings",
}


@pytest.fixture(scope="module")
def atlas_fit():
    return fit(planted_runs(), "atlas", target="swe_Latn", bootstrap=50, seed=7)


def test_the_json_has_the_keys_that_others_build_on(atlas_fit):
    document = atlas_fit.to_dict()
    assert set(document) >= KEYS
    assert document["law"] == "atlas"
    assert set(document["parameters"]["E"]) == {"value", "interval", "verdict"}
    assert json.loads(json.dumps(document, allow_nan=False)) == jsonable(document)


def test_a_saved_fit_comes_back_equal_with_its_draws_and_data(atlas_fit, tmp_path):
    path = atlas_fit.save(tmp_path / "deep" / "fit.json")
    again = Fit.load(path)
    assert again.to_dict() == atlas_fit.to_dict()
    assert again.law == atlas_fit.law
    np.testing.assert_array_equal(again.draws, atlas_fit.draws)
    np.testing.assert_array_equal(again.observations.loss, atlas_fit.observations.loss)
    assert again.observations.facts == atlas_fit.observations.facts
    point = {name: array[..., :2] for name, array in atlas_fit.observations.x.items()}
    np.testing.assert_array_equal(again.predict(**point), atlas_fit.predict(**point))


def test_ties_fixed_values_and_limits_survive_saving(tmp_path):
    law = laws.Chinchilla().tied("alpha", "beta").with_fixed(E=1.8).within(A=(1.0, 1e5))
    found = fit(two_power_table(), law, bootstrap=0)
    assert Fit.load(found.save(tmp_path / "fit.json")).law == law


def test_a_users_law_is_needed_to_load_its_fit(tmp_path):
    class Flat(Law):
        name = "flat"
        inputs = ("n_params",)
        parameters = (Parameter("E", start=(0.5, 5.0), bounds=(0.1, 20.0), linear=True),)

        def loss(self, p, x):
            return p.E + 0.0 * x.n_params

    path = fit(two_power_table(), Flat(), bootstrap=20).save(tmp_path / "fit.json")
    with pytest.raises(InputError, match="not built in") as caught:
        Fit.load(path)
    assert "law=MyLaw()" in caught.value.remedy
    assert Fit.load(path, law=Flat()).values["E"] > 0


def test_a_file_that_is_no_fit_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "fit.json"
    with pytest.raises(InputError, match="no such fit"):
        Fit.load(path)
    path.write_text("{")
    with pytest.raises(InputError, match="no saved fit"):
        Fit.load(path)
    path.write_text("[1]")
    with pytest.raises(InputError, match="format this version reads"):
        Fit.load(path)
    fit(two_power_table(), bootstrap=0).save(path)
    path.with_suffix(".npz").unlink()
    with pytest.raises(InputError, match="arrays of this fit are gone") as caught:
        Fit.load(path)
    assert caught.value.value == "fit.npz"
    with pytest.raises(InputError, match="saved as JSON"):
        fit(two_power_table(), bootstrap=0).save(tmp_path / "fit.pkl")


@pytest.fixture(scope="module")
def saved_fit(tmp_path_factory):
    return fit(two_power_table(), bootstrap=20).save(tmp_path_factory.mktemp("fit") / "fit.json")


def _copied(saved_fit, tmp_path, **changes):
    """A copy of a saved fit with other words in its JSON; None takes one out."""
    path = tmp_path / "mine" / "fit.json"
    path.parent.mkdir()
    document = json.loads(saved_fit.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in document.items() if v is not None}))
    path.with_suffix(".npz").write_bytes(saved_fit.with_suffix(".npz").read_bytes())
    return path


@pytest.mark.parametrize("name", ["../fit.npz", "/etc/passwd", "sub/fit.npz", "..", "", 3, None])
def test_a_fit_reads_no_file_outside_its_folder(saved_fit, tmp_path, name):
    path = _copied(saved_fit, tmp_path, arrays=name)
    (tmp_path / "fit.npz").write_bytes(saved_fit.with_suffix(".npz").read_bytes())
    with pytest.raises(InputError, match="lie beside it"):
        Fit.load(path)


def test_a_fit_follows_no_link_out_of_its_folder(saved_fit, tmp_path):
    path = _copied(saved_fit, tmp_path)
    path.with_suffix(".npz").unlink()
    path.with_suffix(".npz").symlink_to(saved_fit.with_suffix(".npz"))
    with pytest.raises(InputError, match="link to elsewhere"):
        Fit.load(path)


@pytest.mark.parametrize("size", [0, 10, 500, -30])
def test_arrays_that_are_cut_short_are_said(saved_fit, tmp_path, size):
    path = _copied(saved_fit, tmp_path)
    whole = path.with_suffix(".npz").read_bytes()
    path.with_suffix(".npz").write_bytes(whole[:size])
    with pytest.raises(InputError, match="cannot be read") as caught:
        Fit.load(path)
    assert "copy it again" in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("values", (4,)),
        ("loss", (3,)),
        ("run", (60, 2)),
        ("x.n_params", (59,)),
        ("x.tokens", None),
        ("draws", (20, 4)),
        ("draws", (20,)),
        ("facet.flops", ()),
        ("loss", None),
    ],
)
def test_arrays_that_do_not_go_together_are_said(saved_fit, tmp_path, name, shape):
    path = _copied(saved_fit, tmp_path)
    with np.load(path.with_suffix(".npz")) as stored:
        arrays = {k: stored[k] for k in stored.files if k != name}
    if shape is not None:
        arrays[name] = np.ones(shape)
    np.savez(path.with_suffix(".npz"), **arrays)
    with pytest.raises(InputError, match="damaged") as caught:
        Fit.load(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize(
    "changes",
    [{"parameters": None}, {"status": "fine"}, {"facts": []}, {"diagnostics": {}}, {"run_ids": []}],
)
def test_words_that_are_no_fit_s_are_said(saved_fit, tmp_path, changes):
    with pytest.raises(InputError, match="damaged"):
        Fit.load(_copied(saved_fit, tmp_path, **changes))


def test_predictions_come_with_intervals_that_hold_the_truth():
    found = fit(two_power_table(200, noise=0.005), level=0.99)
    (estimate,) = found.estimate(n_params=3e9, tokens=3e11)
    truth = 1.8 + 480 / 3e9**0.35 + 2000 / 3e11**0.37
    assert estimate.interval[0] < truth < estimate.interval[1]
    assert estimate.value == pytest.approx(float(found.predict(n_params=3e9, tokens=3e11)))
    assert found.predict_draws(n_params=[3e9, 1e9], tokens=[3e11, 1e11]).shape == (200, 2)


def test_a_loss_that_the_rows_leave_open_has_no_value():
    D = np.geomspace(1e8, 1e11, 12)
    found = fit(two_power_table(12, noise=0.003, n_params=np.full(12, 1e8), tokens=D))
    other, same = found.estimate(n_params=[7e9, 1e8], tokens=[1e11, 1e11])
    assert other.value is None
    assert other.interval is None
    truth = 1.8 + 480 / 1e8**0.35 + 2000 / 1e11**0.37
    assert same.interval[0] < truth < same.interval[1]


def test_a_given_value_tells_what_the_rows_leave_open():
    D = np.geomspace(1e8, 1e11, 12)
    table = two_power_table(12, noise=0.003, n_params=np.full(12, 1e8), tokens=D)
    found = fit(table, laws.get("chinchilla").with_fixed(E=1.8, alpha=0.35))
    assert found.estimate(n_params=7e9, tokens=1e11)[0].value is not None


def test_without_draws_there_are_no_intervals_rather_than_narrow_ones():
    found = fit(two_power_table(), bootstrap=0)
    assert found.draws is None
    assert all(p.interval is None for p in found.parameters.values())
    (estimate,) = found.estimate(n_params=1e9, tokens=1e11)
    assert estimate.interval is None


def test_residuals_are_of_the_rows_that_were_fitted(atlas_fit):
    error = atlas_fit.observations.loss - atlas_fit.predicted
    assert np.abs(error).mean() == pytest.approx(atlas_fit.diagnostics.mean_error)


def test_a_fit_is_read_in_a_terminal(atlas_fit):
    console = Console(width=110, record=True, file=io.StringIO())
    console.print(atlas_fit)
    text = console.export_text()
    assert "ATLAS for swe_Latn: 160 rows of 20 runs, ok" in text
    assert "tau[dan_Latn]" in text
    assert "left out: 480 rows, loss of a language other than swe_Latn" in text
    assert "E=" in repr(atlas_fit)


def test_few_runs_are_warned_of():
    table = two_power_table(40).with_columns(pl.Series("run_id", [f"r{i % 4}" for i in range(40)]))
    assert any(w.startswith("4 runs only") for w in fit(table, bootstrap=20).warnings)
    assert not any("runs only" in w for w in fit(two_power_table(40), bootstrap=20).warnings)
