"""Those of examples/ that a node with four L4 can run: applied as they are, ready, and asked through one router.

`minimal.yaml` has a file of its own (`test_serving.py`), and the plans of the others are kept in `tests/unit/examples`.
Examples that fit beside each other run together, and leave the GPUs before the next ones are applied.
"""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
import yaml
from openai import OpenAI

from tests import media
from tests.e2e.chat import ROUTER, ask, forwarded, until_answered
from tests.e2e.objects import ENGINE, engine_pods
from tests.kubectl import Kubectl, Object, conditions, eventually, gemma

EXAMPLES = Path(__file__).parents[2] / "examples"
KEYS = {"team-a": "sk-of-the-team-a-of-these-tests", "team-b": "sk-of-the-team-b-of-these-tests"}
ANCHOR = "anchor"
READY_SECONDS = 150


@pytest.fixture(scope="module")
def url(kubectl: Kubectl, shared_namespace: str) -> Iterator[str]:
    """The router, with the keys of two clients, made as `several-behind-one-router.yaml` says: before all deployments.

    It would go with the last example of each test, and take half a minute to come back: a deployment without a
    replica, so without a GPU, keeps it.
    """
    literals = [f"--from-literal={client}={key}" for client, key in KEYS.items()]
    kubectl("create", "secret", "generic", f"{ROUTER}-keys", "-n", shared_namespace, *literals)
    kubectl.apply(gemma(ANCHOR, {"model": "e2b", "replicas": 0}), namespace=shared_namespace)
    eventually(
        lambda: kubectl.get("deployment", ROUTER, namespace=shared_namespace)["status"].get("readyReplicas", 0),
        seconds=180,
        what="a router pod is ready",
    )
    with forwarded(kubectl, shared_namespace, f"service/{ROUTER}", 80) as port:
        yield f"http://127.0.0.1:{port}/v1"


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[OpenAI]:
    """OpenAI's client of the router, with the key of one client."""
    with OpenAI(base_url=url, api_key=KEYS["team-a"], max_retries=0, timeout=120) as made:
        yield made


@contextlib.contextmanager
def applied(kubectl: Kubectl, namespace: str, *files: str) -> Iterator[dict[str, Object]]:
    """The GemmaDeployments of examples by name, Ready; afterwards they are gone and their GPUs free."""
    paths = [argument for file in files for argument in ("-f", str(EXAMPLES / file))]
    names = [name for file in files for name in _deployments(EXAMPLES / file)]
    kubectl("apply", "-n", namespace, *paths)
    try:
        wanted = [f"gdep/{name}" for name in names]
        kubectl(
            *("wait", "-n", namespace, "--for=condition=Ready", *wanted, f"--timeout={READY_SECONDS}s"),
            timeout=READY_SECONDS * len(names) + 10,
        )
        yield {name: kubectl.get("gdep", name, namespace=namespace) for name in names}
    finally:
        kubectl("delete", "-n", namespace, *paths, "--wait=false")
        _free(kubectl, namespace, names)


def _deployments(path: Path) -> list[str]:
    documents = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    return [each["metadata"]["name"] for each in documents if each["kind"] == "GemmaDeployment"]


def _free(kubectl: Kubectl, namespace: str, names: list[str]) -> None:
    """Wait for nothing but what would make the pods anew, then end them without their drain."""
    selector = f"gemma4stack.dev/deployment in ({','.join(names)})"
    eventually(
        lambda: kubectl.find("deployments,replicasets", namespace=namespace, selector=selector),
        until=lambda left: not left,
        seconds=120,
        what="garbage collection has removed the pools",
    )
    pods = ("delete", "pods", "-n", namespace, "-l", f"{ENGINE},{selector}")
    kubectl(*pods, "--force", "--grace-period=0", "--wait=false")
    eventually(
        lambda: kubectl.find("pods", namespace=namespace, selector=ENGINE),
        until=lambda left: not left,
        seconds=60,
        what="no engine pod holds a GPU",
    )


