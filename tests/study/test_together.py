import threading
from dataclasses import replace

import pytest

from atlas_scaling.study.engines.base import Event, EventKind
from atlas_scaling.study.engines.local import _Board
from atlas_scaling.study.planned_runs import PlannedRun, PlannedStage
from atlas_scaling.study.settings import Hardware
from atlas_scaling.study.spec import StudySpec
from atlas_scaling.study.together import kind_of, most_together

SPEC = StudySpec.model_validate(
    {
        "name": "small",
        "languages": ["swe_Latn", "spa_Latn"],
        "corpus": {"source": "folder", "path": "text"},
        "tokenizer": {"vocab_size": 4096},
        "sequence_length": 128,
        "sizes": {"s": {"scale": -1, "lr": 0.01}},
        "training": {"batch_size": 16},
        "groups": [{"kind": "monolingual", "sizes": ["s"], "tokens": "1M"}],
    }
)
AUTO = Hardware()


def run_of(run_id: str, **changes) -> PlannedRun:
    mixture = {"swe_Latn": 1.0}
    planned = PlannedRun(
        run_id,
        "monolingual",
        "s",
        ("swe_Latn",),
        mixture,
        (PlannedStage(1.0, mixture),),
        tokens=1_000_000,
        seed=0,
        n_params=1_000_000,
        n_params_non_embedding=500_000,
        flops=6e12,
    )
    return replace(planned, **changes)


def board_of(*runs: PlannedRun, n_workers: int = 1) -> tuple[_Board, list[Event]]:
    events: list[Event] = []
    return _Board(list(runs), events.append, n_workers), events


def taken(board: _Board, most: int = 10) -> list[str]:
    return [run.run_id for run in board.take(lambda run: most)]


def test_small_runs_on_an_accelerator_are_together_until_a_step_has_65536_tokens():
    # a step of one has 16 x 128 tokens
    assert most_together(run_of("a"), SPEC, AUTO, on_accelerator=True) == 32


@pytest.mark.parametrize(
    ("hardware", "on_accelerator", "n_params"),
    [(AUTO, False, 10**6), (AUTO, True, 11 * 10**6), (Hardware(processes=2), True, 10**6)],
)
def test_runs_on_cores_and_larger_runs_and_runs_of_several_processes_are_alone(
    hardware, on_accelerator, n_params
):
    run = run_of("a", n_params=n_params)
    assert most_together(run, SPEC, hardware, on_accelerator=on_accelerator) == 1


def test_a_number_that_is_given_counts_everywhere():
    hardware = Hardware(together=5)
    assert most_together(run_of("a"), SPEC, hardware, on_accelerator=False) == 5


def test_runs_of_another_size_or_length_or_vocabulary_and_branches_are_of_other_kinds():
    run = run_of("a")
    assert kind_of(run) == kind_of(run_of("b", seed=3, group="capacity"))
    others = [
        run_of("b", size="m"),
        run_of("c", tokens=2_000_000),
        run_of("d", vocabulary="swe_Latn"),
        run_of("e", keep_tokens=(500_000,)),
        run_of("f", base_run="e", branch_tokens=500_000),
        run_of("g", keep_tokens=(500_000,)),
    ]
    assert len({kind_of(one) for one in [run, *others]}) == 7


def test_what_continues_a_failed_run_fails_down_to_the_last_and_nobody_waits_for_it():
    chain = [run_of("a"), run_of("b", base_run="a"), run_of("c", base_run="b")]
    board, events = board_of(*chain)
    assert taken(board) == ["a"]
    board.tell(Event("a", EventKind.FAILED, reason="diverged"))
    worker = threading.Thread(target=taken, args=(board,), daemon=True)
    worker.start()
    worker.join(10)
    assert not worker.is_alive()
    assert [event.run_id for event in events] == ["a", "b", "c"]
    assert events[-1].reason == "the run it continues, b, did not finish"


def test_a_worker_takes_the_first_run_and_others_of_its_kind_up_to_its_number():
    board, _ = board_of(run_of("a"), run_of("b", size="m"), run_of("c"), run_of("d"))
    assert taken(board, most=2) == ["a", "c"]
    assert taken(board) == ["b"]
    assert taken(board) == ["d"]
    assert taken(board) == []


def test_a_run_that_continues_one_in_the_same_hands_is_not_taken_with_it():
    board, _ = board_of(run_of("a"), run_of("b"), run_of("c", base_run="a"))
    assert taken(board) == ["a", "b"]
    board.tell(Event("a", EventKind.DONE))
    assert taken(board) == ["c"]


def test_runs_lost_together_come_back_alone_and_the_rest_stay_together():
    runs = [run_of(name) for name in "abcd"]
    board, events = board_of(*runs)
    assert taken(board, most=2) == ["a", "b"]
    for run in runs[:2]:
        board.lose(run, "killed")
    assert [event.kind for event in events] == [EventKind.LOST, EventKind.LOST]
    assert [taken(board) for _ in range(3)] == [["b"], ["a"], ["c", "d"]]


def test_runs_of_a_kind_are_dealt_out_evenly_to_the_workers_that_are_free():
    board, _ = board_of(run_of("m", size="m"), *map(run_of, "abcdefgh"), n_workers=3)
    assert [run.run_id for run in board.take(board.share_of)] == ["m"]
    hands = [[run.run_id for run in board.take(board.share_of)] for _ in range(2)]
    assert hands == [list("abcd"), list("efgh")]
