"""After a step a new replica takes requests that wait in the router; what waits inside an engine stays there."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.request import urlopen

import pytest
from openai import OpenAI
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.chat import forwarded, router_client
from tests.e2e.conftest import OPERATOR, SYSTEM
from tests.e2e.loaded import NAME, deploy
from tests.e2e.objects import engine_pods
from tests.kubectl import Kubectl, Object, eventually

pytestmark = pytest.mark.long
STREAMS, TOKENS = 40, 36
"""A minute of work for one replica that runs two at once, twelve tokens a second each."""


@pytest.fixture
def no_operator(kubectl: Kubectl) -> Iterator[None]:
    """Nobody corrects the routes and the number of replicas meanwhile."""
    yield
    kubectl("scale", "deployment", "-n", SYSTEM, "-l", OPERATOR, "--replicas=2")
    kubectl("rollout", "status", "deployment", "-n", SYSTEM, "-l", OPERATOR, "--timeout=120s", timeout=130)


def _stream(client: OpenAI) -> float:
    """Read one stream to its end; when its first token came."""
    with client.chat.completions.with_streaming_response.create(
        model=NAME,
        messages=[{"role": "user", "content": "Tell me a long story."}],
        max_tokens=TOKENS,
        stream=True,
        extra_body={"ignore_eos": True},
    ) as response:
        lines = (line for line in response.iter_lines() if line.startswith("data:"))
        next(lines)
        begun = time.monotonic()
        assert list(lines)[-1] == "data: [DONE]"
    return begun


def _replicas(kubectl: Kubectl, namespace: str, count: int) -> list[Object]:
    kubectl("scale", f"deployment/{NAME}-0", "-n", namespace, f"--replicas={count}")
    kubectl("rollout", "status", f"deployment/{NAME}-0", "-n", namespace, "--timeout=180s", timeout=190)
    return eventually(
        lambda: engine_pods(kubectl, namespace, NAME),
        until=lambda pods: len(pods) == count,
        seconds=60,
        what=f"{count} replicas",
    )


def _answered(kubectl: Kubectl, namespace: str, pod: Object) -> int:
    """Requests that an engine has completed, its start-up probe's too."""
    with (
        forwarded(kubectl, namespace, f"pod/{pod['metadata']['name']}", 8000) as port,
        urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer,
    ):
        text = answer.read().decode()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return int(sum(sample.value for sample in samples if sample.name == "vllm:request_success_total"))


def _step(kubectl: Kubectl, namespace: str) -> tuple[int, float]:
    """Many streams at once on one replica, then a second one: streams that it took, seconds until the last began."""
    [first] = _replicas(kubectl, namespace, 1)
    with router_client(kubectl, namespace) as client, ThreadPoolExecutor(STREAMS) as pool:
        asked = [pool.submit(_stream, client) for _ in range(STREAMS)]
        both = _replicas(kubectl, namespace, 2)
        appeared = time.monotonic()
        [second] = [pod for pod in both if pod["metadata"]["uid"] != first["metadata"]["uid"]]
        before = _answered(kubectl, namespace, second)
        begun = [each.result() for each in asked]
    return _answered(kubectl, namespace, second) - before, max(begun) - appeared


def test_a_new_replica_takes_what_waits_in_the_router(kubectl: Kubectl, namespace: str, no_operator: None) -> None:
    deploy(kubectl, namespace, replicas=1)
    kubectl("scale", "deployment", "-n", SYSTEM, "-l", OPERATOR, "--replicas=0")
    kubectl("wait", "pod", "-n", SYSTEM, "-l", OPERATOR, "--for=delete", "--timeout=60s", timeout=70)
    late, late_last = _step(kubectl, namespace)
    config = kubectl.get("configmap", "gemma-router-routes", namespace=namespace)
    routes = json.loads(config["data"]["routes.json"])
    for route in routes["deployments"]:
        del route["maxNumSeqs"]
    change = json.dumps({"data": {"routes.json": json.dumps(routes)}})
    kubectl("patch", "configmap", "gemma-router-routes", "-n", namespace, "--type=merge", "-p", change)
    plain, plain_last = _step(kubectl, namespace)
    print(
        f"of {STREAMS} streams the new replica took {late}, the last began {late_last:.1f} s after it came; "
        f"sent at once it took {plain}, {plain_last:.1f} s"
    )
    assert plain == 0
    assert late >= STREAMS // 5