def plan(obj: Object) -> str:
    """What runs, such as `31b int4 on 2×l4`."""
    return f"{obj['status']['model']} on {obj['status']['accelerator']}"


def run(url: str, program: str, *arguments: str | Path) -> tuple[str, str]:
    """Standard output and error of a program of examples/clients, with the router's address and a key."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / "clients" / program, *arguments],
        env={"PATH": os.environ["PATH"], "OPENAI_BASE_URL": url, "OPENAI_API_KEY": KEYS["team-a"]},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


def test_several_models_behind_one_router(kubectl: Kubectl, shared_namespace: str, url: str, client: OpenAI) -> None:
    with applied(kubectl, shared_namespace, "several-behind-one-router.yaml") as found:
        assert {name: plan(obj) for name, obj in found.items()} == {
            "large": "31b int4 on 2×l4",
            "small": "e4b bf16 on 1×l4",
            "tiny": "e2b bf16 on 1×l4",
        }
        for name in ("large", "gpt-4o", "small", "gpt-4o-mini", "tiny"):
            assert until_answered(client, name)
        served = {model.id for model in client.models.list()}
        assert served == {"large", "gpt-4o", "small", "gpt-4o-mini", "tiny", ANCHOR}
        with OpenAI(base_url=url, api_key=KEYS["team-b"], max_retries=0, timeout=120) as other:
            assert ask(other, "small")
        with (
            OpenAI(base_url=url, api_key="sk-of-nobody-of-these-tests", max_retries=0, timeout=120) as stranger,
            pytest.raises(openai.AuthenticationError),
        ):
            ask(stranger, "small")
    kept = kubectl.get("secret", f"{ROUTER}-keys", namespace=shared_namespace)["data"]
    assert set(kept) == set(KEYS), "the operator adds no key to a Secret that was there"


def test_tools_and_thinking(kubectl: Kubectl, shared_namespace: str, url: str, client: OpenAI) -> None:
    """The stand-in calls a tool whose name is in the question, and repeats what the tool said."""
    with applied(kubectl, shared_namespace, "tools.yaml", "thinking.yaml") as found:
        assert {plan(obj) for obj in found.values()} == {"31b int4 on 2×l4"}
        for name in found:
            assert until_answered(client, name, tokens=256), "thoughts come before the answer, and count"
        answer, notes = run(url, "agent.py", "agent", "What is the local time?")
        [result] = re.findall(r"^local_time\(.*\) = (\d\d:\d\d in Europe/Berlin)$", notes, flags=re.MULTILINE)
        assert f"{result} (from a tool)" in answer
        answer, thoughts = run(url, "thinking.py", "thinker", "How many primes?")
        assert thoughts.startswith("The request is: How many primes?"), "thinking is on by default"
        assert answer.startswith("You said: How many primes?")
        _, thoughts = run(url, "thinking.py", "thinker", "How many primes?", "--no-thinking")
        assert not thoughts


def test_small_models_and_fixed_replicas(kubectl: Kubectl, shared_namespace: str, client: OpenAI) -> None:
    files = ("model-e2b.yaml", "model-e4b.yaml", "fixed-replicas.yaml", "cpu.yaml")
    with applied(kubectl, shared_namespace, *files) as found:
        assert {name: plan(obj) for name, obj in found.items()} == {
            "e2b": "e2b bf16 on 1×l4",
            "e4b": "e4b bf16 on 1×l4",
            "steady": "e4b bf16 on 1×l4",
            "try": "e2b bf16 on cpu",
        }
        for name in found:
            assert until_answered(client, name)
        assert len(engine_pods(kubectl, shared_namespace, "steady")) == 2
        scaling = conditions(found["steady"])["ScalingActive"]
        assert (scaling["status"], scaling["reason"]) == ("False", "FixedReplicas")


def test_images_speech_an_hpa_and_scale_to_zero(
    kubectl: Kubectl, shared_namespace: str, url: str, client: OpenAI, tmp_path: Path
) -> None:
    """Nothing serves the metric of the HPA here, so it keeps the number; `test_external.py` has one that decides."""
    files = ("multimodal.yaml", "external-hpa.yaml", "scale-to-zero.yaml")
    with applied(kubectl, shared_namespace, *files) as found:
        # One that sleeps is ready too; the router keeps the question until a replica has started.
        for name in found:
            assert until_answered(client, name)
        alone = run(url, "multimodal.py", "senses", "What is this?")
        both = ("--image", media.pixel(tmp_path), "--audio", media.silence(tmp_path))
        seen = run(url, "multimodal.py", "senses", "What is this?", *both)
        counted = [int(re.findall(r"prompt tokens: (\d+)", notes)[0]) for _, notes in (alone, seen)]
        assert counted[1] > counted[0] + 200, "an image is some 280 tokens"
        scaling = conditions(found["by-hpa"])["ScalingActive"]
        assert (scaling["status"], scaling["reason"]) == ("False", "External")
        target = kubectl.get("hpa", "by-hpa", namespace=shared_namespace)["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) == ("GemmaDeployment", "by-hpa")


def test_weights_on_a_volume_brought_in_or_filled_once(kubectl: Kubectl, shared_namespace: str, client: OpenAI) -> None:
    """The volumes are folders of the only node, which several pods can mount as they would a share."""
    kubectl("create", "secret", "generic", "hugging-face", "-n", shared_namespace, "--from-literal=token=hf_none")
    brought = {"metadata": {"name": "gemma-weights"}, "spec": {"storageClassName": "brought", **_SHARED}}
    with _volume(kubectl, "brought"), _volume(kubectl, "nfs"):
        kubectl.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", **brought}, namespace=shared_namespace)
        with applied(kubectl, shared_namespace, "air-gapped.yaml") as found:
            assert plan(found["inside"]) == "26b-a4b fp8 on 2×l4"
            [pod] = engine_pods(kubectl, shared_namespace, "inside")
            assert "gemma-weights" in _claims(pod)
            assert until_answered(client, "inside")
        with applied(kubectl, shared_namespace, "cached-weights.yaml") as found:
            assert plan(found["chat"]) == "31b int4 on 2×l4"
            pods = engine_pods(kubectl, shared_namespace, "chat")
            [claim] = {claim for pod in pods for claim in _claims(pod)}
            assert len(pods) == 2
            assert until_answered(client, "chat")
        kept = kubectl.get("pvc", claim, namespace=shared_namespace)
        assert kept["status"]["phase"] == "Bound", "the volume outlives the GemmaDeployment"
        kubectl("delete", "pvc", "gemma-weights", claim, "-n", shared_namespace, "--wait=false")


_SHARED = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "200Gi"}}}


@contextlib.contextmanager
def _volume(kubectl: Kubectl, storage_class: str) -> Iterator[None]:
    """A PersistentVolume that a claim of a class binds to; the class needs no provisioner for that."""
    name = f"e2e-{storage_class}"
    spec = {
        "storageClassName": storage_class,
        "capacity": {"storage": "200Gi"},
        "accessModes": ["ReadWriteMany"],
        "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": f"/var/lib/{name}", "type": "DirectoryOrCreate"},
    }
    kubectl.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec})
    try:
        yield
    finally:
        kubectl("delete", "pv", name, "--wait=false")


def _claims(pod: Object) -> set[str]:
    volumes = pod["spec"]["volumes"]
    return {each["persistentVolumeClaim"]["claimName"] for each in volumes if "persistentVolumeClaim" in each}


def test_a_budget(kubectl: Kubectl, shared_namespace: str, client: OpenAI) -> None:
    with applied(kubectl, shared_namespace, "budget.yaml") as found:
        assert plan(found["chat"]) == "31b int4 on 2×l4"
        assert float(found["chat"]["status"]["costPerHour"]) <= found["chat"]["spec"]["maxCostPerHour"]
        assert until_answered(client, "chat")
