"""Long work: uploads, imports, fits, comparisons and matrices, with progress and an end."""

import json
import shlex
import time
from pathlib import Path

import httpx
import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.fitting.api import fit
from atlas_scaling.fitting.comparison import compare
from atlas_scaling.fitting.pooled import fit_pooled
from atlas_scaling.fitting.result import Fit
from atlas_scaling.runs.store import read_runs
from atlas_scaling.web.tasks import preview
from tests.cli.program import as_json

OCTETS = {"content-type": "application/octet-stream"}


def ended(address, job_id, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job = httpx.get(f"{address}/api/jobs/{job_id}").json()
        if job["state"] in ("done", "failed", "cancelled"):
            return job
        time.sleep(0.1)
    raise AssertionError(f"still {job['state']}: {job['what']}")


def run(address, **task):
    started = httpx.post(f"{address}/api/jobs", json=task)
    assert started.status_code == 200, started.text
    return ended(address, started.json()["id"])


def result_of(address, **task):
    job = run(address, **task)
    assert job["state"] == "done", job["error"]
    return job["result"]


def send(address, name, content):
    sent = httpx.post(f"{address}/api/uploads?name={name}", content=content, headers=OCTETS)
    assert sent.status_code == 200, sent.text
    return sent.json()["upload"]


WIDE = "run,N,D,loss_sv,loss_da,w_sv,w_da\n" + "".join(
    f"r{i},{n:.0f},{d:.0f},{2 + 40 / n**0.3 + 100 / d**0.3},{2 + 40 / n**0.3 + 90 / d**0.3},.5,.5\n"
    for i, n in enumerate((1e6, 4e6, 1.6e7, 6.4e7))
    for d in (1e7, 4e7, 1.6e8, 6.4e8)
)
WIDE_MAP = {"columns": {"run_id": "run", "n_params": "N", "tokens": "D", "loss": "loss_{language}",
                        "mixture": "w_{language}"}}  # fmt: skip


def test_a_fit_by_the_dashboard_is_that_of_python(address, study):
    laws = [{"law": "chinchilla"}, {"law": "atlas", "variant": "other"}]
    task = {"data": "runs", "targets": ["dan_Latn"], "bootstrap": 20, "laws": laws}
    made = result_of(address, kind="fit", **task)["fits"]
    assert [one["law"] for one in made] == ["chinchilla", "atlas other"]
    same = fit(read_runs(study), "chinchilla", target="dan_Latn", bootstrap=20)
    assert made[0]["fit"]["parameters"] == same.to_dict()["parameters"]
    listed = {one["id"]: one for one in httpx.get(f"{address}/api/fits").json()["fits"]}
    assert listed[made[1]["id"]]["saved"] is False
    points = httpx.get(f"{address}/api/fits/{made[0]['id']}/points").json()
    assert points["loss"] == same.observations.loss.tolist()
    assert points["predicted"] == pytest.approx(same.predicted.tolist(), rel=1e-12)


def test_shared_exponents_are_those_of_python(address, study):
    targets = ["dan_Latn", "swe_Latn"]
    task = {"data": "runs", "targets": targets, "bootstrap": 10, "shared": ["alpha", "beta"]}
    laws = [{"law": "chinchilla"}, {"law": "single_power"}]
    result = result_of(address, kind="fit", laws=laws, **task)
    same = fit_pooled(read_runs(study), "chinchilla", targets=targets, bootstrap=10).to_dict()
    (pooled,) = result["pooled"]
    for key in ("shared", "objective", "separate_objective", "n_runs"):
        assert pooled[key] == same[key]
    fits = {one["target"]: one for one in result["fits"] if "fit" in one}
    assert {code: one["fit"] for code, one in fits.items()} == same["fits"]
    kept = httpx.get(f"{address}/api/fits/{fits['dan_Latn']['id']}").json()
    assert kept["parameters"]["alpha"] == pooled["shared"]["alpha"]
    refused = result["fits"][-1]
    assert refused["law"] == "single_power"
    assert refused["error"]["error"] == "InputError"


def test_a_law_that_cannot_be_fitted_says_why_and_the_others_are(address):
    task = {"data": "runs", "targets": ["swe_Latn", "yor_Latn"], "bootstrap": 0}
    made = result_of(address, kind="fit", laws=[{"law": "chinchilla"}], **task)["fits"]
    assert "fit" in made[0]
    assert made[1]["error"]["error"] == "InputError"


def test_a_fit_that_bears_the_name_of_a_saved_one_is_not_mistaken_for_it(address):
    task = {"data": "runs", "targets": ["swe_Latn"], "bootstrap": 0}
    made = result_of(address, kind="fit", laws=[{"law": "chinchilla"}], **task)["fits"][0]
    assert made["id"] != "swe_Latn-chinchilla"  # lies in the study's own folder
    assert httpx.get(f"{address}/api/fits/{made['id']}").json() == made["fit"]


def test_a_fit_is_saved_where_it_was_said(address):
    made = result_of(address, kind="fit", data="runs", targets=["rus_Cyrl"], bootstrap=30,
                     laws=[{"law": "chinchilla"}])["fits"][0]  # fmt: skip
    saved = httpx.post(f"{address}/api/fits/{made['id']}/save", json={"name": "rus-kept"}).json()
    path = Path(saved["path"])
    assert path.name == "rus-kept.json"
    assert Fit.load(path).to_dict() == made["fit"]
    again = httpx.post(f"{address}/api/fits/{made['id']}/save", json={"name": "rus-kept"})
    assert again.status_code == 422


def test_a_comparison_is_that_of_python(address, study):
    task = {
        "data": "runs",
        "targets": ["swe_Latn"],
        "laws": [{"law": "chinchilla"}, {"law": "atlas"}],
    }
    got = result_of(address, kind="compare", **task)
    same = compare(read_runs(study), ["chinchilla", "atlas"], targets=["swe_Latn"]).to_dict()
    assert got == same


FITS = [
    {"laws": [{"law": "chinchilla", "ties": [["alpha", "beta"]]}], "targets": ["swe_Latn"],
     "unit": "bits_per_byte", "bootstrap": 20, "seed": 3},
    {"laws": [{"law": "atlas", "variant": "other"}], "targets": ["swe_Latn", "dan_Latn"],
     "bootstrap": 0},
    {"laws": [{"law": "chinchilla"}], "targets": ["swe_Latn", "dan_Latn"], "bootstrap": 0,
     "shared": ["alpha", "beta"]},
]  # fmt: skip


@pytest.mark.parametrize("task", FITS, ids=["one", "several", "shared"])
def test_fits_are_those_of_their_command_and_their_python(address, task, tmp_path, monkeypatch):
    made = [one["fit"] for one in result_of(address, kind="fit", data="runs", **task)["fits"]]
    body = {"kind": "fit", "data": "runs", **task}
    code = httpx.post(f"{address}/api/fits/code", json=body).json()
    assert code["notes"] == []
    monkeypatch.chdir(tmp_path)
    printed = as_json(*shlex.split(code["command"])[1:])
    assert list(printed.get("fits", {"": printed}).values()) == made
    assert len(list(tmp_path.rglob("*.json"))) == len(made)
    said = []
    exec(code["python"].replace("print(", "said.append("), {"said": said})
    assert json.loads(json.dumps(said)) == made


def test_a_comparison_is_that_of_its_command_and_its_python(address):
    task = {"kind": "compare", "data": "runs", "laws": [{"law": "chinchilla"}, {"law": "kaplan"}],
            "targets": ["swe_Latn"], "unit": "bits_per_byte"}  # fmt: skip
    got = result_of(address, **task)
    code = httpx.post(f"{address}/api/fits/code", json=task).json()
    assert as_json(*shlex.split(code["command"])[1:]) == got
    said = []
    exec(code["python"].replace("print(", "said.append("), {"said": said})
    assert json.loads(json.dumps(said)) == [got]
    variant = task | {"laws": [{"law": "atlas", "variant": "other"}]}
    notes = httpx.post(f"{address}/api/fits/code", json=variant).json()["notes"]
    assert "only Python" in notes[0]


def test_a_wide_table_is_matched_imported_and_fitted(address):
    upload = send(address, "wide.csv", WIDE)
    seen = result_of(address, kind="preview", upload=upload)
    assert [column["name"] for column in seen["columns"]][:3] == ["run", "N", "D"]
    assert seen["map"]["columns"]["loss"] == "loss_{language}"  # what names tell
    assert "tokens" in seen["problem"]["problem"]  # what they do not
    imported = result_of(address, kind="import", upload=upload, map=WIDE_MAP)
    assert imported["summary"]["kept"] == 32
    assert imported["targets"] == ["dan_Latn", "swe_Latn"]
    made = result_of(address, kind="fit", data=upload, targets=["swe_Latn"], bootstrap=0,
                     laws=[{"law": "chinchilla"}])["fits"][0]  # fmt: skip
    assert made["fit"]["n_rows"] == 16


@pytest.mark.parametrize("ending", ["parquet", "tsv", "jsonl"])
def test_other_formats_arrive_too(address, tmp_path, ending):
    path = tmp_path / f"runs.{ending}"
    frame = pl.read_csv(WIDE.encode())
    {
        "parquet": frame.write_parquet,
        "tsv": lambda to: frame.write_csv(to, separator="\t"),
        "jsonl": frame.write_ndjson,
    }[ending](path)
    upload = send(address, path.name, path.read_bytes())
    assert result_of(address, kind="import", upload=upload, map=WIDE_MAP)["summary"]["kept"] == 32


HOSTILE = {
    "no table": ("x.csv", b"\x00\xff\xfe\x00" * 50),
    "no parquet": ("x.parquet", b"PAR1 but not really PAR1"),
    "a pickle": ("x.parquet", b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix"),
    "no row": ("x.csv", b"run,n_params,tokens,loss\n"),
    "too many columns": ("x.csv", b",".join(b"c%d" % i for i in range(6000)) + b"\n1\n"),
    "one endless line": ("x.csv", b"a" * 1_000_000),
    "a formula": ("x.csv", b"n_params,tokens,loss\n=cmd|'/c calc'!A1,1e9,2\n"),
    "broken json": ("x.jsonl", b'{"loss": 1}\n{"loss": [[[[[[\n'),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_end_in_a_message(address, what):
    name, content = HOSTILE[what]
    upload = send(address, name, content)
    job = run(address, kind="import", upload=upload, map={})
    assert job["state"] == "failed"
    assert job["error"]["error"] == "InputError", job["error"]
    assert "/" not in (job["error"]["where"] or ""), "where this server keeps uploads is its own"
    preview = run(address, kind="preview", upload=upload)
    assert preview["state"] in ("done", "failed")
    if preview["state"] == "failed":
        assert preview["error"]["error"] == "InputError", preview["error"]


def test_a_small_parquet_of_very_many_rows_is_refused(address, tmp_path):
    path = tmp_path / "bomb.parquet"
    pl.select(pl.repeat(1.5, 60_000_000).alias("loss")).write_parquet(path)
    assert path.stat().st_size < 3_000_000
    upload = send(address, "bomb.parquet", path.read_bytes())
    job = run(address, kind="import", upload=upload, map={})
    assert "more rows than the dashboard takes" in job["error"]["problem"]


@pytest.mark.parametrize(("ending", "separator"), [("csv", ","), ("tsv", "\t")])
def test_a_table_of_very_many_columns_is_refused_by_its_first_line(tmp_path, ending, separator):
    path = tmp_path / f"wide.{ending}"
    path.write_text(separator.join(f"c{i}" for i in range(100_000)) + "\n1\n")
    with pytest.raises(InputError, match="more columns than the dashboard takes") as refused:
        preview({"path": str(path)}, lambda *said: None)
    assert refused.value.value == 100_000


@pytest.mark.parametrize("name", ["x.pkl", "x.npz", "x.csv.exe", "x", "../../x.sh"])
def test_endings_that_are_no_table_are_refused(address, name):
    sent = httpx.post(f"{address}/api/uploads?name={name}", content=b"x", headers=OCTETS)
    assert sent.status_code == 422
    assert ".parquet" in sent.json()["remedy"]


def test_an_empty_upload_and_a_form_are_refused(address):
    empty = httpx.post(f"{address}/api/uploads?name=x.csv", content=b"", headers=OCTETS)
    assert empty.json()["problem"] == "the file is empty"
    form = httpx.post(f"{address}/api/uploads?name=x.csv", files={"file": b"a,b\n1,2\n"})
    assert form.status_code == 415


def test_a_job_is_cancelled_at_once_and_the_next_one_runs(address):
    task = {"kind": "compare", "data": "runs", "laws": []}
    started = httpx.post(f"{address}/api/jobs", json=task).json()
    while httpx.get(f"{address}/api/jobs/{started['id']}").json()["state"] == "waiting":
        time.sleep(0.05)
    before = time.monotonic()
    cancelled = httpx.delete(f"{address}/api/jobs/{started['id']}").json()
    assert cancelled["state"] == "cancelled"
    assert time.monotonic() - before < 3
    assert run(address, kind="analyze", matrix="matrix")["state"] == "done"


def test_progress_is_told_by_steps(address):
    task = {"kind": "fit", "data": "runs", "targets": ["swe_Latn", "dan_Latn", "rus_Cyrl"],
            "laws": [{"law": "chinchilla"}, {"law": "atlas"}], "bootstrap": 20}  # fmt: skip
    started = httpx.post(f"{address}/api/jobs", json=task).json()
    seen = set()
    while (job := httpx.get(f"{address}/api/jobs/{started['id']}").json())["state"] in (
        "waiting",
        "running",
    ):
        seen.add((job["done"], job["total"]))
        time.sleep(0.02)
    assert job["state"] == "done"
    assert any(total == 6 and done > 0 for done, total in seen), seen


def test_a_matrix_is_measured_and_completed(address):
    measured = result_of(address, kind="matrix")
    assert measured["matrices"][0]["cells"]
    names = [one["id"] for one in httpx.get(f"{address}/api/transfer/matrices").json()["matrices"]]
    assert any(name.startswith("measured-") for name in names)
    done = result_of(address, kind="complete", matrix="published", languages=["eus_Latn"])
    whole = httpx.get(f"{address}/api/transfer/matrices/{done['id']}").json()
    assert "eus_Latn" in whole["targets"]
    assert whole["counts"] == {"published": 72, "estimated": 39 * 38 - 72}


def test_a_worker_that_dies_is_a_message_and_is_replaced(session_on, study):
    session = session_on(study)
    started = session.jobs.start("fit", {"paths": [str(study)], "laws": [{}], "targets": []})
    job = _wait(session, started.id)
    assert job.error["problem"].startswith("this failed for a reason that was not foreseen")
    worker = session.jobs._idle[0]
    worker._process.kill()
    worker._process.join()
    again = session.jobs.start("analyze", {"path": None, "options": {"n_permutations": 99}})
    assert _wait(session, again.id).error["problem"].startswith("the worker ended")
    last = session.jobs.start("analyze", {"path": None, "options": {"n_permutations": 99}})
    assert _wait(session, last.id).state.value == "done"


def _wait(session, job_id):
    for _ in range(600):
        job = session.jobs.view(job_id)
        if job.state.value in ("done", "failed", "cancelled"):
            return job
        time.sleep(0.05)
    raise AssertionError(job.what)
