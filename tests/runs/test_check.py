from atlas_scaling.runs.check import check_runs
from tests.run_files import eval_line, write_run


def test_a_sound_run_has_no_problem(tmp_path):
    write_run(tmp_path, [eval_line(2, 4096, "swe_Latn", 5.0)])
    report = check_runs(tmp_path)
    assert report.n_runs == 1
    assert report.n_with_problems == 0
    assert report.states == {"done": 1}
    assert report.runs[0].final_loss == 5.0


def test_the_final_loss_is_the_mean_over_the_languages_trained_on(tmp_path):
    lines = [
        eval_line(2, 4096, "swe_Latn", 5.0),
        eval_line(2, 4096, "dan_Latn", 6.0),
        eval_line(2, 4096, "spa_Latn", 9.0),
    ]
    write_run(tmp_path, lines, mixture={"swe_Latn": 0.5, "dan_Latn": 0.5})
    assert check_runs(tmp_path).runs[0].final_loss == 5.5


def test_each_kind_of_damage_is_named(tmp_path):
    torn = write_run(tmp_path, [eval_line(1, 2048, "swe_Latn", 6.0)], run_id="torn")
    with (torn / "evals.jsonl").open("a") as file:
        file.write('{"step": 2')
    write_run(tmp_path, [], run_id="empty")
    write_run(tmp_path, [eval_line(1, 2048, "swe_Latn", -1.0)], run_id="negative", state="failed")
    write_run(tmp_path, [eval_line(1, 2048, "swe_Latn", 6.0)], run_id="orphan", base_run="nowhere")
    report = check_runs(tmp_path)
    problems = {run.run_id: " | ".join(run.problems) for run in report.runs}
    assert "torn last line" in problems["torn"]
    assert "loss is -1.0" in problems["negative"]
    assert "failed" in problems["negative"]
    assert "no evaluation yet" in problems["empty"]
    assert problems["orphan"] == ""
    assert report.problems == ("orphan continues nowhere, which is not here",)
    assert report.n_with_problems == 3


def test_runs_of_two_tokenizers_are_said_not_to_compare_per_token(tmp_path):
    write_run(tmp_path, [eval_line(1, 2048, "swe_Latn", 6.0)])
    other = {"name": "other", "vocab_size": 8192, "sha256": "cc"}
    write_run(tmp_path, [eval_line(1, 2048, "swe_Latn", 6.0)], run_id="b", tokenizer=other)
    assert any("bits per byte" in problem for problem in check_runs(tmp_path).problems)


def test_one_id_in_two_places_is_a_problem_and_not_a_crash(tmp_path):
    for place in ("a", "b"):
        write_run(tmp_path / place, [eval_line(1, 2048, "swe_Latn", 6.0)])
    assert "claimed by" in check_runs(tmp_path).problems[0]
