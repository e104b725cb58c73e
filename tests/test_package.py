"""What users meet first: the import, the program's start, its help and its exit codes."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "polars", "scipy", "altair", "sklearn", "pydantic", "numpy")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "atlas_scaling", *arguments],
        check=False,
        capture_output=True,
        text=True,
    )


def imported_by(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_package_and_the_program_start_without_any_heavy_import():
    assert not imported_by("import atlas_scaling") & set(HEAVY)
    assert not imported_by("import atlas_scaling.cli.main") & set(HEAVY)


@pytest.mark.parametrize(
    "code",
    [
        "import atlas_scaling as a; a.plan.expand(from_languages=8, to_languages=16)",
        "import atlas_scaling.fitting.api",
        "import atlas_scaling.transfer.pairs",
        "import atlas_scaling.study.design",
    ],
)
def test_all_but_training_works_without_torch(code):
    assert "torch" not in imported_by(code)


@pytest.mark.parametrize(
    "command",
    [
        "demo",
        "study run",
        "runs check",
        "fit",
        "compare",
        "transfer bts",
        "plan expand",
        "report",
        "runs import",
    ],
)
def test_every_command_has_help_with_an_example(command):
    done = run(*command.split(), "--help")
    assert done.returncode == 0
    assert "Example: atlas" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["plan", "expand", "--from-languages", "x", "--to-languages", "16"],
        ["study", "run", "nowhere.yaml"],
        ["study", "run", "demmo"],
        ["runs", "check", "nowhere"],
        ["transfer", "sources", "klingon"],
        ["plan", "start", "--language", "vie_Latn", "--params", "-2", "--tokens", "1e9"],
    ],
)
def test_wrong_input_exits_with_2_and_a_message_that_is_no_traceback(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_with_json_an_error_is_one_document_too():
    done = run("transfer", "sources", "klingon", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["value"] == "'klingon'"


def test_python_offers_what_the_commands_do():
    import atlas_scaling as atlas

    assert atlas.plan.expand(
        from_languages=8, to_languages=16
    ).n_params_ratio.value == pytest.approx(2**0.243)
    assert atlas.laws.names()
    for module in (atlas.laws, atlas.plan, atlas.transfer):
        assert all(getattr(module, name) is not None for name in module.__all__)
    assert set(atlas.__all__) <= set(dir(atlas))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        atlas.nothing  # noqa: B018
