"""No API server, or one that does not let in: one line with what to do."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from gemma_operator.api.errors import ApiError
from gemma_operator.cli import session
from gemma_operator.cli.failure import CliError

REMEDY = "see whether `kubectl cluster-info` reaches it"


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """Of an API server where nobody listens."""
    path = tmp_path / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "one", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "me", "user": {"token": "not-a-secret"}}],
        "contexts": [{"name": "it", "context": {"cluster": "one", "user": "me", "namespace": "team"}}],
        "current-context": "it",
    }
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize("command", [("status",), ("dump",), ("explain", "chat"), ("export",), ("upgrade", "--all")])
def test_an_api_server_that_is_away(run, kubeconfig, command):
    result = run(*command, "--kubeconfig", kubeconfig)
    assert (result.exit_code, result.stdout) == (1, "")
    [line] = result.stderr.splitlines()
    assert line.startswith("error: the API server http://127.0.0.1:1 is not reached for LIST /api")
    assert f": Connection refused: {REMEDY}" in line


@pytest.mark.parametrize("command", [("status",), ("plan", "-f", "-"), ("dump",)])
def test_a_kubeconfig_that_is_not_there(run, tmp_path, command):
    stdin = "{apiVersion: gemma4stack.dev/v1alpha1, kind: GemmaDeployment, metadata: {name: chat}}"
    result = run(*command, "--kubeconfig", tmp_path / "none", stdin=f"---\n{stdin}")
    assert (result.exit_code, result.stdout) == (1, "")
    [line] = result.stderr.splitlines()
    assert line.startswith(
        f"error: no cluster to talk to: there is no kubeconfig {tmp_path / 'none'}: name a kubeconfig"
    )


@pytest.mark.parametrize("output", ["json", "yaml", "table"])
def test_the_doctor_tells_it_as_a_check(run, kubeconfig, output):
    result = run("doctor", "--kubeconfig", kubeconfig, "-o", output)
    assert result.exit_code == 1
    assert result.stderr == ""
    if output == "table":
        assert result.stdout.startswith("fail  API server  the API server http://127.0.0.1:1 is not reached")
        assert REMEDY in result.stdout
        return
    body = json.loads(result.stdout) if output == "json" else yaml.safe_load(result.stdout)
    [check] = body["checks"]
    assert (body["namespace"], check["check"], check["result"]) == ("team", "API server", "fail")
    assert "Connection refused" in check["message"]
    assert REMEDY in check["remedy"]


def test_credentials_that_are_not_accepted():
    async def work() -> Any:
        raise ApiError(status=401, reason="Unauthorized", message="Unauthorized", verb="LIST", path="/api")

    with pytest.raises(CliError, match="does not accept your credentials: log in to the cluster again"):
        session.run(work())
