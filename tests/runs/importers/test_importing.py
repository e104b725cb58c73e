"""Tables through the whole of ``import_runs``: what comes out, and the account of what does not."""

import math

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from atlas_scaling.errors import InputError
from atlas_scaling.fitting import fit
from atlas_scaling.runs.importers.column_map import ColumnMap
from atlas_scaling.runs.importers.importing import import_runs
from atlas_scaling.runs.importers.log import LoggedRun, log_source
from atlas_scaling.runs.store import SCHEMA
from tests.run_files import eval_line, write_run
from tests.runs.importers.tables import dropped, import_text, mixture

HEADER = "run_id,step,tokens,language,loss,n_params\n"
VALID = ColumnMap(columns={"loss": "valid"})


def test_a_table_with_our_names_needs_no_map(tmp_path):
    imported = import_text(tmp_path, HEADER + "a,10,2e9,sv,2.5,1e9\na,20,4e9,sv,2.25,1e9\n")
    frame = imported.frame
    assert frame.columns == list(SCHEMA)
    assert dict(frame.schema) == dict(pl.Schema(SCHEMA))
    assert frame.select("run_id", "step", "tokens", "language", "loss").rows() == [
        ("a", 10, 2e9, "swe_Latn", 2.5),
        ("a", 20, 4e9, "swe_Latn", 2.25),
    ]
    assert frame["flops"].to_list() == [1.2e19, 2.4e19]  # 6 N D
    assert imported.summary.columns["tokens"] == "tokens"


def logged(folder, *losses):
    (folder / "mine.log").touch()
    run = LoggedRun(run_id="mine", file=str(folder / "mine.log"))
    for number, loss in enumerate(losses, 1):
        run.rows.add(number, {"step": number, "tokens": 1e6 * number, "valid": loss}.items())
    return log_source("my-format", [run], line_word="line")


def test_what_a_reader_of_ones_own_opened_goes_the_same_way(tmp_path):
    imported = import_runs(logged(tmp_path, 3.0, math.nan, 2.5), columns=VALID)
    assert imported.summary.kind == "my-format"
    assert imported.frame["loss"].to_list() == [3.0, 2.5]
    assert [(d.rows, d.first) for d in imported.summary.dropped] == [
        (1, (f"{tmp_path}/mine.log:2",))
    ]


def test_a_source_of_ones_own_without_a_usable_row_is_refused_with_its_place(tmp_path):
    with pytest.raises(InputError, match="no row can be used") as caught:
        import_runs(logged(tmp_path, math.nan), columns=VALID)
    assert "mine.log:1" in str(caught.value)


def test_compute_that_the_table_gives_is_not_replaced(tmp_path):
    text = "n_params,tokens,loss,flops\n1e9,2e9,2.5,1e19\n1e9,4e9,2.4,\n"
    assert import_text(tmp_path, text).frame["flops"].to_list() == [1e19, 2.4e19]


def test_counts_may_be_written_as_people_write_them(tmp_path):
    text = 'run,D,N,L\na,1.5B,400M,2.5\nb,2_000_000_000,"1,300,000",2.5\n'
    columns = {"tokens": "D", "n_params": "N", "loss": "L"}
    frame = import_text(tmp_path, text, columns=columns).frame
    assert frame.select("tokens", "n_params").rows() == [(1.5e9, 4e8), (2e9, 1.3e6)]


def test_a_scale_multiplies(tmp_path):
    imported = import_text(
        tmp_path, "run_id,B,loss\na,0.5,2.5\n", columns={"tokens": "B"}, scale={"tokens": 1e9}
    )
    assert imported.frame["tokens"].to_list() == [5e8]


def test_a_wide_table_is_understood_with_a_short_map(tmp_path):
    text = (
        "name,step,D,loss/en,loss/no,loss/avg,w_en,w_no\n"
        "a,1,1e9,3.0,4.0,3.5,25,75\n"
        "a,2,2e9,2.5,,2.5,25,75\n"
        "b,1,1e9,2.8,3.9,3.4,100,0\n"
    )
    imported = import_text(
        tmp_path,
        text,
        columns={
            "run_id": "name",
            "tokens": "D",
            "loss": "loss/{language}",
            "mixture": "w_{language}",
        },
        languages={"avg": None},
    )
    assert imported.frame.select("run_id", "step", "language", "loss").rows() == [
        ("a", 1, "eng_Latn", 3.0),
        ("a", 1, "nor_Latn", 4.0),
        ("a", 2, "eng_Latn", 2.5),
        ("b", 1, "eng_Latn", 2.8),
        ("b", 1, "nor_Latn", 3.9),
    ]
    assert mixture(imported) == {"eng_Latn": 0.25, "nor_Latn": 0.75}
    assert mixture(imported, 2, "tokens_by_language") == {"eng_Latn": 5e8, "nor_Latn": 1.5e9}
    assert mixture(imported, 4) == {"eng_Latn": 1.0}
    assert imported.summary.found == 5  # the empty cell is not an evaluation


