"""Datasets of the hub, read from folders with the files and columns that the hub has."""

import json

import polars as pl
import pytest

from atlas_scaling.config import parse_config
from atlas_scaling.errors import InputError, SourceError
from atlas_scaling.study.corpus import HubSpec, build_corpus
from tests.study.tiny_sources import sentence
from tests.study.tiny_texts import document, write_fineweb2, write_flores, write_madlad

pytest.importorskip("datasets", reason="the hub's datasets need the extra [data]")


def spec(**fields) -> HubSpec:
    return HubSpec(source="huggingface", **fields)


def test_madlad_is_read_by_its_own_codes_and_only_its_clean_part(tmp_path):
    write_madlad(tmp_path / "madlad", "sv", "sv")
    write_madlad(tmp_path / "madlad", "ru", "ru")
    corpus = build_corpus(
        spec(dataset="madlad-400", root=tmp_path / "madlad", eval_lines=5),
        ["swe_Latn", "rus_Cyrl"],
        cache=tmp_path / "cache",
    )
    read = {*corpus.train_lines("swe_Latn"), *corpus.eval_lines("swe_Latn")}
    assert read == {document("sv", i) for i in range(60)}
    assert corpus.record("rus_Cyrl").evaluation.lines == 5
    assert corpus.manifest.sources[0].homepage.endswith("allenai/MADLAD-400")


def fineweb2_and_flores(folder, **fields):
    return spec(
        dataset="fineweb-2",
        root=folder / "fineweb",
        evaluation={"dataset": "flores-plus", "root": folder / "flores"},
        **fields,
    )


def test_fineweb2_with_flores_to_evaluate_on(tmp_path):
    for code, locale in (("swe_Latn", "sv"), ("rus_Cyrl", "ru")):
        write_fineweb2(tmp_path / "fineweb", code, locale)
        write_flores(tmp_path / "flores", code, locale)
    corpus = build_corpus(
        fineweb2_and_flores(tmp_path),
        ["swe_Latn", "rus_Cyrl"],
        cache=tmp_path / "cache",
    )
    assert corpus.manifest.aligned
    assert list(corpus.eval_lines("rus_Cyrl")) == [sentence("ru", 50_000 + i) for i in range(20)]
    assert set(corpus.train_lines("swe_Latn")) == {document("sv", i) for i in range(60)}
    assert [source.name for source in corpus.manifest.sources] == ["fineweb-2", "flores-plus"]


def test_training_text_with_a_passage_of_the_test_set_is_dropped(tmp_path):
    write_fineweb2(tmp_path / "fineweb", "swe_Latn", "sv", n=30)
    write_flores(tmp_path / "flores", "swe_Latn", "sv")
    long = "en lang mening som star bade i det ena och i det andra och annars ingenstans alls"
    with (tmp_path / "flores/devtest/swe_Latn.jsonl").open("a") as file:
        file.write(json.dumps({"id": 20, "text": long}) + "\n")
    path = tmp_path / "fineweb/data/swe_Latn/train/000_00000.parquet"
    frame = pl.read_parquet(path)
    frame[0, "text"] = f"Rubrik\n{long.upper()}!\nslut"
    frame.write_parquet(path)
    corpus = build_corpus(
        fineweb2_and_flores(tmp_path),
        ["swe_Latn"],
        cache=tmp_path / "cache",
    )
    record = corpus.record("swe_Latn")
    assert record.train.lines == 29
    assert record.contamination.eval_lines_found == record.contamination.train_lines == 1


def test_ids_that_a_language_lacks_are_left_out_of_all(tmp_path):
    for code, locale in (("swe_Latn", "sv"), ("rus_Cyrl", "ru")):
        write_fineweb2(tmp_path / "fineweb", code, locale)
        write_flores(tmp_path / "flores", code, locale)
    path = tmp_path / "flores/devtest/rus_Cyrl.jsonl"
    path.write_text("".join(path.read_text("utf-8").splitlines(keepends=True)[3:]), "utf-8")
    corpus = build_corpus(
        fineweb2_and_flores(tmp_path),
        ["swe_Latn", "rus_Cyrl"],
        cache=tmp_path / "cache",
    )
    assert corpus.manifest.aligned
    assert list(corpus.eval_lines("swe_Latn")) == [sentence("sv", 50_003 + i) for i in range(17)]


def with_test_text_in(tmp_path, *codes, **fields):
    for code, locale in (("dan_Latn", "da"), ("swe_Latn", "sv"), ("rus_Cyrl", "ru")):
        write_fineweb2(tmp_path / "fineweb", code, locale)
        if code in codes:
            write_flores(tmp_path / "flores", code, locale)
    (tmp_path / "flores").mkdir(exist_ok=True)
    return fineweb2_and_flores(tmp_path, eval_lines=15, **fields)


THREE = ["dan_Latn", "rus_Cyrl", "swe_Latn"]


