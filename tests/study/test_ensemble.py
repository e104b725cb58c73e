import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from atlas_scaling.study.ensemble import Ensemble  # noqa: E402
from atlas_scaling.study.learner import Learner  # noqa: E402
from atlas_scaling.study.model import Transformer  # noqa: E402
from atlas_scaling.study.parallel import World  # noqa: E402
from atlas_scaling.study.settings import Hardware  # noqa: E402
from tests.study.tiny import CONFIG, MODEL  # noqa: E402


@pytest.mark.parametrize("z_loss", [0.0, 1e-2])
@pytest.mark.parametrize("gated", [False, True])
def test_members_of_an_ensemble_learn_as_they_would_alone(gated, z_loss):
    shape = MODEL.model_copy(update={"gated": gated, "n_layers": 2})
    config = CONFIG.model_copy(update={"z_loss": z_loss, "grad_clip": 0.5})
    seeds, steps = (3, 4, 5), 30
    batches = torch.randint(32, (steps, 3, 2, 17), generator=torch.Generator().manual_seed(0))
    ensemble = Ensemble(shape, config, seeds=seeds)
    together = [ensemble.step(batches[i], lr=0.01) for i in range(steps)]  # each 2, n
    for number, seed in enumerate(seeds):
        learner = Learner(shape, config, hardware=Hardware(device="cpu"), world=World(), seed=seed)
        alone = [learner.step(batches[i, number], lr=0.01) for i in range(steps)]
        theirs = [one[:, number] for one in together]
        torch.testing.assert_close(torch.stack(theirs), torch.stack(alone), rtol=1e-3, atol=1e-4)
        member = Transformer(shape, seed=0)
        ensemble.copy_member(number, member)
        torch.testing.assert_close(
            dict(member.named_parameters()),
            dict(learner.model.named_parameters()),
            rtol=1e-2,
            atol=1e-4,
        )
