from hypothesis import given
from hypothesis import strategies as st

from atlas_scaling.study.aligned_split import CleanText, choose_evaluation, messages_to_withhold
from atlas_scaling.study.cleaning import fingerprint
from tests.study.tiny_sources import sentence


def text_of(locale, ids, *, n_lines=1, whole=None):
    lines = {str(i): [sentence(locale, 1000 * k + int(i)) for k in range(n_lines)] for i in ids}
    return CleanText(lines, frozenset(map(str, ids if whole is None else whole)))


def chosen(texts, languages, n_lines, seed=0):
    return choose_evaluation(texts, languages, n_lines=n_lines, seed=seed, reference="eng_Latn")


@given(
    st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)), st.integers(1, 40), st.integers(0, 9)
)
def test_what_is_chosen_is_whole_in_every_language_and_no_more_than_asked(a, b, n, seed):
    texts = {"s": {"swe_Latn": text_of("sv", a), "dan_Latn": text_of("da", b)}}
    units = chosen(texts, ["dan_Latn", "swe_Latn"], n, seed).units
    assert {i for _, i in units} <= {str(i) for i in a & b}
    assert len(units) == min(n, len(a & b))


def test_an_id_that_lost_a_line_in_one_language_is_not_chosen():
    texts = {
        "s": {
            "swe_Latn": text_of("sv", [1, 2]),
            "dan_Latn": text_of("da", [1, 2], whole=[2]),
        }
    }
    assert chosen(texts, ["dan_Latn", "swe_Latn"], 10).units == [("s", "2")]


def test_an_id_with_more_lines_in_one_language_is_not_chosen():
    texts = {"s": {"swe_Latn": text_of("sv", [1]), "dan_Latn": text_of("da", [1], n_lines=2)}}
    assert chosen(texts, ["dan_Latn", "swe_Latn"], 10).units == []


def test_a_message_of_two_lines_counts_as_two():
    texts = {"s": {"swe_Latn": text_of("sv", range(10), n_lines=2)}}
    assert len(chosen(texts, ["swe_Latn"], 7).units) == 3


def test_sources_give_evenly_and_one_fills_up_for_another():
    texts = {
        "big": {"swe_Latn": text_of("sv", range(100))},
        "small": {"swe_Latn": text_of("sv", range(200, 205))},
    }
    units = chosen(texts, ["swe_Latn"], 20).units
    assert [source for source, _ in units].count("small") == 5
    even = chosen(texts, ["swe_Latn"], 8).units
    assert [source for source, _ in even].count("small") == 4


def test_a_source_that_lacks_a_language_gives_nothing():
    texts = {
        "both": {"swe_Latn": text_of("sv", [1]), "dan_Latn": text_of("da", [1])},
        "one": {"swe_Latn": text_of("sv", [2])},
    }
    assert chosen(texts, ["dan_Latn", "swe_Latn"], 10).units == [("both", "1")]


def test_with_a_language_more_only_ids_that_it_lacks_give_way():
    swedish, danish = text_of("sv", range(50)), text_of("da", range(50))
    russian = text_of("ru", range(5, 50))
    two = chosen({"s": {"swe_Latn": swedish, "dan_Latn": danish}}, ["dan_Latn", "swe_Latn"], 20)
    three = chosen(
        {"s": {"swe_Latn": swedish, "dan_Latn": danish, "rus_Cyrl": russian}},
        ["dan_Latn", "rus_Cyrl", "swe_Latn"],
        20,
    )
    still_there = [unit for unit in two.units if int(unit[1]) >= 5]
    assert list(three.units[: len(still_there)]) == still_there


def test_no_line_is_chosen_twice_in_any_language():
    swedish = CleanText({"1": ["Spara nu!"], "2": ["spara nu"]}, frozenset({"1", "2"}))
    danish = text_of("da", [1, 2])
    units = chosen({"s": {"swe_Latn": swedish, "dan_Latn": danish}}, ["dan_Latn", "swe_Latn"], 9)
    assert len(units.units) == 1


def test_copies_under_other_ids_are_withheld_through_the_english_text():
    english = CleanText({"1": ["Save it"], "2": ["Save it!"], "3": ["Close it"]}, frozenset("123"))
    swedish = CleanText({"1": ["Spara"], "2": ["Lagra"], "3": ["Stäng"]}, frozenset("123"))
    texts = {"eng_Latn": english, "swe_Latn": swedish}
    prints = {
        "swe_Latn": frozenset({fingerprint("Spara")}),
        "eng_Latn": frozenset({fingerprint("Save it")}),
    }
    assert messages_to_withhold(texts, prints) == {"1", "2"}
