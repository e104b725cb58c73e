"""Answers of the planner as files: pages, pictures, numbers."""

import csv
import io

import numpy as np
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.fitting import fit
from atlas_scaling.planning.allocate_targets import allocate_targets
from atlas_scaling.planning.allocation_budget import Budget
from atlas_scaling.planning.cost import cost
from atlas_scaling.planning.decisions import parameter_decision
from atlas_scaling.planning.expand import expand
from atlas_scaling.planning.next_runs import next_runs
from atlas_scaling.planning.start import start
from atlas_scaling.planning.two_stage import two_stages
from atlas_scaling.report.plan_page import save_plan


def next_answer():
    rng = np.random.Generator(np.random.PCG64(0))
    n = np.repeat([1e7, 3e7, 1e8], 4)
    d = n * np.tile([5, 20, 80, 160], 3)
    loss = (1.7 + 480 / n**0.35 + 2100 / d**0.37) * np.exp(0.003 * rng.standard_normal(12))
    table = {"run_id": [f"r{i}" for i in range(12)], "n_params": n, "tokens": d, "loss": loss}
    fitted = fit(table, "chinchilla", bootstrap=40)
    return next_runs(fitted, parameter_decision(fitted, "alpha"), flops=1e18)


ANSWERS = {
    "expand": lambda: expand(from_languages=8, to_languages=16),
    "start": lambda: start("vi", n_params=2e9, tokens=100e9),
    "allocate": lambda: allocate_targets(
        ["ca"], Budget(flops=1e21), unique={"ca": 1e9}, sources=["es"]
    ),
    "cost": lambda: cost(n_params=2e9, tokens=4e11, devices=64),
    "next": next_answer,
    "schedule": lambda: two_stages(None, flops=1e21, target="ca", sources=["es"]),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_is_a_page_a_picture_and_numbers(name, tmp_path):
    answer = ANSWERS[name]()
    page = save_plan(answer, tmp_path / "plan.html", command="atlas plan …").read_text()
    assert "<svg" in page
    assert answer.source in page.replace("&amp;", "&").replace("&gt;", ">")
    assert "atlas plan …" in page
    assert "http://" not in page.replace("http://www.w3.org", "")  # no request leaves the machine
    assert save_plan(answer, tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")
    assert save_plan(answer, tmp_path / "plan.svg").read_text().startswith("<svg")
    rows = list(csv.DictReader(io.StringIO(save_plan(answer, tmp_path / "plan.csv").read_text())))
    assert rows


def test_the_picture_of_an_allocation_has_its_mixture(tmp_path):
    answer = ANSWERS["allocate"]()
    rows = list(csv.DictReader(io.StringIO(save_plan(answer, tmp_path / "plan.csv").read_text())))
    shares = {
        row["language"]: float(row["share"]) for row in rows if row["figure"] == "plan-shares"
    }
    assert shares["Catalan"] == pytest.approx(answer.mixture["cat_Latn"])


def test_an_unknown_ending_and_a_missing_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match="ending") as caught:
        save_plan(ANSWERS["expand"](), tmp_path / "plan.pdf")
    assert ".html" in caught.value.remedy
    with pytest.raises(InputError, match="cannot be written"):
        save_plan(ANSWERS["expand"](), tmp_path / "none" / "plan.svg")
