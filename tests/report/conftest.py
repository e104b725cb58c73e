"""One small planted study, fitted, measured and rendered once for all tests of the report."""

import pytest

from atlas_scaling.fitting.api import fit
from atlas_scaling.fitting.comparison import compare
from atlas_scaling.planning.allocate_targets import allocate_targets
from atlas_scaling.planning.allocation_budget import Budget
from atlas_scaling.planning.expand import expand
from atlas_scaling.planning.start import start
from atlas_scaling.report.document import render
from atlas_scaling.report.from_runs import build_report
from atlas_scaling.report.provenance import Provenance
from atlas_scaling.runs.store import read_runs
from atlas_scaling.transfer.pairs import matrices_from_runs
from tests.report.planted import write_study

FIGURES = (
    "loss-curves",
    "predicted-against-measured",
    "residuals",
    "parameter-intervals",
    "laws-compared",
    "transfer-heatmap",
    "bts-curves",
    "optimal-trajectories",
    "degradation",
    "plan-alternatives",
    "budget-frontier",
    "expand-frontier",
    "crossover",
    "scratch-against-continued",
    "crossover-laws",
)
LANGUAGES = ("swe_Latn", "dan_Latn", "rus_Cyrl")


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "runs"
    write_study(
        folder,
        languages=LANGUAGES,
        sizes=("s", "m", "l"),
        pairs=(("dan_Latn", "swe_Latn"), ("rus_Cyrl", "swe_Latn")),
    )
    (folder.parent / "study.yaml").write_text("name: planted  # <b>as run</b>\n")
    return folder


@pytest.fixture(scope="session")
def runs(study_folder):
    return read_runs(study_folder)


@pytest.fixture(scope="session")
def fits(runs):
    return [
        fit(runs, law, target=target, bootstrap=30)
        for target in ("swe_Latn", "dan_Latn")
        for law in ("chinchilla", "atlas")
    ]


@pytest.fixture(scope="session")
def matrix(runs):
    return matrices_from_runs(runs.frame)


@pytest.fixture(scope="session")
def comparison(runs):
    return compare(runs, ["chinchilla", "atlas"], targets=["swe_Latn"])


@pytest.fixture(scope="session")
def allocation():
    return allocate_targets(["cat_Latn"], Budget(flops=1e21), unique={"cat_Latn": 10e9})


@pytest.fixture(scope="session")
def report(runs, fits, matrix, comparison, allocation):
    return build_report(
        runs,
        fits=fits,
        matrix=matrix,
        comparison=comparison,
        plans=[
            allocation,
            expand(from_languages=8, to_languages=16),
            start("vi", n_params=2e9, tokens=400e9),
        ],
        provenance=Provenance(
            command="atlas demo", spec="name: planted\n", wall_seconds=581, machine="2 cores"
        ),
    )


@pytest.fixture(scope="session")
def page(report):
    return render(report)
