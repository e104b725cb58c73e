"""What the OpenAPI description allows is answered as it says, and never by a failure of ours."""

import pytest

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from atlas_scaling.web.app import create_app  # noqa: E402

DESCRIPTION = create_app(None).openapi()
SCHEMA = schemathesis.openapi.from_dict(DESCRIPTION)
OPERATIONS = {one.ok().label: one.ok() for one in SCHEMA.get_all_operations()}
CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]


@pytest.mark.parametrize("label", OPERATIONS)
def test_every_operation_answers_as_it_is_described(label, address):
    operation = OPERATIONS[label]
    operation.schema.config.update(base_url=address)

    @given(case=operation.as_strategy())
    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    def run(case):
        case.call_and_validate(base_url=address, checks=CHECKS, timeout=30)

    run()


def test_the_description_names_every_answer_and_the_one_failure():
    assert len(OPERATIONS) > 25
    for path, operations in DESCRIPTION["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
            assert operation["responses"]["200"]["description"], path
            failure = operation["responses"]["422"]["content"]["application/json"]["schema"]
            assert failure == {"$ref": "#/components/schemas/Failure"}, path
    for name in ("Allocation", "Expansion", "StartAdvice", "CostAnswer", "NextRuns", "RunsPage"):
        assert DESCRIPTION["components"]["schemas"][name]["properties"]
