"""What belongs to no command in particular."""

import pytest
from gemma_operator import __version__


@pytest.mark.parametrize("arguments", [("--version",), ("version",)])
def test_the_version(run, arguments):
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (0, f"kubectl-gemma {__version__}\n")


@pytest.mark.parametrize("command", ["images", "accelerators"])
def test_commands_that_read_no_cluster_promise_no_configuration_of_one(run, command):
    text = " ".join(run(command, "--help").stdout.split())
    assert "The operator's configuration; unset: the defaults." in text
    assert "cluster or dump" not in text