def test_a_language_that_the_test_set_lacks_gives_some_of_its_own_documents_and_says_so(tmp_path):
    chosen = with_test_text_in(tmp_path, "swe_Latn", "rus_Cyrl")
    path = tmp_path / "flores/devtest/rus_Cyrl.jsonl"
    path.write_text("".join(path.read_text("utf-8").splitlines(keepends=True)[3:]), "utf-8")
    corpus = build_corpus(chosen, THREE, cache=tmp_path / "cache")
    kinds = {"dan_Latn": "split off", "rus_Cyrl": "aligned", "swe_Latn": "aligned"}
    assert corpus.evaluation_text == kinds
    assert not corpus.manifest.aligned
    assert any(note.endswith("hash of the line: dan_Latn") for note in corpus.manifest.notes)
    assert "do not compare with those of other languages" in corpus.manifest.notes[-1]
    # the others keep the lines that both have: 15 were taken of 20, of which Russian lacks three
    swedish, russian = (list(corpus.eval_lines(code)) for code in ("swe_Latn", "rus_Cyrl"))
    assert swedish == [sentence("sv", 50_003 + i) for i in range(12)]
    assert russian == [sentence("ru", 50_003 + i) for i in range(12)]
    train, own = (set(f("dan_Latn")) for f in (corpus.train_lines, corpus.eval_lines))
    assert len(own) == 6  # a tenth of sixty
    assert train | own == {document("da", i) for i in range(60)}
    assert not train & own


def test_a_language_that_the_test_set_lacks_may_be_refused(tmp_path):
    chosen = with_test_text_in(tmp_path, "swe_Latn", not_in_evaluation="refuse")
    with pytest.raises(InputError, match="no test text for dan_Latn, rus_Cyrl") as caught:
        build_corpus(chosen, THREE, cache=tmp_path / "cache")
    assert "not_in_evaluation: split" in caught.value.remedy


def test_a_test_set_with_none_of_the_languages_is_a_mistake(tmp_path):
    with pytest.raises(InputError, match="no test text for dan_Latn, rus_Cyrl, swe_Latn"):
        build_corpus(with_test_text_in(tmp_path), THREE, cache=tmp_path / "cache")


def test_a_language_without_text_is_said_before_hours_of_reading(tmp_path, monkeypatch):
    write_fineweb2(tmp_path / "fineweb", "dan_Latn", "da")
    monkeypatch.setattr("atlas_scaling.study.corpus.build_streamed", lambda *_: 1 / 0)
    with pytest.raises(InputError, match="no text for swe_Latn"):
        build_corpus(
            spec(dataset="fineweb-2", root=tmp_path / "fineweb"),
            ["dan_Latn", "swe_Latn"],
            cache=tmp_path / "cache",
        )


def test_no_more_is_read_than_was_asked_for(tmp_path):
    write_fineweb2(tmp_path / "fineweb", "swe_Latn", "sv")
    size = len(document("sv", 0).encode())
    corpus = build_corpus(
        spec(dataset="fineweb-2", root=tmp_path / "fineweb", max_bytes=19.5 * size),
        ["swe_Latn"],
        cache=tmp_path / "cache",
    )
    record = corpus.record("swe_Latn")
    assert 18 <= record.train.lines + record.evaluation.lines <= 22


def test_any_dataset_can_be_described(tmp_path):
    (tmp_path / "own").mkdir()
    rows = "".join(json.dumps({"content": sentence("sv", i)}) + "\n" for i in range(50))
    (tmp_path / "own" / "sve.jsonl").write_text(rows)
    corpus = build_corpus(
        spec(
            dataset="me/mine",
            root=tmp_path / "own",
            files="{iso639_3}.jsonl",
            column="content",
            codes={"swe_Latn": "sve"},
        ),
        ["swe_Latn"],
        cache=tmp_path / "cache",
    )
    assert corpus.record("swe_Latn").train.lines == 45


def test_a_language_that_the_dataset_lacks_is_named_with_its_kin(tmp_path):
    write_fineweb2(tmp_path / "fineweb", "swh_Latn", "sv")
    with pytest.raises(InputError, match="fineweb-2 has no text for swa_Latn") as caught:
        build_corpus(
            spec(dataset="fineweb-2", root=tmp_path / "fineweb"),
            ["swa_Latn"],
            cache=tmp_path / "cache",
        )
    assert "swh_Latn" in caught.value.remedy


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path):
    write_fineweb2(tmp_path / "fineweb", "swe_Latn", "sv")
    with pytest.raises(InputError, match="no column 'txt'") as caught:
        build_corpus(
            spec(dataset="fineweb-2", root=tmp_path / "fineweb", column="txt"),
            ["swe_Latn"],
            cache=tmp_path / "cache",
        )
    assert "'text'" in caught.value.remedy


def test_a_broken_file_is_a_source_that_failed(tmp_path):
    write_fineweb2(tmp_path / "fineweb", "swe_Latn", "sv")
    (tmp_path / "fineweb/data/swe_Latn/train/000_00000.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(SourceError, match="fineweb-2 could not be read"):
        build_corpus(
            spec(dataset="fineweb-2", root=tmp_path / "fineweb"),
            ["swe_Latn"],
            cache=tmp_path / "cache",
        )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dataset: madlad400", "did you mean 'madlad-400'?"),
        ("dataset: owner/name", "give files, such as"),
    ],
)
def test_a_dataset_that_is_not_known_is_refused(text, said):
    with pytest.raises(InputError) as caught:
        parse_config(f"source: huggingface\n{text}\n", HubSpec, name="s.yaml")
    assert said in caught.value.problem


def test_a_root_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        build_corpus(
            spec(dataset="fineweb-2", root=tmp_path / "gone"), ["swe_Latn"], cache=tmp_path / "c"
        )