def test_a_table_of_a_tracker_with_one_column_a_run_is_understood(tmp_path):
    # What the web page of W&B exports for a chart.
    text = (
        '"Step","big - eval/loss","big - eval/loss__MIN","small - eval/loss"\n'
        "10,3.0,3.0,3.5\n20,2.5,2.5,\n"
    )
    imported = import_text(
        tmp_path,
        text,
        columns={"loss": "{run_id} - eval/loss"},
        set={"tokens_per_step": 1000},
    )
    assert imported.frame.select("run_id", "step", "tokens", "loss").rows() == [
        ("big", 10, 1e4, 3.0),
        ("big", 20, 2e4, 2.5),
        ("small", 10, 1e4, 3.5),
    ]


def test_tokens_and_losses_on_different_rows_are_joined_by_step(tmp_path):
    text = (
        '{"run": "a", "step": 10, "tokens": 1000}\n'
        '{"run": "a", "step": 15, "eval_loss": 3.0}\n'
        '{"run": "a", "step": 20, "tokens": 3000}\n'
    )
    imported = import_text(tmp_path, text, "log.jsonl")
    # Between 1000 at 10 and 3000 at 20, step 15 has seen 2000.
    assert imported.frame.select("run_id", "step", "tokens").rows() == [("a", 15, 2000.0)]
    assert dropped(imported) == {"no loss on the row": 2}
    assert any("joined by step" in note for note in imported.summary.notes)


def test_tokens_are_rebuilt_from_steps(tmp_path):
    text = "run_id,step,loss\na,10,3\na,20,2\n"
    rebuilt = import_text(tmp_path, text, set={"tokens_per_step": "512k"}).frame
    assert rebuilt["tokens"].to_list() == [5.12e6, 1.024e7]
    product = import_text(tmp_path, text, set={"batch_size": 256, "sequence_length": 2048}).frame
    assert product["tokens"].to_list() == [10 * 256 * 2048.0, 20 * 256 * 2048.0]
    by_run = {"a": {"tokens_per_step": 7}}
    assert import_text(tmp_path, text, runs=by_run).frame["tokens"].to_list() == [70, 140]


def test_tokens_are_rebuilt_from_a_batch_column_that_changes(tmp_path):
    text = "run_id,step,tokens_per_step,loss\na,10,100,3\na,20,300,2\n"
    # 10 steps of 100, then 10 of 300.
    assert import_text(tmp_path, text).frame["tokens"].to_list() == [1000, 4000]


def test_a_restart_in_a_table_is_stitched_when_the_map_says_so(tmp_path):
    text = (
        "run_id,step,tokens,loss\n"
        "a,10,1000,4.0\na,20,2000,3.0\na,30,3000,2.9\n"  # killed; back to step 10, counter at 0
        "a,15,500,3.4\na,25,1500,2.5\n"
    )
    imported = import_text(tmp_path, text, restarts="overlap")
    assert imported.frame.select("step", "tokens", "loss").rows() == [
        (10, 1000, 4.0),
        (15, 1500, 3.4),
        (25, 2500, 2.5),
    ]
    assert list(dropped(imported).values()) == [2]


def test_a_step_counter_that_began_again_is_appended_when_the_map_says_so(tmp_path):
    text = "run_id,step,tokens,loss\na,10,1000,4\na,20,2000,3\na,10,1000,2.5\na,20,2000,2.2\n"
    frame = import_text(tmp_path, text, restarts="append").frame
    assert frame.select("step", "tokens", "loss").rows() == [
        (10, 1000, 4),
        (20, 2000, 3),
        (30, 3000, 2.5),
        (40, 4000, 2.2),
    ]


def test_a_segment_column_says_what_belongs_together(tmp_path):
    text = (
        "run_id,restart,step,tokens,loss\n"
        "a,first,10,1000,4\na,first,20,2000,3\na,second,20,2000,2.5\na,second,30,3000,2\n"
    )
    columns = {"segment": "restart"}
    frame = import_text(tmp_path, text, columns=columns, restarts="overlap").frame
    assert frame["loss"].to_list() == [4, 2.5, 2]


def test_rows_of_a_table_may_stand_in_any_order(tmp_path):
    rows = [f"a,{step},{step * 100},{5 - step / 100}" for step in (30, 10, 40, 20)]
    imported = import_text(tmp_path, "run_id,step,tokens,loss\n" + "\n".join(rows))
    assert imported.frame["step"].to_list() == [10, 20, 30, 40]
    assert not imported.summary.dropped


