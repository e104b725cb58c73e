import json

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

import atlas_scaling.study.ensemble as ensemble_module  # noqa: E402
from atlas_scaling.runs.record import RunState  # noqa: E402
from atlas_scaling.study.settings import Hardware  # noqa: E402
from atlas_scaling.study.train import train, train_together  # noqa: E402
from atlas_scaling.study.training_run import Assignment  # noqa: E402
from tests.study.tiny import CONFIG, EVALS, MODEL, TEXTS, eval_lines, record  # noqa: E402

MIXTURES = {
    "both": {"swe_Latn": 0.5, "spa_Latn": 0.5},
    "swe": {"swe_Latn": 1.0},
    "spa": {"spa_Latn": 1.0},
}
CPU = Hardware(device="cpu")


def assignments(folder, **fields):
    return [
        Assignment(
            folder / name,
            record(name, mixture=mixture, seed=seed),
            MODEL,
            CONFIG,
            {code: TEXTS[code] for code in mixture},
            EVALS,
            **fields,
        )
        for seed, (name, mixture) in enumerate(MIXTURES.items())
    ]


def stop_at(look):
    looks = iter(range(1, 1 << 30))
    return lambda: next(looks) == look


def evaluations(folder):
    return {name: [json.loads(line) for line in eval_lines(folder / name)] for name in MIXTURES}


def require_same(found, expected, rel):
    for name, rows in expected.items():
        assert len(found[name]) == len(rows)
        for row, other in zip(found[name], rows, strict=True):
            assert row | {"loss": 0, "bits_per_byte": 0} == other | {"loss": 0, "bits_per_byte": 0}
            assert row["loss"] == pytest.approx(other["loss"], rel=rel)
            assert row["bits_per_byte"] == pytest.approx(other["bits_per_byte"], rel=rel)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    for one in assignments(folder):
        assert train(one, hardware=CPU).state is RunState.DONE
    return evaluations(folder)


def test_runs_trained_together_have_the_losses_they_have_alone(alone, tmp_path):
    ended = train_together(assignments(tmp_path), hardware=CPU)
    assert {name: status.state for name, status in ended.items()} == dict.fromkeys(
        MIXTURES, RunState.DONE
    )
    require_same(evaluations(tmp_path), alone, rel=1e-3)
    tokens = ended["both"].tokens_by_language
    assert tokens == {"swe_Latn": 1024, "spa_Latn": 1024}


@pytest.mark.parametrize("option", ["compile", "checkpoint_activations"])
def test_what_larger_runs_of_a_study_need_does_not_hinder_small_ones(option, alone, tmp_path):
    train_together(assignments(tmp_path), hardware=CPU.model_copy(update={option: True}))
    require_same(evaluations(tmp_path), alone, rel=1e-3)


def test_a_batch_too_large_for_memory_is_taken_in_parts(alone, tmp_path, monkeypatch):
    monkeypatch.setattr(ensemble_module, "TOKENS_AT_A_TIME", 1)
    train_together(assignments(tmp_path), hardware=CPU)
    require_same(evaluations(tmp_path), alone, rel=1e-3)


def test_stopped_together_and_gone_on_together_is_bit_for_bit_the_unbroken(tmp_path):
    train_together(assignments(tmp_path / "unbroken"), hardware=CPU)
    stopped = train_together(
        assignments(tmp_path / "broken"), hardware=CPU, should_stop=stop_at(20)
    )
    assert {(status.state, status.step) for status in stopped.values()} == {(RunState.STOPPED, 20)}
    train_together(assignments(tmp_path / "broken"), hardware=CPU)
    for name in MIXTURES:
        assert eval_lines(tmp_path / "broken" / name) == eval_lines(tmp_path / "unbroken" / name)


def test_runs_begun_alone_are_finished_together_from_where_each_is(alone, tmp_path):
    for one, steps in zip(assignments(tmp_path), (9, 9, 30), strict=True):
        train(one, hardware=CPU, should_stop=stop_at(steps))
    ended = train_together(assignments(tmp_path), hardware=CPU)
    assert {status.state for status in ended.values()} == {RunState.DONE}
    require_same(evaluations(tmp_path), alone, rel=1e-3)


def test_runs_begun_together_are_finished_alone(alone, tmp_path):
    train_together(assignments(tmp_path), hardware=CPU, should_stop=stop_at(20))
    for one in assignments(tmp_path):
        train(one, hardware=CPU)
    require_same(evaluations(tmp_path), alone, rel=1e-3)


def test_one_that_diverges_fails_and_does_not_touch_the_others(alone, tmp_path):
    base = Assignment(tmp_path / "base", record("base"), MODEL, CONFIG, TEXTS, EVALS)
    train(base, hardware=CPU)
    (weights,) = (tmp_path / "base" / "checkpoints").rglob("weights-*")
    spoilt = {name: torch.full_like(one, torch.nan) for name, one in load_file(weights).items()}
    with safe_open(weights, "pt") as file:
        metadata = file.metadata()
    save_file(spoilt, weights, metadata)
    both, swe, spa = assignments(tmp_path)
    from_it = Assignment(
        swe.run_dir,
        swe.record.model_copy(update={"base_run": "base"}),
        MODEL,
        CONFIG,
        swe.texts,
        EVALS,
        init_from=tmp_path / "base",
    )
    ended = train_together([both, from_it, spa], hardware=CPU)
    assert ended["swe"].state is RunState.FAILED
    assert "diverged" in ended["swe"].reason
    assert not (tmp_path / "swe" / "evals.jsonl").exists()
    rest = {name: rows for name, rows in alone.items() if name != "swe"}
    found = {name: [json.loads(x) for x in eval_lines(tmp_path / name)] for name in rest}
    require_same(found, rest, rel=1e-3)
