"""The best size, tokens and mixture for some targets under a budget."""

import numpy as np
import pytest

from atlas_scaling.planning.allocate import allocate
from atlas_scaling.planning.allocation_budget import Budget
from atlas_scaling.planning.unique_tokens import UniqueTokens
from tests.planning.two_targets import BUDGET, CAT, SOURCES, SPA, UNIQUE, law, plan


def test_a_plan_spends_its_budget_on_a_mixture_that_sums_to_one():
    answer = plan()
    assert 6 * answer.n_params * answer.tokens == pytest.approx(1e21)
    assert sum(answer.mixture.values()) == pytest.approx(1)
    for code, share in answer.mixture.items():
        assert answer.epochs[code] == pytest.approx(share * answer.tokens / UNIQUE[code].tokens)


def test_the_loss_is_that_of_the_law_written_out():
    answer = plan(unique={})  # nothing repeats
    w, D, N = answer.mixture, answer.tokens, answer.n_params
    q = D * (w.get("cat_Latn", 0) + 0.3 * w.get("spa_Latn", 0) + 0.2 * w.get("por_Latn", 0))
    expected = 0.7 + 1500 / N**0.45 + 9000 / q**0.45
    assert answer.loss["cat_Latn"].value == pytest.approx(expected)
    assert answer.objective.value == pytest.approx(expected)


def test_a_source_enters_where_the_target_s_text_is_spent():
    little = plan(unique=UNIQUE | {"cat_Latn": UniqueTokens(0.5e9, "given")})
    much = plan(unique=UNIQUE | {"cat_Latn": UniqueTokens(500e9, "given")})
    assert little.mixture["spa_Latn"] > 0.3
    assert much.mixture == {"cat_Latn": pytest.approx(1.0)}


def test_a_usual_mixture_that_breaks_a_limit_says_so():
    for limits in ({"caps": {"cat_Latn": 0.2}}, {"max_epochs": 1.0}):
        answer = plan(**limits)
        alone = answer.alternatives["target_only"]
        assert not alone.keeps_limits
        assert any("target_only" in w and "what the limits cost" in w for w in answer.warnings)
    assert answer.alternatives["proportional"].keeps_limits
    free = plan()
    assert all(other.keeps_limits for other in free.alternatives.values())
    assert not any("limits" in w for w in free.warnings)


def test_no_usual_mixture_is_better():
    for kind in ("mean", "worst", "regret"):
        answer = plan((CAT, SPA), objective=kind)
        assert {"uniform", "target_only", "proportional", "temperature", "unimax"} == set(
            answer.alternatives
        )
        for other in answer.alternatives.values():
            assert other.objective.value >= answer.objective.value - 1e-9
            assert 6 * other.n_params * other.tokens == pytest.approx(1e21)


def test_weights_turn_the_mixture_to_the_heavier_target():
    even = plan((CAT, SPA))
    heavy = plan((CAT, SPA), weights={"ca": 5, "es": 1})
    assert heavy.mixture["cat_Latn"] > even.mixture["cat_Latn"]
    assert heavy.loss["cat_Latn"].value < even.loss["cat_Latn"].value


def test_the_worst_objective_levels_the_targets_where_it_can():
    answer = plan((CAT, SPA), objective="worst", unique={})
    losses = [loss.value for loss in answer.loss.values()]
    assert answer.objective.value == pytest.approx(max(losses))
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_regret_is_over_each_target_s_own_best():
    answer = plan((CAT, SPA), objective="regret")
    for code, one in (("cat_Latn", CAT), ("spa_Latn", SPA)):
        alone = allocate([one], BUDGET, sources=("cat_Latn", *SOURCES), unique=UNIQUE)
        assert answer.own_best[code] == pytest.approx(alone.loss[code].value, abs=1e-8)
    regrets = [answer.loss[c].value - answer.own_best[c] for c in answer.own_best]
    assert answer.objective.value == pytest.approx(max(regrets))
    assert regrets[0] == pytest.approx(regrets[1], abs=1e-6)


