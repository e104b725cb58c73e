"""The packaged study of the paper against the tables as they are printed."""

import csv
import json
from pathlib import Path

import pytest

from atlas_scaling.languages import normalise
from atlas_scaling.published.experiments import EXPERIMENTS
from atlas_scaling.published.mixtures import capacity_mixtures, unimax_mixture
from atlas_scaling.study.design import design_study
from atlas_scaling.study.paper import beside_published
from atlas_scaling.study.spec import load_study, study_path

SHARED = Path(__file__).parents[3] / "shared" / "published"
beside = pytest.mark.skipif(
    not SHARED.exists(), reason="the published tables are not beside the checkout"
)


@pytest.fixture(scope="module")
def paper():
    return load_study(study_path("paper"))


@pytest.fixture(scope="module")
def design(paper):
    return beside_published(design_study(paper))


def group(paper, label):
    return next(one for one in paper.groups if one.label == label)


@beside
def test_the_rows_are_those_of_table_b1():
    with (SHARED / "table_b1_experiments.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [
        (row["tag"], row["vocab"], row["train_data"], int(row["printed_n_exps"])) for row in rows
    ] == [(row.tag, row.vocabulary, row.text, row.n_runs) for row in EXPERIMENTS]
    assert sum(row.n_runs for row in EXPERIMENTS) == 774


@beside
def test_counts_are_those_of_the_declared_sets(design):
    with (SHARED / "table_b1_experiments.csv").open() as file:
        declared = [int(row["n_exps_from_declared_sets"]) for row in csv.DictReader(file)]
    ours = [one.n_runs for one in design.groups]
    # 50v0 stands for the 48 languages that are not listed, and 14 pairs follow from the definition
    assert [b - a for a, b in zip(declared, ours, strict=True)] == [0, 0, 0, 2, 0, -11, 0, 2, 0]
    # made once: single languages (7), target pairs among the ten languages (14) and continued runs
    # (12) at scale 34
    assert [one.n_shared for one in design.groups] == [0, 0, 0, 7, 0, 14, 0, 0, 12]
    assert design.n_runs == sum(ours) - 33 == 719


@beside
def test_sets_of_languages_and_scales_are_those_that_the_paper_lists(paper):
    sets = json.loads((SHARED / "language_sets.json").read_text())
    codes = {name: [normalise(code) for code in sets[name]] for name in ("L_mono", "mixture_50v0")}
    assert list(group(paper, "mono, own vocabulary").languages) == codes["L_mono"]
    assert list(paper.evaluated) == codes["mixture_50v0"]
    for label, name in (
        ("mono, own vocabulary", "S_full"),
        ("capacity", "S_part"),
        ("pairs across sizes", "S_part"),
        ("continued across sizes", "S_min"),
    ):
        scales = [paper.sizes[size].scale for size in group(paper, label).sizes]
        assert scales == sets[name]
    pairs = {
        tuple(normalise(code) for code in pair.split("/"))
        for pair in sets["L_target_pairs_by_definition"]
    }
    assert set(group(paper, "pairs across sizes").pairs) == pairs


def test_capacity_sets_and_unimax_languages_are_those_of_tables_b5_and_b4(paper):
    sets = dict(group(paper, "capacity").listed())
    assert {name: set(codes) for name, codes in sets.items()} == {
        one.version: set(one.languages) for one in capacity_mixtures()
    }
    assert set(paper.languages) == set(unimax_mixture())


@beside
def test_batches_and_tokens_follow_table_b2(paper, design):
    table = json.loads((SHARED / "table_b2_hyperparameters.json").read_text())
    least = table["derived"]["tokens_at_30k_steps"]
    for size in paper.sizes:
        training = paper.training_of(size)
        n_params = paper.model_of(size).n_params
        rule = next(
            row["batch"]
            for row in table["batch_size_sequences"]
            if n_params < row.get("params_lt", float("inf"))
        )
        assert training.batch_size == rule
        assert training.lr == table["base_learning_rate"]
        assert training.warmup_tokens == table["warmup_steps"] * rule * table["sequence_length"]
        tokens = {run.tokens for run in design.runs if run.size == size}
        assert tokens == {least[str(rule)]} | ({10**12} if size == "s34" else set())


def test_every_run_has_a_name_that_a_directory_can_have(design):
    names = [run.run_id for run in design.runs]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) < 200


def test_the_unimax_runs_have_the_printed_rates(design):
    run = next(run for run in design.runs if run.run_id == "unimax-s34-seed0")
    assert run.tokens == 10**12
    assert run.mixture["eng_Latn"] == pytest.approx(0.05, rel=1e-3)
    assert sum(one.base_run == "unimax-s34-seed0" for one in design.runs) == 50
