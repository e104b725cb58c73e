"""The API answers what the command line answers, and refuses in the same words."""

import json
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.cli.program import as_json
from tests.web.conftest import served


def post(address, path, **body):
    return httpx.post(f"{address}/api/{path}", json=body, timeout=30)


ALLOCATIONS = [
    {"targets": ["ca"], "flops": "1e21", "unique": {"ca": "2B"}},
    {"targets": ["sw", "hi"], "flops": 1e21, "objective": "regret", "floors": {"sw": 0.2}},
    {"targets": ["sw"], "n_params": "2B", "tokens": 40e9, "sources": ["en"]},
    {"targets": ["sw", "hi"], "flops": 1e21, "sizes": ["2B", "8B"], "max_epochs": 200},
    {"targets": ["ca", "es"], "flops": 3e20, "served_tokens": 1e11, "weights": {"ca": 2, "es": 1}},
    {"targets": ["ca"], "flops": 1e20, "like": {"ca": "fr"}, "interference": True},
    {"targets": ["swe_Latn"], "flops": 1e15, "fits": ["swe_Latn-atlas"], "unique": {"sv": 1e8}},
]


@pytest.mark.parametrize("question", ALLOCATIONS, ids=",".join)
def test_an_allocation_is_the_one_that_its_command_prints(address, question):
    answer = post(address, "plan/allocate", **question)
    assert answer.status_code == 200, answer.text
    code = post(address, "plan/allocate/code", **question).json()
    assert answer.json() == as_json(*shlex.split(code["command"])[1:])


def test_the_python_of_a_plan_prints_the_same_plan(address):
    question = ALLOCATIONS[-1] | {"matrix": "matrix"}
    code = post(address, "plan/allocate/code", **question).json()
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code["python"].replace("print(plan.to_dict())", DUMP.format("plan")),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == post(address, "plan/allocate", **question).json()


DUMP = "import json; print(json.dumps({}.to_dict()))"

OTHERS = [
    ("expand", {"from_languages": 8, "to_languages": 16, "n_params": "2B", "tokens": "400B"}),
    ("expand", {"from_languages": 8, "to_languages": 64, "capacity_share": 0.3}),
    ("expand", {"from_mixture": {"en": 0.5, "de": 0.5}, "to_mixture": {"en": 0.6, "fr": 0.4}}),
    ("start", {"language": "vi", "n_params": "2B", "tokens": "100B"}),
    ("start", {"language": "is", "n_params": 1e9, "tokens": 4e11, "share": 0.5}),
    ("start", {"language": "is", "n_params": 1e9, "tokens": 4e11,
               "crossovers": {"1B": 1e11, "2B": 2e11}}),
    ("start", {"language": "sv", "tokens": 1e6, "scratch": "mono-swe_Latn-s-seed0",
               "continued": "continued-swe_Latn-from-even3-s-seed0"}),
    ("next", {"fit": "swe_Latn-atlas", "allowance": 1e14, "n_params": 2e7, "tokens": 1e7}),
    ("next", {"fit": "swe_Latn-chinchilla", "allowance": 1e14, "decide": "size", "budget": 1e15}),
    ("next", {"fit": "swe_Latn-atlas", "allowance": 1e14, "decide": "beta", "most_runs": 3}),
    ("next", {"fit": "swe_Latn-atlas", "allowance": 1e14, "n_params": 2e7, "tokens": 1e7,
              "sizes": ["400k", "2M"], "mixture": {"sv": 0.5, "da": 0.5}, "unique": {"sv": 1e6}}),
    ("schedule", {"flops": 1e20, "target": "ca", "sources": ["es"]}),
    ("schedule", {"flops": 1e15, "fit": "swe_Latn-atlas", "n_params": "4M"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "question"), OTHERS)
def test_other_answers_are_those_of_their_commands(address, kind, question):
    answer = post(address, f"plan/{kind}", **question)
    assert answer.status_code == 200, answer.text
    code = post(address, f"plan/{kind}/code", **question).json()
    assert answer.json() == as_json(*shlex.split(code["command"])[1:])


def test_a_schedule_of_two_stages_is_that_of_its_command_and_python(session_on, staged):
    question = {"flops": 1e19, "fit": "two-stage", "unique": {"sv": 5e8}}
    with served(session_on(staged)) as address:
        answer = post(address, "plan/schedule", **question).json()
        code = post(address, "plan/schedule/code", **question).json()
    assert len(answer["schedule"]["stages"]) == 2
    assert answer == as_json(*shlex.split(code["command"])[1:])
    printed = {}
    exec(code["python"].replace("print(", "printed.update("), {"printed": printed})
    assert json.loads(json.dumps(printed)) == answer
    assert "--study SPEC -o stages.yaml" in code["notes"][0]


def test_a_cost_is_that_of_its_command(address):
    answer = post(
        address, "plan/cost", n_params=2e9, tokens=4e11, accelerators=["h100"], devices=64
    )
    command = "plan cost --params 2B --tokens 400B --accelerator h100 --devices 64"
    assert answer.json() == as_json(*command.split())


def test_rankings_are_those_of_the_command(address, study):
    answer = httpx.get(f"{address}/api/transfer/sources?target=ca&top=5").json()
    assert answer == as_json("transfer", "sources", "ca", "--top", "5")
    own = httpx.get(f"{address}/api/transfer/targets?source=sv&matrix=matrix&top=5").json()
    matrix = ["--matrix", str(study / "matrix.csv")]
    assert own == as_json("transfer", "targets", "sv", "--top", "5", *matrix)


def test_a_fit_without_draws_keeps_its_point_answer(address):
    question = {"targets": ["sv"], "flops": 1e15, "fits": ["swe_Latn-atlas"]}
    drawn = post(address, "plan/allocate", **question).json()
    point = post(address, "plan/allocate", **question, draws=False).json()
    assert point["n_params"] == drawn["n_params"]
    assert point["mixture"] == drawn["mixture"]
    assert drawn["loss"]["swe_Latn"]["interval"] is not None
    assert point["loss"]["swe_Latn"]["interval"] is None
    assert point["plan_range"] is None


def test_fifty_plans_at_once_are_all_answered(address):
    questions = [{"targets": ["sw", "hi"], "flops": 1e20 * (1 + i)} for i in range(50)]
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda q: post(address, "plan/allocate", **q), questions))
    assert {answer.status_code for answer in answers} == {200}
    sizes = [answer.json()["n_params"] for answer in answers]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 50


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("plan/allocate", {"targets": ["xx"], "flops": 1e20}, None),
        ("plan/allocate", {"targets": ["ca"]}, "flops"),
        ("plan/allocate", {"targets": ["ca"], "flops": "much"}, "flops"),
        ("plan/allocate", {"targets": ["ca"], "flops": -1}, "flops"),
        ("plan/allocate", {"targets": [], "flops": 1e20}, "targets"),
        ("plan/allocate", {"targets": ["ca"], "flops": 1e20, "flop": 3}, "flop"),
        ("plan/allocate", {"targets": ["ca"], "flops": 1e20, "fits": ["none"]}, "fit"),
        ("plan/allocate", {"targets": ["ca"], "flops": 1e20, "objective": "best"}, "objective"),
        ("plan/allocate", {"targets": ["ca"], "flops": 1e20, "floors": {"ca": 2}}, "floors.ca"),
        ("plan/expand", {"from_languages": 8}, "from_languages, to_languages"),
        ("plan/start", {"language": "vi", "tokens": 1e9}, "n_params"),
        ("plan/cost", {"accelerators": ["abacus"], "flops": 1e20}, "accelerator"),
        ("plan/next", {"fit": "swe_Latn-atlas", "allowance": 1e12}, "n_params, tokens"),
        ("plan/export", {"mixture": {"ca": 1.0}, "to": "papyrus"}, "to"),
        ("jobs", {"kind": "dance"}, "body"),
        ("jobs", {"kind": "fit", "data": "runs", "laws": []}, "fit.laws"),
    ],
)
def test_wrong_input_is_refused_with_the_place_and_a_remedy_or_reason(address, path, body, where):
    answer = post(address, path, **body)
    assert answer.status_code == 422
    said = answer.json()
    assert set(said) == {"error", "problem", "value", "where", "remedy"}
    assert said["error"] == "InputError"
    assert said["problem"]
    if where is not None:
        assert said["where"] == where