def test_floors_and_caps_hold():
    free = plan((CAT, SPA))
    floored = plan((CAT, SPA), floors={"por": 0.2})
    assert floored.mixture["por_Latn"] == pytest.approx(0.2, abs=1e-6)
    capped = plan((CAT, SPA), caps={"es": 0.1})
    assert capped.mixture["spa_Latn"] == pytest.approx(0.1, abs=1e-6)
    assert min(floored.objective.value, capped.objective.value) > free.objective.value


def test_a_limit_of_epochs_holds():
    free = plan()
    limited = plan(max_epochs=2)
    assert free.epochs["cat_Latn"] > 4
    assert limited.epochs["cat_Latn"] <= 2 * (1 + 1e-6)
    assert limited.objective.value > free.objective.value


def test_a_fixed_size_is_kept_and_the_best_of_listed_sizes_is_taken():
    free = plan()
    fixed = plan(budget=Budget(flops=1e21, n_params=3e9))
    assert fixed.n_params == pytest.approx(3e9)
    assert fixed.objective.value > free.objective.value
    sizes = (0.1e9, 0.5e9, 1e9, 2e9, 8e9)
    listed = plan(budget=Budget(flops=1e21, sizes=sizes))
    alone = {n: plan(budget=Budget(flops=1e21, n_params=n)).objective.value for n in sizes}
    assert listed.n_params == pytest.approx(min(alone, key=alone.get))


def test_fixed_tokens_leave_the_size_to_the_budget():
    answer = plan(budget=Budget(flops=1e21, tokens=50e9))
    assert answer.tokens == 50e9
    assert answer.n_params == pytest.approx(1e21 / 6 / 50e9)
    assert answer.frontier == ()


def test_size_and_tokens_alone_give_a_mixture():
    answer = plan(budget=Budget(n_params=1e9, tokens=50e9))
    assert (answer.n_params, answer.tokens) == (pytest.approx(1e9), 50e9)
    assert answer.flops == pytest.approx(3e20)


def test_serving_makes_the_model_smaller():
    served = plan(budget=Budget(flops=1e21, inference_tokens=2e12))
    assert served.n_params < plan().n_params
    assert served.n_params * (6 * served.tokens + 2 * 2e12) == pytest.approx(1e21)


def test_the_frontier_gets_better_with_the_budget_and_holds_the_plan():
    for kind in ("mean", "regret"):
        answer = plan((CAT, SPA), objective=kind)
        flops = [point.flops for point in answer.frontier]
        assert flops == sorted(flops)
        losses = [point.loss["cat_Latn"] for point in answer.frontier]
        assert losses == sorted(losses, reverse=True)
        own = next(p for p in answer.frontier if p.flops == 1e21)
        assert own.n_params == answer.n_params
        assert own.objective == pytest.approx(answer.objective.value)
        ten = plan((CAT, SPA), budget=Budget(flops=1e22), objective=kind)
        assert answer.frontier[-1].objective == pytest.approx(ten.objective.value, abs=1e-7)


def test_the_same_question_has_the_same_answer():
    one, other = (plan((CAT, SPA)).to_dict() for _ in range(2))
    assert one == other


def test_draws_give_intervals_and_the_chance_to_be_better():
    laws = (
        law("cat_Latn", draws=100, seed=1, tau={"spa_Latn": 0.3, "por_Latn": 0.2}),
        law("spa_Latn", draws=100, seed=2, B=8000.0, tau={"cat_Latn": 0.25, "por_Latn": 0.3}),
    )
    answer = plan(laws)
    for code, loss in answer.loss.items():
        low, high = loss.interval
        assert low < loss.value < high, code
    assert answer.plan_range.n_draws == 100
    low, high = answer.plan_range.n_params
    assert low < answer.n_params < high
    assert answer.plan_range.expected_regret >= 0
    chances = [other.probability_plan_better for other in answer.alternatives.values()]
    assert all(0 <= chance <= 1 for chance in chances)
    assert max(chances) > 0.9


