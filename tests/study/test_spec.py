import pytest

from atlas_scaling.config import parse_config
from atlas_scaling.errors import InputError
from atlas_scaling.study.design import design_study
from atlas_scaling.study.spec import StudySpec, load_study, packaged_studies

SPEC = """
name: trial
languages: [sv, dan, nob_Latn, es]
corpus: {source: embedded}
tokenizer: {vocab_size: 4096}
sizes:
  s: {n_layers: 2, d_model: 64, n_heads: 4, lr: 0.005}
  m: {n_layers: 4, d_model: 128, n_heads: 4, lr: 0.003}
training: {batch_size: 4}
groups:
  - {kind: monolingual, sizes: [s], tokens: 200k}
"""


def spec(groups: str = "") -> StudySpec:
    return parse_config(SPEC + groups, StudySpec, name="trial.yaml")


def refused(text: str) -> InputError:
    with pytest.raises(InputError) as caught:
        parse_config(text, StudySpec, name="trial.yaml")
    return caught.value


def test_codes_of_any_kind_become_ours_and_counts_are_read_as_written():
    trial = spec()
    assert trial.languages == ("swe_Latn", "dan_Latn", "nob_Latn", "spa_Latn")
    assert trial.groups[0].tokens_of("s") == 200_000


def test_a_pair_is_one_run_half_and_half_whichever_way_it_is_named():
    design = design_study(
        spec("  - {kind: bilingual, pairs: [[swe, dan]], sizes: [s, m], tokens: {s: 2M, m: 1M}}")
    )
    pairs = [run for run in design.runs if run.group == "bilingual"]
    assert [run.run_id for run in pairs] == [
        "pair-dan_Latn-swe_Latn-m-seed0",
        "pair-dan_Latn-swe_Latn-s-seed0",
    ]
    assert pairs[0].mixture == {"dan_Latn": 0.5, "swe_Latn": 0.5}
    assert [run.tokens for run in pairs] == [1_000_000, 2_000_000]


def test_compute_is_six_n_d_with_the_embedding_counted_once():
    run = design_study(spec()).runs[0]
    # 4096*64 embedding; per layer 4*64^2 attention, 2*64*256 feed-forward, two norms; a last norm
    n_params = 4096 * 64 + 2 * (4 * 64**2 + 2 * 64 * 256 + 2 * 64) + 64
    assert run.n_params == n_params
    assert run.flops == 6.0 * n_params * 200_000


def test_every_base_comes_before_what_continues_it():
    groups = """
  - {kind: continued, languages: [spa], sizes: [s], tokens: 100k, seeds: [0, 1]}
  - {kind: capacity, sizes: [s], tokens: 100k, seeds: [0, 1]}
"""
    order = [run.run_id for run in design_study(spec(groups)).runs]
    for seed in (0, 1):
        base, after = f"even4-s-seed{seed}", f"continued-spa_Latn-from-even4-s-seed{seed}"
        assert order.index(base) < order.index(after)


def test_a_continued_run_without_its_base_is_refused():
    trial = spec("  - {kind: continued, languages: [spa], sizes: [m], tokens: 100k}")
    with pytest.raises(InputError, match="not in the study") as caught:
        design_study(trial)
    assert caught.value.value == "even4-m-seed0"


def test_the_same_run_in_two_groups_is_refused():
    trial = spec("  - {kind: monolingual, languages: [sv], sizes: [s], tokens: 1M}")
    with pytest.raises(InputError, match="same run") as caught:
        design_study(trial)
    assert caught.value.value == "mono-swe_Latn-s-seed0"


@pytest.mark.parametrize(
    ("old", "new", "problem", "value"),
    [
        ("languages: [sv,", "languages: [sweedish,", "unknown language code", "sweedish"),
        ("tokens: 200k", "tokens: -5", "above zero", -5),
        ("tokens: 200k", "tokens: many", "not a number", "many"),
        ("sizes: [s]", "sizes: [xl]", "no size 'xl'", None),
        ("batch_size: 4", "batch_size: 0", "greater than 0", 0),
        ("n_heads: 4, lr: 0.005", "n_heads: 3, lr: 0.005", "3 heads of equal size", None),
        ("languages: [sv, dan", "languages: [sv, swe", "more than once: swe_Latn", None),
        ("kind: monolingual", "kind: monolingul", "no such kind", "monolingul"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(old, new, problem, value):
    assert old in SPEC
    error = refused(SPEC.replace(old, new))
    assert problem in error.problem
    assert error.where.startswith("trial.yaml:")
    line = int(error.where.split(":")[1].split(",")[0])
    lines = SPEC.replace(old, new).splitlines()
    assert any(new.split(",")[0] in text for text in lines[line - 1 :]) or line == 1
    if value is not None:
        assert error.value == value


@pytest.mark.parametrize("shares", ["{swe: 0.5, dan: 0.4}", "{swe: 1.5, dan: -0.5}"])
def test_a_mixture_that_is_no_distribution_is_refused(shares):
    group = f"  - {{kind: mixture, name: x, shares: {shares}, sizes: [s], tokens: 1M}}"
    assert "share" in refused(SPEC + group).problem


def test_a_language_outside_the_study_cannot_be_trained_on():
    error = refused(SPEC + "  - {kind: bilingual, pairs: [[sv, ru]], sizes: [s], tokens: 1M}")
    assert "rus_Cyrl is not one of the study's languages" in error.problem


def test_the_packaged_demo_is_the_study_that_its_issue_asks_for():
    demo = load_study(packaged_studies()["demo"])
    design = design_study(demo)
    assert design.n_runs >= 28
    assert len(demo.sizes) == 3
    assert len(demo.languages) >= 6
    assert len({code.split("_")[1] for code in demo.languages}) >= 2
    sizes_alone = {code: set() for code in demo.languages}
    for run in design.runs:
        if run.group == "monolingual":
            sizes_alone[next(iter(run.mixture))].add(run.size)
    assert all(len(sizes) >= 2 for sizes in sizes_alone.values())
    assert {"bilingual", "capacity", "continued"} <= {run.group for run in design.runs}
