"""Problems say what happened, which field, and what to do."""

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from fraud.http.problems import of_validation


class Body(BaseModel):
    """A body as the endpoints have them."""

    model_config = ConfigDict(extra="forbid")
    amount: float


def test_an_unknown_field_is_named_with_where_the_known_ones_are() -> None:
    with pytest.raises(ValidationError) as refused:
        Body.model_validate({"amount": 1.0, "device_id": "d-9"})
    problem = of_validation(refused.value)
    assert problem.status == 422
    assert problem.detail == "device_id: unknown field; GET /openapi.json lists the fields of this deployment"
