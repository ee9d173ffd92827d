import pytest
from gemma_operator.inventory.matching import matches_terms, tolerates, untolerated
from gemma_operator.inventory.types import Taint

GPU = Taint(key="nvidia.com/gpu", value="present", effect="NoSchedule")


@pytest.mark.parametrize(
    ("toleration", "covered"),
    [
        ({"key": "nvidia.com/gpu", "operator": "Exists"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "nvidia.com/gpu", "operator": "Equal", "value": "present"}, True),
        ({"key": "nvidia.com/gpu", "value": "present"}, True),
        ({"key": "nvidia.com/gpu", "value": "absent"}, False),
        ({"key": "amd.com/gpu", "operator": "Exists"}, False),
        ({"operator": "Exists"}, True),
        ({}, False),
    ],
)
def test_tolerations(toleration, covered):
    assert tolerates(toleration, GPU) is covered
    assert untolerated([GPU], [toleration]) == (() if covered else (GPU,))


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ({"key": "zone", "operator": "In", "values": ["a", "b"]}, True),
        ({"key": "zone", "operator": "In", "values": ["c"]}, False),
        ({"key": "zone", "operator": "NotIn", "values": ["a"]}, False),
        ({"key": "other", "operator": "NotIn", "values": ["a"]}, True),
        ({"key": "zone", "operator": "Exists"}, True),
        ({"key": "other", "operator": "DoesNotExist"}, True),
        ({"key": "zone", "operator": "DoesNotExist"}, False),
        ({"key": "memory", "operator": "Gt", "values": ["22000"]}, True),
        ({"key": "memory", "operator": "Lt", "values": ["22000"]}, False),
        ({"key": "zone", "operator": "Gt", "values": ["1"]}, False),
    ],
)
def test_expressions(expression, selected):
    labels = {"zone": "a", "memory": "23034"}
    assert matches_terms([{"matchExpressions": [expression]}], labels=labels, name="n") is selected


def test_terms_are_alternatives_and_expressions_are_not():
    here = {"key": "zone", "operator": "In", "values": ["a"]}
    there = {"key": "zone", "operator": "In", "values": ["b"]}
    labels = {"zone": "a"}
    assert matches_terms([{"matchExpressions": [there]}, {"matchExpressions": [here]}], labels=labels, name="n")
    assert not matches_terms([{"matchExpressions": [there, here]}], labels=labels, name="n")
    assert matches_terms([], labels=labels, name="n")
    assert not matches_terms([{}], labels=labels, name="n"), "an empty term selects nothing"


def test_fields_select_by_name():
    field = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}
    assert matches_terms([field], labels={}, name="n")
    assert not matches_terms([field], labels={}, name="m")
