import pytest

from atlas_scaling.config import dump_config, parse_config
from atlas_scaling.errors import InputError
from atlas_scaling.study.design import design_study
from atlas_scaling.study.spec import StudySpec, load_study, packaged_studies
from tests.study.trial import SPEC, spec


def refused(text: str) -> InputError:
    with pytest.raises(InputError) as caught:
        parse_config(text, StudySpec, name="trial.yaml")
    return caught.value


def test_codes_of_any_kind_become_ours_and_counts_are_read_as_written():
    trial = spec()
    assert trial.languages == ("swe_Latn", "dan_Latn", "nob_Latn", "spa_Latn")
    assert trial.tokens_of(trial.groups[0], "s") == 200_000


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


def test_steps_are_tokens_by_the_batch_of_each_size():
    text = SPEC.replace("m: {n_layers", "m: {batch_size: 16, n_layers")
    text += "  - {kind: capacity, sizes: [s, m], steps: 1k}"
    runs = design_study(parse_config(text, StudySpec, name="trial.yaml")).runs
    assert {run.size: run.tokens for run in runs if run.group == "capacity"} == {
        "s": 1000 * 4 * 128,
        "m": 1000 * 16 * 128,
    }


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
    with pytest.raises(InputError, match="same run in different ways") as caught:
        design_study(trial)
    assert caught.value.value == "mono-swe_Latn-s-seed0: 200000 and 1000000 tokens"


def test_a_run_that_two_groups_name_alike_is_made_once():
    design = design_study(
        spec("  - {kind: monolingual, languages: [sv, dan], sizes: [s, m], tokens: 200k}")
    )
    assert design.n_runs == len(design.runs) == 6
    assert [(group.n_runs, group.n_shared) for group in design.groups] == [(4, 0), (4, 2)]
    assert design.tokens == sum(group.tokens for group in design.groups) == 1_200_000


def test_a_mixture_in_stages_has_the_shares_of_its_parts_over_the_whole_run():
    design = design_study(
        spec("""
  - kind: mixture
    name: late
    stages:
      - {fraction: 0.75, shares: {sv: 0.8, dan: 0.2}}
      - {fraction: 0.25, shares: {dan: 0.4, es: 0.6}}
    sizes: [s]
    tokens: 1M
""")
    )
    run = next(run for run in design.runs if run.run_id == "mix-late-s-seed0")
    assert run.mixture == pytest.approx({"swe_Latn": 0.6, "dan_Latn": 0.25, "spa_Latn": 0.15})
    assert [stage.fraction for stage in run.stages] == [0.75, 0.25]
    assert run.stages[1].mixture == {"dan_Latn": 0.4, "spa_Latn": 0.6}


def test_a_mixture_by_rule_waits_for_the_text_to_be_counted():
    design = design_study(
        spec("  - {kind: unimax, languages: [sv, dan, es], max_epochs: 2, sizes: [s], tokens: 1M}")
    )
    run = next(run for run in design.runs if run.group == "unimax")
    assert run.mixture is None
    assert run.languages == ("dan_Latn", "spa_Latn", "swe_Latn")
    # two epochs of 50k Danish tokens, and the others share the rest
    counted = run.resolved({"dan_Latn": 50_000, "swe_Latn": 10**7, "spa_Latn": 10**9})
    assert counted.mixture == pytest.approx({"dan_Latn": 0.1, "spa_Latn": 0.45, "swe_Latn": 0.45})


def test_fixed_shares_are_kept_and_a_rule_divides_the_rest():
    group = """
  - kind: mixture
    name: m
    sampling: {rule: proportional, fixed: {sv: 0.2}, languages: [sv, dan, es]}
    sizes: [s]
    tokens: 1M
"""
    run = next(one for one in design_study(spec(group)).runs if one.group == "mixture")
    counted = run.resolved({"dan_Latn": 10, "spa_Latn": 30, "swe_Latn": 5})
    assert counted.mixture == pytest.approx({"dan_Latn": 0.2, "spa_Latn": 0.6, "swe_Latn": 0.2})


def test_a_run_with_its_own_vocabulary_is_another_run():
    design = design_study(
        spec("  - {kind: monolingual, languages: [sv], vocabulary: own, sizes: [s], tokens: 1M}")
    )
    own = next(run for run in design.runs if run.vocabulary != "study")
    assert own.run_id == "mono-own-swe_Latn-s-seed0"
    assert (own.vocabulary, own.group) == ("swe_Latn", "monolingual-own-vocabulary")
    assert spec().evaluated_in(own.vocabulary) == ("swe_Latn",)


def test_a_run_may_go_on_from_any_named_mixture():
    groups = """
  - {kind: unimax, sizes: [s], tokens: 1M}
  - {kind: mixture, name: most, shares: {sv: 0.9, dan: 0.1}, sizes: [s], tokens: 1M}
  - {kind: continued, languages: [es], base: unimax, sizes: [s], tokens: 1M}
  - {kind: continued, languages: [es], base: most, sizes: [s], tokens: 1M}
"""
    bases = {run.run_id: run.base_run for run in design_study(spec(groups)).runs if run.base_run}
    assert bases == {
        "continued-spa_Latn-from-unimax-s-seed0": "unimax-s-seed0",
        "continued-spa_Latn-from-mix-most-s-seed0": "mix-most-s-seed0",
    }