def test_without_draws_there_are_no_intervals_and_no_chances():
    answer = plan().to_dict()
    assert answer["loss"]["cat_Latn"]["interval"] is None
    assert answer["plan_range"] is None
    assert answer["alternatives"]["uniform"]["probability_plan_better"] is None


def test_what_a_repeat_is_worth_and_what_was_left_out_are_said():
    answer = plan((CAT,))
    lam, epochs = 0.1, answer.epochs["cat_Latn"]
    assert answer.repeat_worth["cat_Latn"] == pytest.approx(np.exp(-lam * (epochs - 1)))
    # at the optimum a repeat is worth what a fresh token of the best source is, if that is used
    if "spa_Latn" in answer.mixture:
        assert answer.repeat_worth["cat_Latn"] == pytest.approx(0.3, rel=1e-3)
    much = plan(unique=UNIQUE | {"cat_Latn": UniqueTokens(500e9, "given")})
    assert {code: one[0].tau for code, one in much.left_out.items()} == {
        "spa_Latn": 0.3,
        "por_Latn": 0.2,
    }


def test_an_independent_search_of_sizes_and_shares_finds_no_better_plan():
    """The law written out again, over a fine grid of both targets, one source, N and epochs."""
    answer = plan((CAT, SPA), sources=("por_Latn",), floors={"ca": 0.05}, caps={"es": 0.6})
    U = {code: count.tokens for code, count in UNIQUE.items()}
    grid = np.arange(0, 1.0001, 0.01)
    ca, es = np.meshgrid(grid, grid, indexing="ij")
    pt = 1 - ca - es
    allowed = (pt >= -1e-9) & (ca >= 0.05) & (es <= 0.6)
    best = np.inf
    for N in answer.n_params * np.exp(np.linspace(-0.5, 0.5, 51)):
        D = 1e21 / 6 / N
        worth = {}
        for code, share in (("cat_Latn", ca), ("spa_Latn", es), ("por_Latn", np.maximum(pt, 0))):
            d, u = share * D, U[code]
            repeats = np.maximum(d / u - 1, 0)
            worth[code] = np.where(d <= u, d, u * (1 + (1 - np.exp(-0.1 * repeats)) / 0.1))
        q_ca = worth["cat_Latn"] + 0.3 * worth["spa_Latn"] + 0.2 * worth["por_Latn"]
        q_es = worth["spa_Latn"] + 0.25 * worth["cat_Latn"] + 0.3 * worth["por_Latn"]
        with np.errstate(divide="ignore"):
            loss = 0.5 * (0.7 + 1500 / N**0.45 + 9000 * q_ca**-0.45) + 0.5 * (
                0.72 + 1500 / N**0.45 + 8000 * q_es**-0.45
            )
        best = min(best, float(loss[allowed].min()))
    assert answer.objective.value <= best + 1e-9
    assert answer.objective.value == pytest.approx(best, abs=2e-4)


def test_floors_and_caps_leave_room_under_a_limit_of_epochs_where_a_larger_model_does():
    few = UNIQUE | {"por_Latn": UniqueTokens(1e9, "given")}
    answer = plan(unique=few, floors={"pt": 0.25}, caps={"es": 0.5}, max_epochs=2)
    assert answer.mixture["por_Latn"] >= 0.25 - 1e-6
    assert answer.tokens <= 8e9 * (1 + 1e-5)  # a quarter of it is two passes over 1B
    by_size = [
        plan(
            budget=Budget(flops=1e21, n_params=float(n)),
            unique=few,
            floors={"pt": 0.25},
            caps={"es": 0.5},
            max_epochs=2,
        ).objective.value
        for n in np.geomspace(2.1e10, 1e11, 12)
    ]
    assert answer.objective.value <= min(by_size) + 1e-9


def test_a_mixture_that_is_the_plan_itself_is_neither_better_nor_worse():
    alone = law("cat_Latn", draws=50, seed=1)
    answer = plan((alone,), sources=())
    assert answer.alternatives["uniform"].probability_plan_better == 0.5