def test_what_is_no_json_is_refused_as_such(address):
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{address}/api/plan/expand", content="{", headers=headers)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "problem", "value", "where", "remedy"}


def test_an_unknown_objective_names_the_nearest_one(address):
    answer = post(address, "plan/allocate", targets=["ca"], flops=1e20, objective="meen")
    assert answer.json()["remedy"] == "did you mean 'mean'?"


def test_languages_are_found_by_name_and_code(address):
    found = httpx.get(f"{address}/api/languages?q=swed").json()
    assert found["languages"][0]["code"] == "swe_Latn"
    swahili = httpx.get(f"{address}/api/languages?q=sw").json()["languages"][0]
    assert swahili["code"] == "swa_Latn"
    assert swahili["unique_tokens"] == 770e6  # Table C.1
    both = httpx.get(f"{address}/api/languages?code=sv&code=nb").json()
    assert [one["name"] for one in both["languages"]] == ["Swedish", "Norwegian Bokmål"]


def test_a_matrix_says_of_every_cell_how_it_is_known(address):
    published = httpx.get(f"{address}/api/transfer/matrices/published").json()
    assert published["counts"] == {"published": 72, "estimated": 1334}
    assert len(published["values"]) == len(published["values"][0]) == 38
    own = httpx.get(f"{address}/api/transfer/matrices/matrix").json()
    assert set(own["counts"]) <= {"measured", "censored", "missing"}


def test_a_cell_of_measured_runs_has_its_curve(address):
    query = {"matrix": "matrix", "target": "swe_Latn", "source": "dan_Latn"}
    cell = httpx.get(f"{address}/api/transfer/cell", params=query, timeout=30).json()
    assert cell["curve"]["sources"] == ["dan_Latn"]
    assert cell["curve"]["at"]["bts"] == pytest.approx(cell["cell"]["bts"])
    assert cell["origin"]["name"] == "planted runs"
    published = httpx.get(f"{address}/api/transfer/cell", params=query | {"matrix": "published",
        "target": "spa_Latn", "source": "por_Latn"}).json()  # fmt: skip
    assert published["curve"] is None
    assert published["rounding"] is not None


def test_exports_are_those_of_the_command(address, tmp_path):
    plan = post(address, "plan/allocate", targets=["ca"], flops=1e21, unique={"ca": 2e9}).json()
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan))
    body = {k: plan[k] for k in ("mixture", "tokens", "n_params", "epochs")}
    for to in ("olmo-core", "megatron", "huggingface", "olmix", "atlas"):
        text = post(address, "plan/export", to=to, **body).json()["text"]
        assert text == as_json("plan", "export", str(path), "--to", to)["text"]