def test_the_learning_rate_is_the_one_logged_last_before_the_evaluation(tmp_path):
    text = (
        '{"run": "a", "step": 10, "tokens": 10, "lr": 0.5}\n'
        '{"run": "a", "step": 12, "loss": 3.0}\n'
        '{"run": "a", "step": 20, "tokens": 20, "lr": 0.25}\n'
        '{"run": "a", "step": 20, "loss": 2.0}\n'
    )
    assert import_text(tmp_path, text, "log.jsonl").frame["lr"].to_list() == [0.5, 0.25]


def test_facts_fill_in_and_never_override(tmp_path):
    text = "run_id,tokens,loss,n_params\na,1e9,2.5,3e9\nb,1e9,2.5,\nc,1e9,2.5,\n"
    imported = import_text(
        tmp_path,
        text,
        set={"n_params": "2B", "language": "no", "group": "mono", "lr_state": "stable"},
        runs={"c": {"n_params": "1B"}},
    )
    assert imported.frame["n_params"].to_list() == [3e9, 2e9, 1e9]
    assert imported.frame["language"].to_list() == ["nor_Latn"] * 3
    assert imported.frame["group"].to_list() == ["mono"] * 3
    assert imported.frame["lr_state"].to_list() == ["stable"] * 3


def test_rows_are_chosen_by_the_values_of_other_columns(tmp_path):
    text = "run_id,tokens,loss,size,used\na,1e9,2.5,1,True\nb,1e9,2.5,2,True\nc,1e9,2.5,1,False\n"
    imported = import_text(tmp_path, text, only={"size": 1, "used": True}, keep=["size", "used"])
    assert imported.frame["run_id"].to_list() == ["a"]
    assert imported.frame.select("size", "used").rows() == [(1.0, True)]
    assert dropped(imported) == {"left out by only in the map": 2}


def test_data_domains_are_taken_by_their_names(tmp_path):
    text = "run_id,tokens,language,loss,w_github,w_books,w_sum\na,1e9,github,2.5,0.5,0.5,1\n"
    columns = {"mixture": "w_{language}"}
    imported = import_text(tmp_path, text, columns=columns, domains=True, languages={"sum": None})
    assert imported.frame["language"].to_list() == ["github"]
    assert mixture(imported) == {"books": 0.5, "github": 0.5}


def test_a_run_id_may_be_made_of_several_columns(tmp_path):
    text = "size,seed,tokens,loss\n1B,0,1e9,2.5\n1B,1,1e9,2.6\n"
    columns = {"run_id": ["size", "seed"]}
    frame = import_text(tmp_path, text, columns=columns).frame
    assert frame.select("run_id", "seed").rows() == [("1B-0", 0), ("1B-1", 1)]


def test_rows_without_run_and_step_are_runs_of_their_own(tmp_path):
    imported = import_text(
        tmp_path, "n_params,tokens,loss\n1e9,1e9,2.5\n2e9,1e9,2.5\n1e9,1e9,2.5\n"
    )
    assert imported.frame["run_id"].to_list() == ["line 3", "line 4"]
    assert dropped(imported) == {"the same evaluation again": 1}


def test_one_file_a_run_in_a_folder(tmp_path):
    for version, loss in (("version_0", 3.0), ("version_1", 2.0)):
        (tmp_path / version).mkdir()
        (tmp_path / version / "metrics.csv").write_text(f"step,tokens,val_loss\n10,1e6,{loss}\n")
    frame = import_runs(tmp_path).frame
    assert frame.select("run_id", "loss").rows() == [
        ("version_0/metrics", 3.0),
        ("version_1/metrics", 2.0),
    ]


def test_files_of_a_folder_may_have_different_columns(tmp_path):
    (tmp_path / "a.csv").write_text("run_id,tokens,loss\na,1e9,2.5\n")
    (tmp_path / "b.csv").write_text("run_id,tokens,loss,n_params\nb,1e9,2.5,2e9\n")
    assert import_runs(tmp_path).frame["n_params"].to_list() == [None, 2e9]


def test_our_own_runs_need_no_map(tmp_path):
    write_run(tmp_path, [eval_line(1, 1024, "swe_Latn", 5.0), eval_line(2, 2048, "swe_Latn", 4.0)])
    imported = import_runs(tmp_path)
    assert imported.summary.kind == "atlas"
    assert imported.frame["loss"].to_list() == [5.0, 4.0]


