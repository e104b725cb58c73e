import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.study.engines.options import (
    LocalOptions,
    RayOptions,
    SlurmOptions,
    choose_options,
    load_study_file,
    minutes,
    note_options,
    noted_options,
)
from atlas_scaling.study.spec import load_study, packaged_studies, study_path
from tests.study.trial import SPEC

SECTION = "engine: {kind: slurm, partition: gpu, time: 04:00:00, sizes: {m: {gpus: 8, time: 2d}}}\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "trial.yaml"
    path.write_text(SPEC + SECTION)
    return path


def test_an_engine_section_is_no_part_of_what_the_study_is(file):
    spec, section = load_study_file(file)
    file.write_text(SPEC)
    assert spec == load_study(file)
    assert (section.kind, section.partition, section.time) == ("slurm", "gpu", 240)


def test_a_size_may_ask_for_more_than_the_rest(file):
    _, section = load_study_file(file)
    assert (section.resources_of("s").gpus, section.resources_of("s").time) == (0, 240)
    assert (section.resources_of("m").gpus, section.resources_of("m").time) == (8, 2880)
    assert section.resources_of("m").partition == "gpu"


def test_the_command_line_counts_over_the_file_of_the_same_kind(file):
    _, section = load_study_file(file)
    assert choose_options(None, ["time=30m"], section).time == 30
    assert choose_options("slurm", ["partition=cpu"], section).time == 240
    assert choose_options("local", ["workers=3"], section) == LocalOptions(workers=3)
    assert choose_options(None, [], None) == LocalOptions()


def test_a_file_with_nothing_but_an_engine_section_is_an_engine(tmp_path):
    path = tmp_path / "ours.yaml"
    path.write_text("engine: {kind: ray, address: auto, cpus: 4}\n")
    assert choose_options(str(path), ["gpus=0.5"], None) == RayOptions(
        address="auto", cpus=4, gpus=0.5
    )


def test_what_carried_a_study_out_is_noted_in_its_folder(tmp_path):
    assert noted_options(tmp_path) == LocalOptions()
    options = SlurmOptions(partition="gpu", setup=("module load cuda",), extra={"reservation": "a"})
    note_options(tmp_path, options)
    assert noted_options(tmp_path) == options


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # the forms that sbatch(1) lists for --time
        ("90", 90),
        ("10:30", 11),
        ("04:30:00", 270),
        ("2-12", 60 * 60),
        ("1-00:30", 24 * 60 + 30),
        ("1-01:00:01", 25 * 60 + 1),
        # and shorter ones
        ("90m", 90),
        ("4h", 240),
        ("2 d", 2880),
    ],
)
def test_times_are_read_as_sbatch_reads_them(text, expected):
    assert minutes(text) == expected


@pytest.mark.parametrize(
    ("arguments", "problem", "remedy"),
    [
        (("slum", []), "no such engine", "'slurm'"),
        (("slurm", ["partiton=gpu"]), "unknown key 'partiton'", "'partition'"),
        (("slurm", ["time=soon"]), "write a time like", None),
        (("slurm", ["time=0"]), "greater than 0", None),
        (("slurm", ["sizes={m: {gpu: 8}}"]), r"sizes\.m: unknown key 'gpu'", "'gpus'"),
        (("slurm", ["time=2m"]), "must be less than the time limit", None),
        (("slurm", ["nodes=2", "gpus=8"]), r"over 2 nodes; one a gpu .*processes: 16", None),
        (("slurm", ["nodes=2", "hardware={processes: 3}"]), "processes: 3 .* over 2 nodes", None),
        (("slurm", ["nodes=2", "gpus=1", "hardware={processes: 4}"]), "2 on each, .* 1 gpus", None),
        (("slurm", ["nodes=2", "workers=2", "hardware={processes: 2}"]), "one run at a time", None),
        (("slurm", ["sizes={m: {nodes: 2}}"]), r"sizes\.m: processes: 1", None),
        (("local", ["nodes=2"]), "unknown key 'nodes'", None),
        (("slurm", ["gpus"]), "KEY=VALUE", "partition=gpu"),
        (("ray", ["retries=-1"]), "greater than or equal to 0", None),
        (("local", ["workers=[1"]), "not valid YAML", None),
        (("gone.yaml", []), "no such file", None),
    ],
)
def test_wrong_options_are_refused_with_what_to_write(arguments, problem, remedy):
    with pytest.raises(InputError, match=problem) as caught:
        choose_options(*arguments, None)
    if remedy is not None:
        assert remedy in caught.value.remedy


def test_a_wrong_key_in_a_section_is_named_with_its_line(file):
    file.write_text(SPEC + "engine:\n  kind: slurm\n  acount: x\n")
    with pytest.raises(InputError, match="unknown key 'acount'") as caught:
        load_study_file(file)
    assert "engine.acount" in caught.value.where
    assert caught.value.remedy == "did you mean 'account'?"


def test_the_name_of_a_packaged_study_is_no_folder_that_its_first_call_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    assert study_path("demo") == packaged_studies()["demo"]


def test_a_misspelt_key_of_an_engine_is_answered_with_the_nearest_once(tmp_path):
    path = tmp_path / "trial.yaml"
    path.write_text(SPEC + "engine: {kind: local, worker: 3}\n")
    with pytest.raises(InputError, match="unknown key 'worker'") as caught:
        load_study_file(path)
    assert caught.value.remedy == "did you mean 'workers'?"
