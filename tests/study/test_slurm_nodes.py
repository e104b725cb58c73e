"""A real SLURM of two nodes, and a real study on it whose runs are spread over both.

Both nodes are this machine, so that what tells them apart is what SLURM says: ``SLURMD_NODENAME``.
"""

import contextlib
import os
import re
import signal
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")
pytest.importorskip("submitit", reason="SLURM is reached through the extra [slurm]")

from atlas_scaling.runs.store import read_run  # noqa: E402
from tests.study.slurm_cluster import slurm_cluster, why_not  # noqa: E402
from tests.study.small_study import write_small_study  # noqa: E402
from tests.study.test_slurm_engine import BASE, Study, wait_for  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.skipif(
        not (torch.distributed.is_available() and torch.distributed.is_gloo_available()),
        reason="this PyTorch is built without gloo",
    ),
]
TWO_NODES = ("nodes=2", "runs_per_job=4", "hardware={processes: 2, patience_seconds: 10}")


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return write_small_study(tmp_path_factory.mktemp("spec"), tokens=20_000)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with slurm_cluster(tmp_path_factory.mktemp("slurm"), n_nodes=2) as environment:
        yield environment


@pytest.fixture
def study(spec, cluster, tmp_path):
    environment = {**cluster, "ATLAS_CACHE": str(spec.parent / "cache")}
    return Study(spec, tmp_path / "two", environment)


def test_a_run_over_two_nodes_is_the_run_it_is_alone_whatever_is_killed_and_cancelled(
    study, tmp_path
):
    alone = Study(study.spec, tmp_path / "one", study.environment)
    assert alone.atlas("run", str(study.spec), "-o", str(alone.output))["n_done"] == 4

    study.run(*TWO_NODES)
    first = wait_for(study.training, account=study.account)
    os.kill(wait_for(lambda: process_on(study, "atlas2")), signal.SIGKILL)
    # it is begun again, and the process that holds the run dies too
    again = wait_for(lambda: another(study, than=first), account=study.account)
    os.kill(again["pid"], signal.SIGKILL)
    third = wait_for(lambda: another(study, than=again), account=study.account)
    os.kill(third["pid"], signal.SIGSTOP)  # not to be done before scancel, which wakes it first
    ways = "one of the processes that train it died|ended with signal 9"
    assert len(re.findall(ways, study.log())) == 2

    assert study.atlas("cancel", str(study.output))["n_cancelled"] == 2
    wait_for(lambda: not study.slurm("squeue", "-h", "-o", "%i"))
    stopped = study.state(BASE)
    assert stopped["state"] == "stopped", study.account()
    assert "CANCELLED" in stopped["reason"]
    assert process_on(study, "atlas2") is None

    assert study.resume()["n_done"] == 4
    log = "".join(path.read_text() for path in (study.output / "logs").glob("job-*.log"))
    assert "Warning" not in log
    for name in (BASE, "mono-swe_Latn-s-seed0", "mono-spa_Latn-s-seed0"):
        early = [
            [row.loss for row in read_run(one.output / "runs" / name).rows if row.step <= 80]
            for one in (alone, study)
        ]  # later, training has amplified what rounding began
        assert len(early[0]) == 10
        assert early[1] == pytest.approx(early[0], rel=1e-4)


def another(study: Study, *, than: dict) -> dict | None:
    """The status of a run that trains in another process than before."""
    status = study.training()
    return status if status is not None and status["pid"] != than["pid"] else None


def process_on(study: Study, node: str) -> int | None:
    """A process of a run of the study that SLURM started on a node, if there is one."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_text().split("\0")
            is_one = "atlas_scaling.study.companions" in words and "srun" not in words[0]
            if not is_one or str(study.output) not in words:
                continue
            if f"SLURMD_NODENAME={node}" in (path / "environ").read_text().split("\0"):
                return int(path.name)
    return None