def test_a_table_imported_is_fit_as_it_is(tmp_path):
    # Planted: E = 1.7, A = 400, alpha = 0.34, B = 1800, beta = 0.37, without noise.
    rows = [
        f"{n}-{d},{n},{d},sv,{1.7 + 400 / n**0.34 + 1800 / d**0.37!r}"
        for n in (1e7, 1e8, 1e9, 1e10)
        for d in (1e9, 1e10, 1e11, 1e12)
    ]
    imported = import_text(tmp_path, "run_id,n_params,tokens,language,loss\n" + "\n".join(rows))
    found = fit(imported, law="chinchilla", bootstrap=0)
    assert found.values["E"] == pytest.approx(1.7, rel=1e-5)
    assert found.values["beta"] == pytest.approx(0.37, rel=1e-5)


cells = st.one_of(
    st.sampled_from(
        ["", "nan", "NaN", "inf", "-inf", "-1", "0", "2.5", "3", "1e3", "x", "sv", "no"]
    ),
    st.floats().map(repr),
    st.text(st.characters(codec="utf-8", exclude_characters='",\r\n'), max_size=6),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(*[cells] * 6), max_size=12), st.sampled_from([None, "overlap", "append"]))
def test_every_row_found_is_kept_or_dropped_with_its_reason(tmp_path_factory, rows, restarts):
    path = tmp_path_factory.mktemp("c") / "runs.csv"
    path.write_text(HEADER + "".join(",".join(row) + "\n" for row in rows), encoding="utf-8")
    columns = ColumnMap.model_validate({"restarts": restarts, "domains": True})
    try:
        imported = import_runs(path, columns=columns)
    except InputError:
        return
    frame, summary = imported.frame, imported.summary
    assert summary.found == summary.kept + sum(d.rows for d in summary.dropped)
    assert summary.kept == frame.height > 0
    assert frame["loss"].is_between(0, 20, closed="right").all()
    assert all(math.isfinite(tokens) and tokens >= 0 for tokens in frame["tokens"])
    assert frame.select("run_id", "step", "language").is_unique().all()
    assert all(d.first and d.rows for d in summary.dropped)


OTHERS = (
    "seed", "lr", "flops", "n_params_non_embedding", "unique_tokens", "group", "base_run",
    "bits_per_byte", "w_en", "w_de", "D_en", "D_de", "tokens_per_step",
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.data(), st.lists(st.sampled_from(OTHERS), min_size=1, max_size=5, unique=True))
def test_no_cell_of_any_column_is_a_traceback(tmp_path_factory, data, others):
    names = ["run_id", "step", "language", "loss", *others]
    rows = data.draw(st.lists(st.tuples(*[cells] * len(others)), min_size=1, max_size=6))
    lines = [f"a,{i},en,2.5," + ",".join(row) for i, row in enumerate(rows)]
    path = tmp_path_factory.mktemp("o") / "runs.csv"
    path.write_text("\n".join([",".join(names), *lines]) + "\n", encoding="utf-8")
    patterns = {"mixture": "w_{language}", "tokens_by_language": "D_{language}"}
    used = {f: p for f, p in patterns.items() if any(n.startswith(p[:2]) for n in others)}
    columns = ColumnMap.model_validate({"columns": used, "set": {"tokens": 1e9}})
    try:
        imported = import_runs(path, columns=columns)
    except InputError:
        return
    summary = imported.summary
    assert summary.found == summary.kept + sum(d.rows for d in summary.dropped)
    numbers = imported.frame.select(pl.selectors.float()).with_columns(pl.all().fill_null(0.0))
    assert numbers.select(pl.all_horizontal(pl.all().is_finite().all())).item()
    for column in ("mixture", "tokens_by_language", "unique_tokens"):
        values = imported.frame[column].explode().drop_nulls().struct.field("value")
        assert values.is_finite().all()
        assert (values > 0).all()


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["csv", "tsv", "jsonl", "parquet", "json", "db"]))
@example(b"\x1f\x8b\0\0", "csv")  # the first bytes of gzip
def test_random_bytes_under_any_name_are_never_a_traceback(tmp_path_factory, noise, suffix):
    path = tmp_path_factory.mktemp("r") / f"runs.{suffix}"
    path.write_bytes(noise)
    with pytest.raises(InputError):
        import_runs(path)


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=8), st.integers(0, 3000))
def test_random_damage_to_a_parquet_file_is_never_a_traceback(tmp_path_factory, noise, at):
    path = tmp_path_factory.mktemp("p") / "runs.parquet"
    columns = {"run_id": ["a", "b"], "step": [1, 2], "tokens": [1e9, 2e9], "loss": [3.0, 2.0]}
    pl.DataFrame(columns).write_parquet(path)
    data = bytearray(path.read_bytes())
    at %= len(data)
    data[at : at + len(noise)] = noise
    path.write_bytes(data)
    try:
        imported = import_runs(path)
    except InputError:
        return
    assert imported.summary.found == imported.summary.kept + sum(dropped(imported).values())
