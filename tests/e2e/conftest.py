"""Kind clusters of their own with the whole stack; kept with GEMMA_KEEP=1, deleted otherwise.

Files marked `long` run on a control plane and two workers, everything else on one node.
"""

import contextlib
import os
import random
import threading
import uuid
from collections.abc import Callable, Generator, Iterator

import pytest
import stack
from localk8s import binaries, cluster, paths

from tests.e2e.audit import AuditLog
from tests.e2e.situation import situation
from tests.kubectl import Kubectl

CLUSTER = os.environ.get("GEMMA_E2E_CLUSTER", "gemma-e2e")
LOAD_CLUSTER = os.environ.get("GEMMA_LOAD_CLUSTER", "gemma-load")
SYSTEM = "gemma-system"
OPERATOR = "app.kubernetes.io/part-of=gemma4-stack"
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for its cluster, which takes minutes where everything is built."""
    ours = [item for item in items if "tests/e2e" in item.path.as_posix()]
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)
    first = {bool(item.get_closest_marker("long")): item for item in reversed(ours)}
    for item in ours:
        item.add_marker(pytest.mark.timeout(3600 if item in first.values() else 900, func_only=False))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say with a failed test what the cluster looked like: it is gone, or has moved on, when people read of it."""
    report = yield
    kubectl = getattr(item, "funcargs", {}).get("kubectl")
    if report.failed and isinstance(kubectl, Kubectl):
        try:
            text = situation(kubectl)
        except Exception as error:  # the cluster may be what failed; the test's own failure must be reported still
            text = f"not to be had: {error!r}"
        report.sections.append(("The cluster when it failed", text))
    return report


@pytest.fixture(scope="session")
def one_node() -> Iterator[Kubectl]:
    """One node with four L4 and one router pod: quick to start."""
    with _cluster(CLUSTER, nodes=1, routers=1) as found:
        yield found


@pytest.fixture(scope="session")
def three_nodes() -> Iterator[Kubectl]:
    """A control plane, and two workers with two L4 each; two router pods for each router."""
    with _cluster(LOAD_CLUSTER, nodes=3, routers=2) as found:
        yield found


@contextlib.contextmanager
def _cluster(name: str, *, nodes: int, routers: int) -> Iterator[Kubectl]:
    stack.up(name, nodes=nodes, routers=routers)
    try:
        yield Kubectl(binary=binaries.path("kubectl"), kubeconfig=paths.kubeconfig(name))
    finally:
        if os.environ.get("GEMMA_KEEP") != "1":
            cluster.down(name)


@pytest.fixture(scope="module")
def kubectl(request: pytest.FixtureRequest) -> Kubectl:
    """kubectl of the cluster that the tests of a file need, with the stack installed."""
    is_long = request.node.get_closest_marker("long") is not None
    found: Kubectl = request.getfixturevalue("three_nodes" if is_long else "one_node")
    return found


@pytest.fixture(scope="session")
def audit(one_node: Kubectl) -> AuditLog:
    """The audit log of the one-node cluster's API server."""
    return AuditLog(paths.audit_log(CLUSTER))


def make_namespace(kubectl: Kubectl) -> str:
    """A namespace that admits only pods of Pod Security restricted."""
    name = f"e2e-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, RESTRICTED)
    return name


def remove_namespace(kubectl: Kubectl, name: str) -> None:
    """Free the GPUs of a namespace before the next test plans; its deletion is not waited for."""
    kubectl("delete", "gdep", "--all", "-n", name, "--wait=false")
    kubectl("delete", "pods", "--all", "-n", name, "--force", "--grace-period=0", "--wait=false")
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """A namespace for one test."""
    name = make_namespace(kubectl)
    yield name
    remove_namespace(kubectl, name)


@pytest.fixture(scope="module")
def shared_namespace(kubectl: Kubectl) -> Iterator[str]:
    """A namespace for the tests of one file, which build on each other's state only where they say so."""
    name = make_namespace(kubectl)
    yield name
    remove_namespace(kubectl, name)


Disturbance = Callable[..., contextlib.AbstractContextManager[None]]


@pytest.fixture(params=["operator runs", "operator killed"])
def disturbance(request: pytest.FixtureRequest, kubectl: Kubectl) -> Disturbance:
    """A block during which, with the second value, the operator is killed once, at a random moment."""

    @contextlib.contextmanager
    def killed(*, within: float = 20) -> Iterator[None]:
        moment = random.uniform(0.5, within)
        print(f"the operator is killed after {moment:.1f} s")
        done = threading.Event()

        def kill() -> None:
            kubectl("delete", "pod", "-n", SYSTEM, "-l", OPERATOR, "--force", "--grace-period=0", check=False)
            done.set()

        timer = threading.Timer(moment, kill)
        timer.start()
        try:
            yield
            assert done.is_set(), f"all was over within {moment:.1f} s, before the operator was killed"
        finally:
            timer.cancel()
            timer.join()

    def nothing(*, within: float = 20) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    return nothing if request.param == "operator runs" else killed