def test_a_spec_written_out_is_read_back_equal():
    whole = spec("""
  - {kind: unimax, sizes: [s], tokens: 1M}
  - {kind: mixture, name: t, sampling: {rule: temperature}, sizes: [s], tokens: 1M}
  - {kind: mixture, name: two, sizes: [s], tokens: 1M, stages: [
      {fraction: 0.5, sampling: {rule: uniform}}, {fraction: 0.5, shares: {sv: 1}}]}
  - {kind: capacity, sets: {north: [sv, dan]}, sizes: [s], tokens: 1M}
""")
    assert parse_config(dump_config(whole), StudySpec, name="again.yaml") == whole


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ("{kind: mixture, name: x, sizes: [s], tokens: 1M}", "one of shares, sampling and stages"),
        (
            "{kind: mixture, name: x, sizes: [s], tokens: 1M, stages: "
            "[{fraction: 0.5, shares: {sv: 1}}, {fraction: 0.4, shares: {dan: 1}}]}",
            "sum to 1, these sum to 0.9",
        ),
        (
            "{kind: mixture, name: x, sizes: [s], tokens: 1M, stages: "
            "[{fraction: 0.5}, {fraction: 0.5, shares: {dan: 1}}]}",
            "either shares or sampling",
        ),
        (
            "{kind: mixture, name: x, sizes: [s], tokens: 1M, "
            "sampling: {rule: uniform, max_epochs: 3}}",
            "max_epochs belongs to the rule unimax, not to uniform",
        ),
        (
            "{kind: mixture, name: x, sizes: [s], tokens: 1M, "
            "sampling: {rule: uniform, fixed: {sv: 1.0}}}",
            "sum to less than 1",
        ),
    ],
)
def test_a_mixture_that_is_not_whole_is_refused(group, said):
    assert said in refused(SPEC + f"  - {group}").problem


def test_a_size_may_be_named_by_its_parameters():
    text = SPEC.replace("  m: {", "  1.5M: {")
    assert "1.5M" in parse_config(text, StudySpec, name="trial.yaml").sizes


@pytest.mark.parametrize("scale", [53, -7, 1.5, "big"])
def test_a_scale_that_does_not_exist_is_refused(scale):
    text = SPEC.replace("s: {n_layers: 2, d_model: 64, n_heads: 4,", f"s: {{scale: {scale},")
    error = refused(text)
    assert "no such scale" in error.problem
    assert "Table B.3" in error.remedy


@pytest.mark.parametrize(
    ("old", "new", "problem", "value"),
    [
        ("languages: [sv,", "languages: [sweedish,", "unknown language code", "sweedish"),
        ("tokens: 200k", "tokens: -5", "above zero", -5),
        ("tokens: 200k", "tokens: many", "not a number", "many"),
        ("sizes: [s]", "sizes: [xl]", "groups.0.sizes: no size 'xl'", ["xl"]),
        ("languages: [sv, dan, nob_Latn, es]", "languages: sv", "write a list", "sv"),
        ("  m: {", '  "x m": {', "sizes.x m: a name has letters", "x m"),
        ("  m: {", '  "x/m": {', "sizes.x/m: a name has letters", "x/m"),
        ("name: trial", "name: a trial", "name: a name has letters", "a trial"),
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
    assert error.value == "rus_Cyrl"
    assert error.where == f"trial.yaml:{len(SPEC.splitlines()) + 1}, groups.1"
    assert "add it to languages" in error.remedy


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


def test_a_design_says_tokens_of_each_language_and_once_the_text_is_cut_epochs():
    unimax = "  - {kind: unimax, max_epochs: 2, sizes: [s], tokens: 100k}\n"
    pair = "  - {kind: bilingual, pairs: [[swe, dan]], sizes: [s], tokens: 300k}\n"
    design = design_study(spec(unimax + pair))
    by_id = {run["run_id"]: run for run in design.to_dict()["runs"]}
    of_pair, of_rule = by_id["pair-dan_Latn-swe_Latn-s-seed0"], by_id["unimax-s-seed0"]
    assert of_pair["tokens_by_language"] == {"dan_Latn": 150_000, "swe_Latn": 150_000}
    assert (of_pair["epochs"], of_rule["tokens_by_language"]) == (None, None)
    unique = {"swe_Latn": 50_000, "dan_Latn": 30_000, "nob_Latn": 5_000, "spa_Latn": 1_000_000}
    on_text = design.on_text(lambda _: unique)
    by_id = {run["run_id"]: run for run in on_text.to_dict()["runs"]}
    assert by_id["pair-dan_Latn-swe_Latn-s-seed0"]["epochs"] == {"dan_Latn": 5, "swe_Latn": 3}
    # two epochs of Norwegian are 10,000 tokens; the other three share 90,000
    epochs = by_id["unimax-s-seed0"]["epochs"]
    assert epochs == pytest.approx(
        {"nob_Latn": 2.0, "dan_Latn": 1.0, "swe_Latn": 0.6, "spa_Latn": 0.03}
    )
