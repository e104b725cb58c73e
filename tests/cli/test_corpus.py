import json

import pytest

from atlas_scaling.errors import InputError
from tests.cli.program import called
from tests.study.tiny_sources import install_tiny_corpus
from tests.study.tiny_texts import write_madlad, write_texts


def run(*arguments):
    result = called("corpus", *arguments)
    if result.exit_code:
        raise result.exception
    return result


def test_a_corpus_is_built_from_short_codes_and_described(monkeypatch, tmp_path):
    install_tiny_corpus(monkeypatch, tmp_path)
    result = run("build", "sv", "da", "--eval-lines", 10, "--cache", tmp_path)
    assert "swe_Latn" in result.stdout
    assert "homeassistant==2026.11.0" in result.stdout
    assert "says the same in every language" in result.stdout
    assert "reading and cleaning chromium" in result.stderr


def test_json_is_one_document_that_show_repeats(monkeypatch, tmp_path):
    install_tiny_corpus(monkeypatch, tmp_path)
    built = run("build", "sv", "da", "--eval-lines", 10, "--cache", tmp_path, "--json")
    document = json.loads(built.stdout)
    assert document["languages"]["dan_Latn"]["evaluation"]["lines"] == 10
    assert json.loads(run("show", document["path"], "--json").stdout) == document


def test_a_folder_of_the_user_and_its_fertility(tmp_path):
    folder = write_texts(tmp_path / "text", n=300, n_eval=20)
    arguments = ["--folder", folder, "--cache", tmp_path / "cache", "--json"]
    path = json.loads(run("build", "swe_Latn", "rus_Cyrl", *arguments).stdout)["path"]
    options = ["--vocab-size", 400, "--cache", tmp_path / "cache"]
    report = json.loads(run("fertility", path, *options, "--json").stdout)
    rows = {row["language"]: row for row in report["languages"]}
    assert rows[report["reference"]]["byte_premium"] == 1.0
    assert "over rus_Cyrl" in run("fertility", path, *options).stdout


def test_the_sources_are_listed_with_their_licences(tmp_path):
    result = run("sources", "--cache", tmp_path)
    assert "Apache-2.0" in result.stdout
    listed = json.loads(run("sources", "--cache", tmp_path, "--json").stdout)
    assert listed["default"] == ["chromium", "homeassistant"]
    assert not any(row["cached"] for row in listed["sources"])


def test_an_unknown_part_is_wrong_input(tmp_path):
    with pytest.raises(InputError, match="did you mean 'chromium'") as caught:
        run("build", "sv", "--part", "chromum", "--cache", tmp_path)
    assert caught.value.exit_code == 2


def test_a_corpus_of_a_dataset_is_built_from_a_folder_laid_out_like_it(tmp_path):
    pytest.importorskip("datasets", reason="the hub's datasets need the extra [data]")
    write_madlad(tmp_path / "madlad", "sv", "sv")
    options = ["--dataset", "madlad-400", "--root", tmp_path / "madlad", "--max-bytes", "100k"]
    result = run("build", "sv", *options, "--eval-lines", 5, "--cache", tmp_path / "cache")
    assert "ODC-BY" in result.stdout
    assert "50 letters in a row" in result.stdout


def test_a_tokenizer_of_the_user_is_reported_on(tmp_path):
    folder = write_texts(tmp_path / "text", n=300, n_eval=20)
    cache = ["--cache", tmp_path / "cache"]
    built = run("build", "sv", "ru", "--folder", folder, *cache, "--json")
    path = json.loads(built.stdout)["path"]
    trained = run("fertility", path, "--vocab-size", 400, *cache, "--json")
    model = next((tmp_path / "cache" / "tokenizers").glob("*/tokenizer.model"))
    own = run("fertility", path, "--tokenizer", model, *cache, "--json")
    assert json.loads(own.stdout)["languages"] == json.loads(trained.stdout)["languages"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--max-bytes", "1M"], "belong to a dataset"),
        (["--dataset", "madlad"], "no known dataset"),
        (["--dataset", "madlad-400", "--max-bytes", "much"], "not a number"),
        (["--dataset", "madlad-400", "--part", "chromium"], "one source"),
    ],
)
def test_a_source_that_makes_no_sense_is_refused(tmp_path, options, said):
    with pytest.raises(InputError, match=said):
        run("build", "sv", *options, "--cache", tmp_path)
