"""Tools that read kstatus see every state of a GemmaDeployment for what it is."""

import pytest

from tests.unit.reconcile.kstatus import kstatus, states

STATES = states()


@pytest.mark.parametrize("state", STATES)
def test_kstatus_of(state: str) -> None:
    obj, says = STATES[state]
    assert kstatus(obj) == says


def test_one_that_is_deleted_is_terminating() -> None:
    obj, _ = STATES["serves"]
    gone = obj | {"metadata": obj["metadata"] | {"deletionTimestamp": "2026-01-02T00:00:00Z"}}
    assert kstatus(gone) == "Terminating"


def test_without_the_default_of_the_crd_a_new_one_would_pass_for_done() -> None:
    obj, _ = STATES["was just made"]
    assert kstatus({"metadata": obj["metadata"]}) == "Current"
