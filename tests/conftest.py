"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples in every run, and none too slow for a busy machine, so that a red build is about
# its change; `make properties` draws others, to look for what these miss.
patient = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("steady", derandomize=True, **patient)
settings.register_profile("search", max_examples=300, **patient)
settings.load_profile("steady")

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def shared_data() -> Path:
    """Real measurements that lie beside the project; tests on them are skipped elsewhere."""
    path = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not path.is_dir():
        pytest.skip("the folder shared/data with public measurements is not beside the project")
    return path


@pytest.fixture
def shared_published() -> Path:
    """The paper's tables as read from it, to check the packaged copies against."""
    path = Path(__file__).resolve().parents[2] / "shared" / "published"
    if not path.is_dir():
        pytest.skip("the folder shared/published is not beside the project")
    return path
