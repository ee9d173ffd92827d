"""Ages that survive a clock that is set: only what was there at the first look is aged by the wall clock."""

from datetime import UTC, datetime, timedelta

import pytest
from gemma_operator.reconcile.ages import Ages


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def test_what_was_there_at_the_first_look_has_the_age_of_its_time() -> None:
    ages = Ages()
    ages.look(50.0)
    born = ago(300)
    assert ages.since("a", born) == pytest.approx(300, abs=2)
    ages.look(60.0)
    assert ages.since("a", born) == pytest.approx(310, abs=2)


@pytest.mark.parametrize("jump", [-7200, 7200])
def test_what_is_met_later_is_no_older_than_the_look_before(jump: float) -> None:
    """The wall clock was set, so that what happened just now carries a time hours away."""
    ages = Ages()
    ages.look(0.0)
    ages.look(5.0)
    ages.look(10.0)
    met = ages.since("a", born := ago(jump))
    assert 0 <= met <= 5
    ages.look(70.0)
    assert ages.since("a", born) == met + 60


def test_a_new_time_of_the_same_thing_is_a_new_age() -> None:
    ages = Ages()
    ages.look(0.0)
    ages.since("node for a", ago(100))
    ages.look(5.0)
    assert ages.since("node for a", ago(0)) <= 5


def test_what_is_no_longer_asked_for_is_forgotten() -> None:
    ages = Ages()
    ages.look(0.0)
    born = ago(500)
    ages.since("a", born)
    ages.look(5.0)
    ages.look(10.0)
    assert ages.since("a", born) == 5
