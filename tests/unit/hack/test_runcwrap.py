"""The runtime wrapper takes away what the host cannot give, and nothing else."""

import pytest
from localk8s import runcwrap


def test_the_capability_and_what_needs_it_go() -> None:
    process = {
        "args": ["sleep", "1"],
        "capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "effective": ["CAP_SYS_RESOURCE"]},
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1, "soft": 1}],
        "oomScoreAdj": -999,
    }
    assert runcwrap.without_sys_resource(process) == {
        "args": ["sleep", "1"],
        "capabilities": {"bounding": ["CAP_CHOWN"], "effective": []},
    }


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["create", "--bundle", "/b", "id"], "/b"),
        (["create", "--bundle=/b", "id"], "/b"),
        (["run", "-b", "/b", "id"], "/b"),
        (["delete", "id"], None),
    ],
)
def test_the_bundle_is_found_however_it_is_given(arguments: list[str], value: str | None) -> None:
    assert runcwrap.argument(arguments, "--bundle", "-b") == value
