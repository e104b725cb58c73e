import json
import pkgutil

import pytest
from pydantic import ValidationError

from atlas_scaling.errors import InputError, SourceError
from atlas_scaling.study.cleaning import fingerprint
from atlas_scaling.study.corpus import EmbeddedSpec, build_corpus, corpus_spec, open_corpus
from atlas_scaling.study.corpus_sources import SOURCES, list_sources
from tests.study.tiny_sources import (
    chromium_files,
    homeassistant_files,
    install_source,
    install_tiny_corpus,
    mo,
    sentence,
)

LANGUAGES = ["swe_Latn", "dan_Latn", "rus_Cyrl"]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """What is not in the cache cannot be had."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    install_tiny_corpus(monkeypatch, tmp_path)
    return tmp_path


def embedded(**fields):
    return EmbeddedSpec(source="embedded", **{"eval_lines": 20, **fields})


def build(cache, languages=LANGUAGES, **fields):
    return build_corpus(embedded(**fields), languages, cache=cache)


def texts_of(corpus):
    return {
        code: (list(corpus.train_lines(code)), list(corpus.eval_lines(code)))
        for code in corpus.languages
    }


def test_evaluation_line_i_says_the_same_in_every_language(cache):
    corpus = build(cache)
    ids = (corpus.path / "eval" / "ids.txt").read_text().splitlines()
    assert len(ids) == 20
    for locale, code in (("sv", "swe_Latn"), ("da", "dan_Latn"), ("ru", "rus_Cyrl")):
        expected = []
        for name in ids:
            source, _, identity = name.partition(":")
            # The numbers that tiny_sources gave the messages of the two sources.
            number = (
                int(identity) - 100
                if source == "chromium"
                else 10_000 + int(identity.removeprefix("lamp.config.key_"))
            )
            expected.append(sentence(locale, number))
        assert list(corpus.eval_lines(code)) == expected


def test_training_text_is_what_evaluation_left_of_both_sources_in_mixed_order(cache):
    corpus = build(cache)
    for locale, code in (("sv", "swe_Latn"), ("ru", "rus_Cyrl")):
        train, evaluation = texts_of(corpus)[code]
        everything = {sentence(locale, i) for i in (*range(60), *range(10_000, 10_060))}
        assert set(train) | set(evaluation) == everything
        assert len(train) + len(evaluation) == 120
        first_half = sum(line in {sentence(locale, i) for i in range(60)} for line in train[:50])
        assert 10 < first_half < 40
        assert corpus.record(code).sources["chromium"].eval_lines == 10


def test_the_manifest_counts_what_is_in_the_files(cache):
    corpus = build(cache)
    for code in corpus.languages:
        record = corpus.record(code)
        data = (corpus.path / "train" / f"{code}.txt").read_bytes()
        assert record.train.bytes == len(data)
        assert record.train.lines == data.count(b"\n")
        assert record.train.characters == len(data.decode().replace("\n", ""))
        shares = record.sources.values()
        assert sum(share.train_bytes for share in shares) == len(data)
        assert sum(share.train_lines for share in shares) == record.train.lines
    assert [source.licence for source in corpus.manifest.sources] == [
        SOURCES["chromium"].licence,
        "Apache-2.0",
    ]
    assert corpus.manifest.sources[0].sha256 == SOURCES["chromium"].wheel.sha256


def test_the_same_request_in_another_cache_gives_the_same_bytes(monkeypatch, tmp_path):
    hashes = set()
    for name in ("one", "two"):
        install_tiny_corpus(monkeypatch, tmp_path / name)
        corpus = build(tmp_path / name, languages=LANGUAGES[:: 1 if name == "one" else -1])
        files = sorted(corpus.path.rglob("*.txt"))
        hashes.add((corpus.sha256, corpus.path.name, *(file.read_bytes() for file in files)))
    assert len(hashes) == 1


def test_another_seed_gives_another_choice_and_order(cache):
    first, second = texts_of(build(cache)), texts_of(build(cache, seed=1))
    assert first["swe_Latn"][1] != second["swe_Latn"][1]
    assert first["swe_Latn"][0] != second["swe_Latn"][0]


def test_a_corpus_that_is_built_needs_neither_network_nor_wheels(cache):
    first = build(cache)
    for wheel in (cache / "wheels").iterdir():
        wheel.unlink()
    said = []
    second = build_corpus(embedded(), LANGUAGES, cache=cache, say=said.append)
    assert (second.path, second.sha256, said) == (first.path, first.sha256, [])


@pytest.mark.parametrize("damage", ["cut", "remove", "manifest"])
def test_a_damaged_corpus_is_built_again(cache, damage):
    first = build(cache)
    file = first.path / "train" / "swe_Latn.txt"
    original = file.read_bytes()
    if damage == "cut":
        file.write_bytes(original[:-5])
    elif damage == "remove":
        file.unlink()
    else:
        (first.path / "manifest.json").write_text("{")
    assert build(cache).sha256 == first.sha256
    assert file.read_bytes() == original


def test_messages_with_placeholders_and_untranslated_ones_are_dropped_and_counted(
    monkeypatch, tmp_path
):
    def texts(locale, english):
        return {
            **{i: sentence(locale, i) for i in range(30)},
            100: f"{sentence(locale, 100)} $1",
            101: english,
            102: "kort",
        }

    english = "Nothing here has become Swedish yet"
    files = chromium_files({"en-US": texts("en", english), "sv": texts("sv", english)})
    install_source(monkeypatch, tmp_path, "chromium", files)
    corpus = build(tmp_path, ["swe_Latn"], parts=("chromium",), eval_lines=5)
    assert corpus.record("swe_Latn").train.lines == 25
    dropped = {k: n for k, n in corpus.record("swe_Latn").dropped.items() if n}
    # "kort" is in the English file too, so it counts as English.
    assert dropped == {"placeholder": 1, "same_as_english": 2}


def test_copies_of_evaluation_messages_under_other_ids_are_in_no_training_text(
    monkeypatch, tmp_path
):
    # Every message stands under two ids, as "Device is already configured" does; the second is
    # translated in other words. In English the two are equal but for their case.
    english = {i: sentence("en", i % 40).upper() for i in range(40)}
    english |= {i: sentence("en", i % 40) for i in range(40, 80)}
    swedish = {i: sentence("sv", i) for i in range(80)}
    install_source(
        monkeypatch, tmp_path, "chromium", chromium_files({"en-US": english, "sv": swedish})
    )
    corpus = build(tmp_path, ["swe_Latn"], parts=("chromium",), eval_lines=10)
    ids = [
        int(name.split(":")[1])
        for name in (corpus.path / "eval" / "ids.txt").read_text().splitlines()
    ]
    train = set(corpus.train_lines("swe_Latn"))
    for i in ids:
        assert not {sentence("sv", i % 40), sentence("sv", i % 40 + 40)} & train
    assert corpus.record("swe_Latn").dropped["of_a_message_in_the_evaluation_text"] > 0


def test_no_training_line_of_any_language_equals_an_evaluation_line_of_any_other(
    monkeypatch, tmp_path
):
    # Danish and Swedish share half of their sentences here.
    swedish = {i: sentence("sv", i) for i in range(60)}
    danish = {i: sentence("sv" if i % 2 else "da", (i + 7) % 60) for i in range(60)}
    english = {i: sentence("en", i) for i in range(60)}
    files = chromium_files({"en-US": english, "sv": swedish, "da": danish})
    install_source(monkeypatch, tmp_path, "chromium", files)
    corpus = build(tmp_path, ["swe_Latn", "dan_Latn"], parts=("chromium",), eval_lines=12)
    texts = texts_of(corpus)
    test_prints = {fingerprint(line) for _, evaluation in texts.values() for line in evaluation}
    train_prints = [fingerprint(line) for train, _ in texts.values() for line in train]
    assert not test_prints & set(train_prints)
    assert len(train_prints) == len(set(train_prints))


def test_gettext_sources_give_english_from_the_keys(monkeypatch, tmp_path):
    messages = {sentence("en", i): sentence("sv", i) for i in range(30)}
    files = {"gramps-0.data/data/share/locale/sv/LC_MESSAGES/gramps.mo": mo(messages)}
    install_source(monkeypatch, tmp_path, "gramps", files)
    corpus = build(tmp_path, ["eng_Latn", "swe_Latn"], parts=("gramps",), eval_lines=5)
    pairs = zip(corpus.eval_lines("eng_Latn"), corpus.eval_lines("swe_Latn"), strict=True)
    assert all(messages[english] == swedish for english, swedish in pairs)


def test_evaluation_takes_at_most_a_quarter_of_the_smallest_language_and_says_so(cache):
    said = []
    spec = embedded(eval_lines=500, parts=("chromium",))
    corpus = build_corpus(spec, LANGUAGES, cache=cache, say=said.append)
    assert corpus.record("swe_Latn").evaluation.lines == 15  # of 60 messages of one line
    (note,) = corpus.manifest.notes
    assert note.startswith("15 evaluation lines instead of 500: the languages share 60 messages")
    assert f"note: {note}" in said


def test_a_language_of_which_only_copies_of_evaluation_text_are_left_is_refused(
    monkeypatch, tmp_path
):
    files = chromium_files(
        {
            "en-US": {i: sentence("en", 1) for i in range(8)},
            "sv": {i: sentence("sv", 1) for i in range(8)},
        }
    )
    install_source(monkeypatch, tmp_path, "chromium", files)
    with pytest.raises(InputError, match="nothing is left to train on for swe_Latn") as caught:
        build(tmp_path, ["swe_Latn"], parts=("chromium",))
    assert caught.value.where == "corpus.eval_lines"


def test_a_missing_source_is_said_recorded_and_gone_without(cache):
    (cache / "wheels" / "homeassistant-0-py3-none-any.whl").unlink()
    said = []
    corpus = build_corpus(embedded(), LANGUAGES, cache=cache, say=said.append)
    assert any("going on without the source homeassistant" in line for line in said)
    problems = {source.name: source.problem for source in corpus.manifest.sources}
    assert problems["chromium"] is None
    assert "homeassistant==2026.11.0 could not be fetched" in problems["homeassistant"]
    assert set(corpus.record("swe_Latn").sources) == {"chromium"}


def test_once_the_missing_source_is_back_the_whole_corpus_is_built(cache):
    path = cache / "wheels" / "homeassistant-0-py3-none-any.whl"
    data = path.read_bytes()
    path.unlink()
    part = build(cache)
    path.write_bytes(data)
    whole = build(cache)
    assert whole.path != part.path
    assert set(whole.record("swe_Latn").sources) == {"chromium", "homeassistant"}


def test_with_all_sources_missing_the_error_names_source_and_remedy(cache):
    for wheel in (cache / "wheels").iterdir():
        wheel.unlink()
    with pytest.raises(SourceError) as caught:
        build(cache)
    assert "PyQt6-WebEngine-Qt6==6.11.2" in caught.value.problem
    assert "by hand" in caught.value.remedy
    assert caught.value.exit_code == 1
    assert not (cache / "corpora").exists()


def test_a_language_whose_only_source_is_missing_is_a_fault_of_the_source(monkeypatch, cache):
    files = homeassistant_files({"en": {"a": sentence("en", 1)}, "gl": {"a": sentence("sv", 1)}})
    install_source(monkeypatch, cache, "homeassistant", files).unlink()
    with pytest.raises(SourceError, match="there is no text for glg_Latn") as caught:
        build(cache, ["glg_Latn", "swe_Latn"])
    assert "homeassistant==2026.11.0 could not be fetched" in caught.value.problem


def test_a_language_that_the_chosen_parts_lack_is_named(cache):
    with pytest.raises(InputError, match="there is no text for fin_Latn") as caught:
        build(cache, ["fin_Latn", "swe_Latn"])
    assert caught.value.value == ["fin_Latn"]
    assert "chromium, homeassistant" in caught.value.where
    assert "gramps" in caught.value.remedy


def test_an_unknown_language_is_named_with_the_nearest(cache):
    with pytest.raises(InputError) as caught:
        build(cache, ["swe_Lat"])
    assert caught.value.value == "swe_Lat"
    assert "'swe_Latn'" in caught.value.remedy


def test_languages_that_share_no_message_are_refused_with_the_smallest_named(monkeypatch, cache):
    files = homeassistant_files(
        {"en": {"z": sentence("en", 1)}, "gl": {"z": sentence("sv", 999), "y": "kort"}}
    )
    install_source(monkeypatch, cache, "homeassistant", files)
    with pytest.raises(InputError, match="nothing to evaluate on") as caught:
        build(cache, ["glg_Latn", "swe_Latn"])
    assert "glg_Latn, which has the fewest messages (1)" in caught.value.remedy


def test_no_languages_are_refused(cache):
    with pytest.raises(InputError, match="at least one language"):
        build(cache, [])


def test_an_unknown_part_is_refused_with_the_nearest():
    with pytest.raises(ValidationError, match="did you mean 'chromium'"):
        embedded(parts=("chromum",))
    with pytest.raises(InputError, match="did you mean 'chromium'"):
        corpus_spec(parts=["chromum"])
    with pytest.raises(ValidationError, match="named twice"):
        embedded(parts=("chromium", "chromium"))


def test_a_broken_file_in_a_wheel_is_named(monkeypatch, tmp_path):
    files = {"homeassistant/components/lamp/translations/en.json": b"{"}
    install_source(monkeypatch, tmp_path, "homeassistant", files)
    with pytest.raises(SourceError, match="homeassistant cannot be read") as caught:
        build(tmp_path, ["swe_Latn"], parts=("homeassistant",))
    assert "components/lamp/translations/en.json" in caught.value.where


@pytest.mark.parametrize(
    "place",
    ["clean_sources.CleanedSource.put", "embedded_build.write_language", "corpus_store._hash_of"],
)
def test_after_an_interruption_the_build_goes_on_and_gives_the_same_bytes(
    monkeypatch, cache, place
):
    def interrupted(*_):
        if len(calls) == 1:
            raise KeyboardInterrupt
        calls.append(1)
        return whole(*_)

    calls = [] if "_hash_of" not in place else [1]
    module, _, name = f"atlas_scaling.study.{place}".rpartition(".")
    owner = pkgutil.resolve_name(module)
    whole = getattr(owner, name)
    monkeypatch.setattr(owner, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(cache)
    monkeypatch.undo()
    install_tiny_corpus(monkeypatch, cache)
    (left,) = (cache / "corpora").iterdir()
    assert left.name.startswith(".building-")

    corpus = build(cache)
    assert [path.name for path in (cache / "corpora").iterdir()] == [corpus.path.name]
    other = cache / "other"
    install_tiny_corpus(monkeypatch, other)
    assert build(other).sha256 == corpus.sha256


def test_opening_what_is_no_corpus_says_so(tmp_path):
    with pytest.raises(InputError, match="holds no corpus") as caught:
        open_corpus(tmp_path)
    assert caught.value.value == str(tmp_path)
    assert "atlas corpus build" in caught.value.remedy


def test_asking_a_corpus_for_a_language_it_lacks_names_those_it_has(cache):
    with pytest.raises(InputError) as caught:
        list(build(cache).train_lines("fin_Latn"))
    assert caught.value.value == "fin_Latn"
    assert "dan_Latn" in caught.value.remedy


def test_a_corpus_as_json_says_where_it_is_and_what_it_holds(cache):
    corpus = build(cache)
    document = json.loads(json.dumps(corpus.to_dict()))
    assert document["path"] == str(corpus.path)
    assert document["languages"]["swe_Latn"]["evaluation"]["lines"] == 20


def test_the_list_of_sources_says_which_are_in_the_cache(cache):
    cached = {row.name: row.cached for row in list_sources(cache).sources}
    assert cached["chromium"]
    assert not cached["weblate"]
