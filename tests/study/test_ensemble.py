import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from atlas_scaling.study.ensemble import Ensemble  # noqa: E402
from atlas_scaling.study.learner import Learner  # noqa: E402
from atlas_scaling.study.parallel import World  # noqa: E402
from atlas_scaling.study.settings import Hardware  # noqa: E402
from tests.study.tiny import CONFIG, MODEL  # noqa: E402

SEEDS, STEPS = (3, 4, 5), 30


def learner_of(shape, config, seed):
    return Learner(shape, config, hardware=Hardware(device="cpu"), world=World(), seed=seed)


def batches_of(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(32, (STEPS, len(SEEDS), 2, 17), generator=generator)


@pytest.mark.parametrize("z_loss", [0.0, 1e-2])
@pytest.mark.parametrize("gated", [False, True])
def test_members_of_an_ensemble_learn_as_they_would_alone(gated, z_loss):
    shape = MODEL.model_copy(update={"gated": gated, "n_layers": 2})
    config = CONFIG.model_copy(update={"z_loss": z_loss, "grad_clip": 0.5})
    batches = batches_of()
    members = [learner_of(shape, config, seed) for seed in SEEDS]
    ensemble = Ensemble(members)
    together = [ensemble.step(batches[i], lr=0.01) for i in range(STEPS)]  # each 2, n
    ids, targets = batches[0, 0, :, :-1], batches[0, 0, :, 1:]
    evaluated = ensemble.nats(ids, targets)
    for number, seed in enumerate(SEEDS):
        learner = learner_of(shape, config, seed)
        alone = [learner.step(batches[i, number], lr=0.01) for i in range(STEPS)]
        theirs = [one[:, number] for one in together]
        torch.testing.assert_close(torch.stack(theirs), torch.stack(alone), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(
            evaluated[number], learner.nats(ids, targets), rtol=1e-3, atol=1e-4
        )
        for mine, its in zip(
            members[number].model.parameters(), learner.model.parameters(), strict=True
        ):
            torch.testing.assert_close(mine, its, rtol=1e-2, atol=1e-4)


def test_an_ensemble_goes_on_with_the_optimizers_of_its_learners_and_hands_them_back():
    batches = batches_of(1)
    unbroken = [learner_of(MODEL, CONFIG, seed) for seed in SEEDS]
    members = [learner_of(MODEL, CONFIG, seed) for seed in SEEDS]
    for number in range(len(SEEDS)):
        for step in range(10):
            members[number].step(batches[step, number], lr=0.01)
        for step in range(20):
            unbroken[number].step(batches[step, number], lr=0.01)
    ensemble = Ensemble(members, step=10)
    for step in range(10, 20):
        ensemble.step(batches[step], lr=0.01)
    for mine, its in zip(members, unbroken, strict=True):
        for a, b in zip(mine.model.parameters(), its.model.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-4)
            for moment in ("exp_avg", "exp_avg_sq"):
                torch.testing.assert_close(
                    mine.optimizer.state[a][moment],
                    its.optimizer.state[b][moment],
                    rtol=1e-2,
                    atol=1e-4,
                )
