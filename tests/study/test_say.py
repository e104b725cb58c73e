import pytest

from atlas_scaling.study.say import Pace


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def paced(*offers, every=5.0):
    """What is said of shares that are offered at given seconds."""
    said, clock = [], Clock()
    pace = Pace(said.append, every=every, clock=clock)
    for clock.now, share in offers:
        pace.offer(lambda: "reading", share)
    return said


def test_a_line_goes_through_every_few_seconds_only():
    assert paced((0.0, None), (4.9, None), (5.0, None), (6.0, None), (10.0, None)) == [
        "reading",
        "reading",
    ]


def test_time_left_is_what_is_not_done_at_the_speed_so_far():
    # a tenth in ten seconds: nine tenths take ninety
    assert paced((0.0, 0.0), (10.0, 0.1)) == ["reading, about 1 min 30 s left"]


def test_what_an_earlier_process_did_is_no_part_of_the_speed():
    # from six tenths to eight in twenty seconds: the last two take twenty more
    assert paced((0.0, 0.6), (20.0, 0.8)) == ["reading, about 20 s left"]


def test_nothing_is_promised_before_there_is_a_speed():
    assert paced((0.0, 0.5), (6.0, 0.5)) == ["reading, time left: measuring"]


def test_parts_of_the_work_share_one_estimate():
    said, clock = [], Clock()
    pace = Pace(said.append, clock=clock)
    reading, writing = pace.parts([30, 10])
    first, second = reading.parts([2, 1])
    first.offer(lambda: "a", 0.0)
    clock.now = 30.0
    second.offer(lambda: "b", 0.5)  # 20 and 5 of 40
    clock.now = 40.0
    writing.offer(lambda: "c", 0.0)  # 30 of 40
    assert said == ["b, about 18 s left", "c, about 13 s left"]


@pytest.mark.parametrize("weights", [[0, 0], []])
def test_parts_of_no_work_are_no_trouble(weights):
    for part in Pace([].append).parts(weights):
        part.offer(lambda: "a", 1.0)
