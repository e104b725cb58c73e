"""What holds for any allocation, over random laws, texts, budgets and bounds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from atlas_scaling.planning.allocate import allocate
from atlas_scaling.planning.allocation_budget import Budget
from atlas_scaling.planning.language_laws import LanguageLaw
from atlas_scaling.planning.unique_tokens import UniqueTokens

CODES = ("cat_Latn", "spa_Latn", "por_Latn", "fra_Latn")
KINDS = ("mean", "worst", "regret")

few = settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


def logs(low, high):
    return st.floats(np.log(low), np.log(high)).map(lambda x: float(np.exp(x)))


@st.composite
def questions(draw):
    """One to three targets among four languages, each with a law, text and perhaps a bound."""
    n_targets = draw(st.integers(1, 3))
    laws = []
    for code in CODES[:n_targets]:
        others = [c for c in CODES if c != code]
        laws.append(
            LanguageLaw(
                code,
                E=draw(st.floats(0, 1.5)),
                A=draw(logs(100, 5000)),
                alpha=draw(st.floats(0.25, 0.55)),
                B=draw(logs(500, 20000)),
                beta=draw(st.floats(0.25, 0.55)),
                lam=draw(logs(0.03, 1)),
                tau={c: draw(st.floats(0, 0.8)) for c in others},
            )
        )
    unique = {c: UniqueTokens(draw(logs(1e8, 1e12)), "given") for c in CODES}
    return {
        "laws": tuple(laws),
        "budget": Budget(flops=draw(logs(1e19, 1e23))),
        "sources": CODES[n_targets:],
        "unique": unique,
    }


def plan(question, **changes):
    asked = question | changes
    return allocate(asked.pop("laws"), asked.pop("budget"), **asked)


@few
@given(questions(), st.sampled_from(KINDS), st.data())
def test_shares_sum_to_one_and_every_limit_holds(question, kind, data):
    floors = {c: data.draw(st.floats(0, 0.3)) for c in CODES[:3]}
    caps = {c: data.draw(st.floats(0.35, 1)) for c in CODES[:3]}
    epochs = data.draw(logs(1, 50))
    text = sum(count.tokens for count in question["unique"].values()) * epochs
    assume(text > 1e9)
    floor_tokens = min(
        question["unique"][c].tokens * epochs / max(floors[c], 1e-9) for c in CODES[:3]
    )
    flops = 6 * 1e9 * min(text, floor_tokens) / 3  # leaves room for a model
    answer = plan(
        question,
        budget=Budget(flops=flops),
        objective=kind,
        floors=floors,
        caps=caps,
        max_epochs=epochs,
    )
    assert sum(answer.mixture.values()) == pytest.approx(1, abs=1e-9)
    for code in CODES[:3]:
        assert floors[code] - 1e-6 <= answer.mixture.get(code, 0) <= caps[code] + 1e-6
    assert max(answer.epochs.values()) <= epochs * (1 + 1e-5)
    assert 6 * answer.n_params * answer.tokens == pytest.approx(flops, rel=1e-6)


@few
@given(questions(), st.sampled_from(["mean", "worst"]), st.floats(1.05, 4))
def test_more_compute_is_never_worse(question, kind, more):
    flops = question["budget"].flops
    answer = plan(question, objective=kind)
    larger = plan(question, objective=kind, budget=Budget(flops=flops * more))
    assert larger.objective.value <= answer.objective.value + 1e-8


@few
@given(questions(), st.sampled_from(KINDS), st.permutations(range(4)))
def test_the_order_of_languages_does_not_matter(question, kind, order):
    answer = plan(question, objective=kind)
    laws = [question["laws"][i] for i in order if i < len(question["laws"])]
    codes = [CODES[i] for i in order]
    other = plan(
        question,
        objective=kind,
        laws=tuple(laws),
        sources=[c for c in codes if c in question["sources"]],
        unique={c: question["unique"][c] for c in codes},
    )
    assert other.objective.value == pytest.approx(answer.objective.value, abs=1e-7)


@few
@given(questions(), st.sampled_from(KINDS), st.integers(0, 2**32 - 1))
def test_no_random_plan_is_better(question, kind, seed):
    """The law written out again, at random sizes and mixtures of the same budget."""
    answer = plan(question, objective=kind)
    rng = np.random.Generator(np.random.PCG64(seed))
    w = rng.dirichlet(np.full(4, 0.5), 4000)
    near = np.array([answer.mixture.get(c, 0) for c in CODES])
    w[::2] = 0.95 * near + 0.05 * w[::2]
    N = answer.n_params * np.exp(rng.normal(0, 0.5, len(w)))
    D = question["budget"].flops / 6 / N
    U = np.array([question["unique"][c].tokens for c in CODES])
    losses = []
    for law in question["laws"]:
        d = D[:, None] * w
        repeats = np.maximum(d / U - 1, 0)
        worth = np.minimum(d, U) + U * (1 - np.exp(-law.lam * repeats)) / law.lam
        q = worth @ np.array([1.0 if c == law.language else law.tau[c] for c in CODES])
        losses.append(law.E + law.A / N**law.alpha + law.B / q**law.beta)
    losses = np.array(losses)
    if kind == "mean":
        values = losses.mean(axis=0)
    else:
        own = np.array([answer.own_best.get(law.language, 0) for law in question["laws"]])
        values = (losses - own[:, None]).max(axis=0)
    assert values.min() >= answer.objective.value - 1e-8


@few
@given(questions(), st.sampled_from(KINDS), st.data())
def test_what_a_number_costs_is_what_the_changed_question_finds(question, kind, data):
    """The mean value theorem: what a step finds lies between what is said at its two ends.

    Within a step a language may come into use, so neither end alone need tell.
    """
    answer = plan(question, objective=kind)
    law = question["laws"][0]
    code = data.draw(st.sampled_from(CODES))
    flops, step = question["budget"].flops, 1e-3
    steps = np.log(1.1) / np.log(1 + step)
    text = UniqueTokens(question["unique"][code].tokens * (1 + step), "given")
    changes = {
        "flops": ({"budget": Budget(flops=flops * (1 + step))}, steps),
        f"unique[{code}]": ({"unique": question["unique"] | {code: text}}, steps),
        f"beta[{law.language}]": (
            {"laws": (replace(law, beta=law.beta + 1e-4), *question["laws"][1:])},
            0.01 / 1e-4,
        ),
    }
    if code != law.language:
        more = replace(law, tau=law.tau | {code: law.tau[code] + 1e-3})
        changes[f"tau[{law.language} <- {code}]"] = (
            {"laws": (more, *question["laws"][1:])},
            0.1 / 1e-3,
        )
    for name, (change, scale) in changes.items():
        changed = plan(question, objective=kind, **change)
        found = (changed.objective.value - answer.objective.value) * scale
        said = sorted(
            {one.name: one.objective_change for one in at.sensitivity}.get(name, 0.0)
            for at in (answer, changed)
        )
        slack = 2e-5 + 0.05 * max(map(abs, said))
        assert said[0] - slack <= found <= said[1] + slack, name
