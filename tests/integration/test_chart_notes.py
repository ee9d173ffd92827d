"""What a person reads after the installation: commands that can be pasted, and warnings."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests import helm
from tests.helm import STACK, Object

# The first test builds helm where it is missing.
pytestmark = pytest.mark.timeout(900)

STUB = """#!/bin/bash
calls=$CALLS/$BASHPID
printf '%s\\0' "${0##*/}" "$@" >"$calls"
case " $* " in
  *" -f - "*) cat >"$calls.stdin" ;;
  *" get secret "*) echo -n c2VjcmV0 ;;
esac
"""
"""Writes its arguments to a file of its own; a Secret holds `secret`."""


def notes(values: Object) -> str:
    arguments = ("gemma", STACK, "--dry-run=client", "--namespace", "gemma-system", "--values", "-")
    done = helm.helm("install", *arguments, stdin=json.dumps(values))
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:\n")[2]


def commands(text: str) -> list[str]:
    """The paragraphs that are commands."""
    return [part for part in text.split("\n\n") if part.lstrip().startswith(("kubectl ", "helm "))]


def pasted(text: str, folder: Path) -> tuple[list[list[str]], list[str]]:
    """Commands run by bash with programs that note how they were called: the calls, and what they read."""
    programs, calls = folder / "bin", folder / "calls"
    programs.mkdir()
    calls.mkdir()
    for name in ("kubectl", "helm", "curl"):
        (programs / name).write_text(STUB)
        (programs / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "CALLS": str(calls)}
    script = text + "\nwait\n"
    done = subprocess.run(["bash", "-eu"], input=script, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    called = [path.read_text().split("\0")[:-1] for path in calls.iterdir() if path.suffix != ".stdin"]
    return called, [path.read_text() for path in calls.glob("*.stdin")]


@pytest.mark.parametrize(("watched", "namespace"), [([], "default"), (["team-a", "team-b"], "team-a")])
def test_the_next_steps_can_be_pasted(watched: list[str], namespace: str, tmp_path: Path) -> None:
    called, [applied] = pasted("\n\n".join(commands(notes({"watchNamespaces": watched}))), tmp_path)
    here = ["-n", namespace]
    key = "jsonpath={.data.default}"
    [curl] = [call for call in called if call[0] == "curl"]
    assert sorted(call for call in called if call != curl) == sorted(
        [
            ["helm", "test", "gemma", "-n", "gemma-system"],
            ["kubectl", "apply", *here, "-f", "-"],
            ["kubectl", "wait", *here, "--for=condition=Ready", "gdep/chat", "--timeout=30m"],
            ["kubectl", "port-forward", *here, "service/gemma-router", "8080:80"],
            ["kubectl", "get", "secret", "gemma-router-keys", *here, "-o", key],
            ["kubectl", "get", "gdep", "chat", *here, "-o", "wide"],
        ]
    )
    assert {"--retry", "--retry-connrefused", "http://127.0.0.1:8080/v1/chat/completions"} <= set(curl), (
        "the port is forwarded a moment later"
    )
    assert "Authorization: Bearer secret" in curl
    assert json.loads(curl[curl.index("-d") + 1])["model"] == "chat"
    obj = yaml.safe_load(applied)
    assert (obj["kind"], obj["metadata"], obj.get("spec")) == ("GemmaDeployment", {"name": "chat"}, None)


def test_nothing_is_warned_of_without_a_reason() -> None:
    assert "WARNING" not in notes({})


WARNINGS: dict[str, Object] = {
    "crds.enabled is false": {"crds": {"enabled": False}},
    "crds.keep is false": {"crds": {"keep": False}},
    "rbac.create is false": {"rbac": {"create": False}},
    "image.tag is latest": {"image": {"tag": "latest"}},
    "metrics.service.enabled is false": {"metrics": {"service": {"enabled": False}}},
    "metrics.rules.enabled is true, but no monitor is": {"metrics": {"rules": {"enabled": True}}},
    "metrics.podMonitors.enabled is true, but config.monitoringNamespace is not set": {
        "metrics": {"rules": {"enabled": True}, "podMonitors": {"enabled": True}},
        "networkPolicy": {"enabled": True},
    },
    "metrics.serviceMonitor.enabled is true, but config.monitoringNamespace is not set": {
        "metrics": {"rules": {"enabled": True}, "serviceMonitor": {"enabled": True}},
        "networkPolicy": {"enabled": True},
    },
}


@pytest.mark.parametrize("warning", WARNINGS)
def test_what_is_likely_wrong_is_warned_of(warning: str) -> None:
    told = notes(WARNINGS[warning])
    assert told.count("WARNING") == 1
    assert f"WARNING: {warning}" in told


SERVICE_MONITOR: Object = {"serviceMonitor": {"enabled": True}}


@pytest.mark.parametrize(
    "values",
    [
        {"metrics": SERVICE_MONITOR},
        {"metrics": SERVICE_MONITOR, "networkPolicy": {"enabled": True, "metricsFrom": [{"namespaceSelector": {}}]}},
        {
            "metrics": {**SERVICE_MONITOR, "podMonitors": {"enabled": True}, "rules": {"enabled": True}},
            "networkPolicy": {"enabled": True},
            "config": {"monitoringNamespace": "monitoring"},
        },
    ],
)
def test_a_monitor_that_is_let_in_is_not_warned_of(values: Object) -> None:
    assert "WARNING" not in notes(values)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"watchNamespaces": ["team-a"], "rbac": {"aggregateClusterRoles": False}},
        {"rbac": {"nodes": False}, "config": {"provisionable": [{"accelerator": "l4", "gpusPerNode": 1, "nodes": 1}]}},
    ],
    ids=["cluster", "namespaced", "without-nodes"],
)
def test_who_grants_the_rights_gets_all_of_them_from_one_command(values: Object, tmp_path: Path) -> None:
    told = notes({**values, "rbac": {**values.get("rbac", {}), "create": False}})
    [command] = [part for part in commands(told) if "helm template" in part]
    called, _ = pasted(command, tmp_path)
    [arguments] = [call[1:] for call in called if call[0] == "helm"]
    assert ["kubectl", "apply", "-f", "-"] in called
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values))
    done = helm.helm(*[{"CHART": STACK, "VALUES": file}.get(argument, argument) for argument in arguments])
    assert done.returncode == 0, done.stderr
    wanted = [obj for obj in helm.rendered(STACK, values) if obj["apiVersion"].startswith("rbac.authorization.k8s.io/")]
    found = [obj for obj in yaml.safe_load_all(done.stdout) if obj]
    assert sorted(map(json.dumps, found)) == sorted(map(json.dumps, wanted))