def test_a_mixture_that_few_would_try_is_found_where_interference_leaves_no_other():
    """Catalan's little text saturates; more than some Spanish would cancel it."""
    ca = law("cat_Latn", lam=0.5, tau={"spa_Latn": -0.2})
    es = law("spa_Latn", lam=0.5, tau={"cat_Latn": -0.2})
    text = {"cat_Latn": UniqueTokens(1e8, "given"), "spa_Latn": UniqueTokens(1e12, "given")}
    answer = allocate([ca, es], Budget(flops=1e21, n_params=3e9), unique=text)
    d = {code: share * answer.tokens for code, share in answer.mixture.items()}
    worth = 1e8 * (1 + (1 - np.exp(-0.5 * (d["cat_Latn"] / 1e8 - 1))) / 0.5)
    assert worth - 0.2 * d["spa_Latn"] > 0
    shares = np.linspace(1e-4, 1, 20001)
    d_es = shares * answer.tokens
    worth = 1e8 * (1 + (1 - np.exp(-0.5 * np.maximum((answer.tokens - d_es) / 1e8 - 1, 0))) / 0.5)
    q_ca, q_es = worth - 0.2 * d_es, d_es - 0.2 * worth
    fine = (q_ca > 0) & (q_es > 0)
    data = 9000 * (q_ca[fine] ** -0.45 + q_es[fine] ** -0.45) / 2
    assert answer.objective.value <= 0.7 + 1500 / 3e9**0.45 + data.min() + 1e-9


def test_limits_on_text_that_bend_the_path_do_not_keep_from_an_optimum():
    """No plan was found here: the text of three languages runs out at once, hardly repeated."""
    cat = law(
        "cat_Latn",
        E=0.38941343464483513,
        A=1108.8338004566535,
        alpha=0.4310778903148711,
        B=723.324709228292,
        beta=0.2772884225037673,
        lam=0.31301649446075314,
        tau={
            "spa_Latn": 0.023607172185414,
            "por_Latn": 0.6556623119777355,
            "fra_Latn": 0.5285949340812827,
        },
    )
    spa = law(
        "spa_Latn",
        E=0.1679807099396518,
        A=485.2792276623514,
        alpha=0.5100845737655681,
        B=500.0,
        beta=0.5205268191897148,
        lam=1.0,
        tau={
            "cat_Latn": 0.001,
            "por_Latn": 0.12718909982795598,
            "fra_Latn": 0.6173129440116407,
        },
    )
    tokens = {
        "cat_Latn": 485165195.4097903,
        "spa_Latn": 63283815319.613174,
        "por_Latn": 2285111111.922103,
        "fra_Latn": 957250612.273664,
    }
    epochs = 1.0001000050001667
    answer = plan(
        (cat, spa),
        Budget(flops=2.02430304746214e19),
        sources=("por_Latn", "fra_Latn"),
        unique={code: UniqueTokens(n, "given") for code, n in tokens.items()},
        floors={
            "cat_Latn": 0.047938841465812,
            "spa_Latn": 0.23286613146644936,
            "por_Latn": 0.0870612417414746,
        },
        caps={
            "cat_Latn": 0.7337476262893539,
            "spa_Latn": 0.7657793125188135,
            "por_Latn": 0.5704029795127215,
        },
        max_epochs=epochs,
    )
    # all text of three languages, the rest Spanish: so many hardly repeated tokens at each D
    used = {code: n * epochs for code, n in tokens.items() if code != "spa_Latn"}
    D = np.linspace(sum(used.values()) / 0.76, sum(used.values()) / 0.24, 100_001)
    mixed = D - sum(used.values())
    losses = []
    for one in (cat, spa):
        worth = {code: 1.0 if code == one.language else one.tau[code] for code in tokens}
        q = sum(worth[code] * n for code, n in used.items()) + worth["spa_Latn"] * mixed
        N = 2.02430304746214e19 / 6 / D
        losses.append(one.E + one.A / N**one.alpha + one.B / q**one.beta)
    allowed = mixed / D >= 0.23286613146644936
    best = np.mean(losses, axis=0)[allowed].min()
    assert answer.objective.value <= best + 1e-6
