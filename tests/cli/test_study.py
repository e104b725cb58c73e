import json
from pathlib import Path

import pytest

from atlas_scaling.cli.main import main
from atlas_scaling.study.folder import StudyFolder
from atlas_scaling.study.lock import Lock
from atlas_scaling.study.spec import load_study
from tests.run_files import eval_line, write_run
from tests.study.trial import SPEC, spec


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


def test_a_design_is_shown_with_its_tokens_and_compute(capsys, tmp_path):
    path = tmp_path / "trial.yaml"
    path.write_text(SPEC)
    code, out, _ = run(capsys, "study", "design", str(path))
    assert code == 0
    assert "mono-nob_Latn-s-seed0" in out
    assert "4 runs, 800k tokens" in out


def test_no_run_s_name_is_cut_short(capsys, tmp_path):
    path = tmp_path / "trial.yaml"
    mixture = "kind: mixture, name: of-many-languages, shares: {sv: 1}, decays: [0.5, 1]"
    path.write_text(SPEC + f"  - {{{mixture}, sizes: [s], tokens: 200k}}\n")
    _, design, _ = run(capsys, "study", "design", str(path))
    StudyFolder.begin(tmp_path / "study", load_study(path))
    _, status, _ = run(capsys, "study", "status", str(tmp_path / "study"))
    name = "mix-of-many-languages-s-seed0-at100k" * 2
    runs = write_run(tmp_path, [eval_line(2, 4096, "swe_Latn", 5.0)], run_id=name)
    _, check, _ = run(capsys, "runs", "check", str(runs))
    assert [text for text in (design, status, check) if "…" in text] == []


def test_a_design_as_json_has_every_run(capsys):
    code, out, _ = run(capsys, "study", "design", "demo", "--json")
    design = json.loads(out)
    assert code == 0
    assert design["n_runs"] == len(design["runs"]) >= 28
    assert design["flops"] == pytest.approx(sum(one["flops"] for one in design["runs"]))


@pytest.mark.parametrize("verb", ["design", "run"])
def test_a_run_shorter_than_its_warmup_is_refused_by_name_before_any_text_is_fetched(
    verb, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert "tokens: 200k" in SPEC
    (tmp_path / "trial.yaml").write_text(SPEC.replace("tokens: 200k", "tokens: 20k"))
    code, _, err = run(capsys, "study", verb, "trial.yaml")
    assert code == 2
    assert "no room" in err
    assert "-s-seed0" in err
    assert [path.name for path in tmp_path.iterdir()] == ["trial.yaml"]


@pytest.mark.parametrize("asked", ["cuda", "mps"])
def test_a_device_that_is_not_here_is_refused_before_any_text_is_fetched(
    asked, capsys, tmp_path, monkeypatch
):
    torch = pytest.importorskip("torch", reason="training needs the extra [train]")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trial.yaml").write_text(SPEC)
    code, _, err = run(capsys, "study", "run", "trial.yaml", "-O", f"hardware={{device: {asked}}}")
    assert code == 2
    assert f"there is no {asked} device here" in err
    assert "hardware.device" in err
    assert [path.name for path in tmp_path.iterdir()] == ["trial.yaml"]


def test_resources_for_a_size_that_the_study_lacks_are_refused_with_its_sizes(
    capsys, tmp_path, monkeypatch
):
    for package in ("torch", "submitit"):
        pytest.importorskip(package, reason="needs the extras [train] and [slurm]")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trial.yaml").write_text(SPEC)
    words = ("--engine", "slurm", "-O", "sizes={s: {time: 2h}, large: {gpus: 8}}")
    code, _, err = run(capsys, "study", "run", "trial.yaml", *words)
    assert code == 2
    assert "no size 'large'" in err
    assert "engine.sizes" in err
    assert "its sizes are s, m" in err
    assert [path.name for path in tmp_path.iterdir()] == ["trial.yaml"]


def test_a_misspelt_study_is_answered_with_those_there_are(capsys):
    code, _, err = run(capsys, "study", "run", "dmeo")
    assert code == 2
    assert "demo" in err


def test_the_status_of_a_study_comes_from_its_folder_alone(capsys, tmp_path):
    StudyFolder.begin(tmp_path, spec())
    write_run(
        tmp_path / "runs",
        [eval_line(2, 4096, "swe_Latn", 5.0)],
        run_id="mono-swe_Latn-s-seed0",
        state="failed",
    )
    code, out, _ = run(capsys, "study", "status", str(tmp_path), "--json")
    status = json.loads(out)
    assert code == 0
    assert status["states"] == {"failed": 1, "waiting": 3}
    assert status["tokens_planned"] == 800_000
    assert "3 waiting" in run(capsys, "study", "status", str(tmp_path))[1]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("run", "demo", "--engine", "slum"), "no such engine"),
        (("run", "demo", "--engine", "slurm", "-O", "partiton=x"), "unknown key 'partiton'"),
        (("run", "demo", "--workers", "0"), "greater than or equal to 1"),
        (("resume", "nowhere"), "no study began"),
        (("status", "nowhere", "--watch"), "no study began"),
        (("cancel", "nowhere"), "no study began"),
    ],
)
def test_wrong_words_of_the_engine_commands_are_refused(
    capsys, tmp_path, monkeypatch, words, problem
):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "study", *words)
    assert code == 2
    assert problem in err
    assert list(tmp_path.iterdir()) == []


