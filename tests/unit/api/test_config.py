"""The operator's configuration: what cannot be meant is refused with a remedy."""

import pytest
from gemma_operator.api.config import OperatorConfig
from pydantic import ValidationError

L4 = {"accelerator": "l4", "gpusPerNode": 8, "nodes": 1, "labels": {"gpu": "l4"}}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"inventory": {"source": "static"}}, "describe them in inventory.nodes"),
        ({"inventory": {"nodes": [L4]}}, "remove the list, or set the source"),
        ({"inventory": {"source": "static", "nodes": [{**L4, "labels": {}}]}}, "inventory.nodes.0.labels"),
        ({"inventory": {"source": "static", "nodes": [{**L4, "nodes": 0}]}}, "inventory.nodes.0.nodes"),
        ({"namespaces": ["a", "a"]}, "namespaces names one of them twice"),
        ({"namespaces": ["team-*"]}, "namespaces.0"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        OperatorConfig.model_validate(fields)
    assert says in str(refused.value)


def test_a_static_inventory_may_hold_nodes_to_be_added_alone() -> None:
    entry = {"accelerator": "l4", "gpusPerNode": 8, "nodes": 1}
    config = OperatorConfig.model_validate({"inventory": {"source": "static"}, "provisionable": [entry]})
    assert not config.reads_nodes
    assert OperatorConfig().reads_nodes
