"""The maps in ``docs/maps`` on the public measurements they are written for."""

from pathlib import Path

import polars as pl
import pytest

from atlas_scaling.fitting import fit
from atlas_scaling.runs.importers.column_map import load_map
from atlas_scaling.runs.importers.importing import import_runs
from atlas_scaling.runs.importers.summary import Imported
from atlas_scaling.runs.store import value_of

MAPS = Path(__file__).resolve().parents[3] / "docs" / "maps"

# Rows found, rows kept, runs: counts of shared/data/README.md, and for what `only` takes of the
# files themselves (240 points of Epoch's fit, 182 of the paper's, 512 runs x 13 domains).
COUNTS = {
    "chinchilla_epoch.csv": (245, 240, 240),
    "datablations.csv": (308, 182, 182),
    "gadre_overtrain.csv": (832, 832, 104),
    "regmix.parquet": (14392, 512 * 13, 512),
    "zhou_mix_repeat.csv": (100, 100, 100),
}


def imported(shared_data: Path, name: str) -> Imported:
    columns = load_map((MAPS / name).with_suffix(".yaml"))
    return import_runs(shared_data / name, columns=columns)


@pytest.mark.parametrize("name", COUNTS)
def test_each_table_is_imported_with_a_short_map(shared_data, name):
    result = imported(shared_data, name)
    summary = result.summary
    assert (summary.found, summary.kept, summary.n_runs) == COUNTS[name]
    assert summary.found == summary.kept + sum(d.rows for d in summary.dropped)
    assert (
        not result.frame.select("loss", "tokens", "n_params", "mixture")
        .null_count()
        .sum_horizontal()
        .item()
    )
    assert not any("unit" in note for note in summary.notes)


def test_the_losses_are_those_of_the_source(shared_data):
    frame = imported(shared_data, "gadre_overtrain.csv").frame
    source = pl.read_csv(shared_data / "gadre_overtrain.csv")
    assert frame["loss"].sort().to_list() == source["loss"].sort().to_list()
    german = frame.filter(pl.col("language") == "c4_german")
    assert german.height == source.filter(pl.col("eval_domain") == "val_de-en_100").height


def test_weights_rounded_in_the_source_sum_to_one(shared_data):
    result = imported(shared_data, "regmix.parquet")
    shares = result.frame["mixture"].list.eval(pl.element().struct.field("value")).list.sum()
    assert shares.to_numpy() == pytest.approx(1.0, rel=1e-12)
    assert any("0.996" in note and "1.003" in note for note in result.summary.notes)
    source = pl.read_parquet(shared_data / "regmix.parquet").filter(
        pl.col("run_id").cast(pl.String) == "1m_train_1"
    )
    row = result.frame.filter(pl.col("run_id") == "1m_train_1").head(1)
    assert value_of(row, "mixture", "pile_cc")[0] == pytest.approx(
        source["w_pile_cc"][0] / source["w_sum"][0]
    )


def test_unique_tokens_go_to_the_small_corpus(shared_data):
    frame = imported(shared_data, "zhou_mix_repeat.csv").frame
    wikipedia = frame.filter(pl.col("language") == "wikipedia")
    unique = value_of(wikipedia, "unique_tokens", "wikipedia")
    # shared/data/README.md: 116 881 107 tokens, or that divided by the subsample.
    assert (unique * wikipedia["subsample"]).unique().to_list() == pytest.approx([116881107.0])


def test_an_imported_table_gives_the_reference_fit(shared_data):
    found = fit(imported(shared_data, "chinchilla_epoch.csv"), law="chinchilla", bootstrap=0)
    # shared/data/chinchilla_reference_optimum.json
    assert found.values["E"] == pytest.approx(1.81721809901, rel=1e-6)
    assert found.values["alpha"] == pytest.approx(0.347310498882, rel=1e-6)
    assert found.values["B"] == pytest.approx(2143.41736336, rel=1e-5)


@pytest.mark.parametrize("path", sorted(MAPS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_map_in_the_documentation_is_one(path):
    assert load_map(path).columns or load_map(path).set.given()