def test_an_engine_whose_package_is_missing_says_what_to_install(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("atlas_scaling.study.engines.make.find_spec", lambda name: None)
    code, _, err = run(capsys, "study", "run", "demo", "-o", str(tmp_path / "x"), "-e", "slurm")
    assert code == 2
    assert "pip install 'atlas-scaling[slurm]'" in err


def test_the_status_of_a_slurm_study_away_from_the_cluster_says_so(capsys, tmp_path, monkeypatch):
    StudyFolder.begin(tmp_path, spec())
    (tmp_path / "engine.yaml").write_text("engine: {kind: slurm, partition: gpu}\n")
    (tmp_path / "slurm").mkdir()
    line = {"job": "7_0", "runs": ["mono-swe_Latn-s-seed0"], "submitted_at": "2026-11-26T10:00:00"}
    (tmp_path / "slurm" / "jobs.jsonl").write_text(json.dumps(line) + "\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    code, out, _ = run(capsys, "study", "status", str(tmp_path), "--json")
    status = json.loads(out)
    assert (code, status["engine"], status["states"]) == (0, "slurm", {"waiting": 4})
    assert "squeue is not on the PATH" in status["warnings"][0]


def test_another_engine_is_refused_while_nobody_can_say_what_the_first_has_in_hand(
    capsys, tmp_path, monkeypatch
):
    StudyFolder.begin(tmp_path, spec())
    (tmp_path / "engine.yaml").write_text("engine: {kind: slurm}\n")
    (tmp_path / "slurm").mkdir()
    line = {"job": "7", "runs": ["mono-swe_Latn-s-seed0"], "submitted_at": "2026-11-26T10:00:00"}
    (tmp_path / "slurm" / "jobs.jsonl").write_text(json.dumps(line) + "\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = run(capsys, "study", "resume", str(tmp_path), "--engine", "local")
    assert code == 1
    assert "slurm, which carried this study out before, does not answer" in err
    assert "engine.yaml" in err


def test_commands_to_copy_quote_the_folder_of_a_study(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = StudyFolder.begin(Path("a study"), spec())
    failed = {"state": "failed", "tokens": 0, "updated_at": "2026-11-23T10:00:00+00:00"}
    directory = study.run_dir("mono-swe_Latn-s-seed0")
    directory.mkdir(parents=True)
    (directory / "status.json").write_text(json.dumps(failed))
    _, out, _ = run(capsys, "study", "status", "a study")
    assert "atlas study resume 'a study'" in out


def test_nothing_is_cancelled_where_nothing_works(capsys, tmp_path):
    StudyFolder.begin(tmp_path, spec())
    code, out, _ = run(capsys, "study", "cancel", str(tmp_path), "--json")
    assert (code, json.loads(out)["n_cancelled"]) == (0, 0)
    assert "Nothing works" in run(capsys, "study", "cancel", str(tmp_path))[1]


def test_watching_a_study_in_which_nothing_runs_shows_it_once(capsys, tmp_path):
    StudyFolder.begin(tmp_path, spec())
    code, out, _ = run(capsys, "study", "status", str(tmp_path), "--watch")
    assert code == 0
    assert "4 waiting" in out


def test_leaving_the_watch_does_not_sound_as_if_the_study_was_stopped(
    capsys, tmp_path, monkeypatch
):
    study = StudyFolder.begin(tmp_path, spec())
    directory = study.run_dir("mono-swe_Latn-s-seed0")
    directory.mkdir(parents=True)

    def ctrl_c(seconds: float) -> None:
        raise KeyboardInterrupt

    with Lock(directory, what="run"):
        monkeypatch.setattr("time.sleep", ctrl_c)
        code, out, err = run(capsys, "study", "status", str(tmp_path), "--watch")
    assert (code, err) == (0, "")
    assert "1 running" in out


def test_a_check_of_runs_says_what_is_there_and_what_is_wrong(capsys, tmp_path):
    path = write_run(tmp_path, [eval_line(2, 4096, "swe_Latn", 5.0)])
    code, out, _ = run(capsys, "runs", "check", str(tmp_path))
    assert code == 0
    assert "No problem found" in out
    with (path / "evals.jsonl").open("a") as file:
        file.write('{"step": 3')
    assert (
        "evals.jsonl:2: torn last line, dropped" in run(capsys, "runs", "check", str(tmp_path))[1]
    )


def test_what_the_system_refuses_is_said_without_a_traceback(capsys, tmp_path):
    path = write_run(tmp_path, [])
    (path / "status.json").unlink()
    (path / "status.json").mkdir()
    code, out, err = run(capsys, "runs", "check", str(tmp_path), "--json")
    assert code == 1
    assert err.startswith("error: the system refuses: Is a directory\n")
    assert json.loads(out)["where"] == str(path / "status.json")


def test_a_file_where_a_run_should_be_is_a_run_that_nobody_holds(capsys, tmp_path):
    study = StudyFolder.begin(tmp_path, spec())
    study.runs_dir.mkdir()
    (study.runs_dir / "mono-swe_Latn-s-seed0").touch()
    code, out, _ = run(capsys, "study", "status", str(tmp_path))
    assert (code, out.count("waiting")) == (0, 5)


def test_the_doctor_answers_in_json(capsys):
    code, out, _ = run(capsys, "doctor", "--json")
    assert code == 0
    assert {"torch", "usable cores"} <= {f["name"] for f in json.loads(out)["findings"]}


def test_the_paper_s_study_is_summed_up_beside_its_printed_counts(capsys):
    code, out, _ = run(capsys, "study", "design", "paper")
    assert code == 0
    assert "719 runs (Table B.1: 774)" in out
    assert "pairs of ten languages" in out
    assert len(out.splitlines()) < 40  # a summary, not seven hundred runs
    code, out, _ = run(capsys, "study", "design", "paper", "--all")
    assert out.count("-seed0") > 719


def test_hours_and_money_follow_from_the_accelerator(capsys):
    options = ("--accelerator", "h100", "--mfu", "0.2", "--price", "3", "--json")
    code, out, _ = run(capsys, "study", "design", "small", *options)
    design = json.loads(out)
    assert code == 0
    assert design["accelerator_hours"] == pytest.approx(design["flops"] / (989.4e12 * 0.2) / 3600)
    assert design["money"] == pytest.approx(3 * design["accelerator_hours"])
    assert not any("assume" in note for note in design["notes"])
    assert design["accelerator_hours"] == pytest.approx(
        sum(one["accelerator_hours"] for one in design["runs"])
    )


@pytest.mark.parametrize(("study", "assumed"), [("small", "40%"), ("demo", "50%")])
def test_hours_that_rest_on_an_assumed_share_of_the_peak_say_so(capsys, study, assumed):
    _, out, _ = run(capsys, "study", "design", study)
    assert f"Note: Hours assume that {assumed} of the peak is reached" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--accelerator", "h1000"], "did you mean 'h100'"),
        (["--mfu", "1.5"], "share of the peak"),
        (["--price", "0"], "price is above zero"),
    ],
)
def test_a_cost_that_makes_no_sense_is_refused(capsys, options, said):
    code, _, err = run(capsys, "study", "design", "demo", *options)
    assert code == 2
    assert said in err


@pytest.mark.parametrize("name", ["demo", "mini", "small", "paper", "many"])
def test_every_packaged_study_expands(capsys, name):
    code, out, _ = run(capsys, "study", "design", name, "--json")
    design = json.loads(out)
    assert code == 0
    assert design["n_runs"] == len({one["run_id"] for one in design["runs"]})
