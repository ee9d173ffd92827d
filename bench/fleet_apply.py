"""Two hundred GemmaDeployments at once: the operator against a bare client that writes the same objects."""

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemma_operator.api import names
from gemma_operator.cluster.client import Client, connect
from gemma_operator.cluster.resources import GEMMA_DEPLOYMENTS, OWNED, SECRETS, Object, Resource, resource_of
from localk8s import binaries
from localk8s.controlplane import ControlPlane

from bench.report import Finding
from tests.integration import fleet
from tests.integration.audit import AuditLog
from tests.integration.observing import define, settled
from tests.integration.operator_process import Operator
from tests.kubectl import Kubectl, eventually, gemma

ROOT = Path(__file__).parents[1]
DEPLOYMENTS, NAMESPACES, WORKERS = 200, 20, 8
ROUNDS = 3
PER_DEPLOYMENT, PER_ROUTER = 5, 11
LIMIT_SECONDS = 600
_SERVER_FIELDS = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "ownerReferences")


def run(folder: Path) -> list[Finding]:
    """Apply, measure, and write the same objects again without an operator; restart once in between."""
    with ControlPlane("bench", directory=folder / "controlplane") as plane:
        kubectl = Kubectl(binary=binaries.path("kubectl"), kubeconfig=plane.kubeconfig)
        define(kubectl)
        nodes = [fleet.l4(f"l4-{index:03d}", count=8, cpu="256") for index in range(DEPLOYMENTS // 8 + 1)]
        kubectl.apply(*nodes, *(fleet.plain(f"cpu-{index}", cpu="256") for index in range(4)))
        return asyncio.run(_measure(plane, kubectl, folder))


@dataclass(frozen=True)
class _Round:
    """Seconds for the same objects, once by the operator and then by a bare client."""

    operator: float
    bare: float
    objects: int

    @property
    def ratio(self) -> float:
        return self.operator / self.bare


async def _measure(plane: ControlPlane, kubectl: Kubectl, folder: Path) -> list[Finding]:
    client = await connect(kubeconfig=str(plane.kubeconfig), agent="bench")
    rounds, memory, writes = [], 0.0, Counter[str]()
    try:
        for number in range(ROUNDS):
            fleet_of, bare_of = f"fleet-{number}", f"bare-{number}"
            crs = [_cr(index, prefix=fleet_of) for index in range(DEPLOYMENTS)]
            _namespaces(kubectl, prefix=fleet_of)
            with Operator(kubeconfig=plane.kubeconfig, folder=folder) as operator:
                _calm()
                log = AuditLog(plane.audit_log, agent="gemma-operator/")
                start = time.perf_counter()
                await _write(client, [(GEMMA_DEPLOYMENTS, cr) for cr in crs])
                await _all_created(log)
                with_operator = time.perf_counter() - start
                made = await _owned(client, prefix=fleet_of)
                _all_ready(kubectl)
                memory = max(memory, _rss_megabytes(operator.pid))
                settled(plane, beats=5, seconds=LIMIT_SECONDS)
            if number == 0:
                log = AuditLog(plane.audit_log, agent="gemma-operator/")
                with Operator(kubeconfig=plane.kubeconfig, folder=folder) as operator:
                    _reconciled(operator, DEPLOYMENTS + NAMESPACES)
                writes = log.writes()
            _clear(kubectl)

            _namespaces(kubectl, prefix=bare_of)
            objects = [(GEMMA_DEPLOYMENTS, _cr(index, prefix=bare_of)) for index in range(DEPLOYMENTS)]
            objects += [(resource_of(obj), obj) for obj in (_moved(obj, source=fleet_of, to=bare_of) for obj in made)]
            _calm()
            start = time.perf_counter()
            await _write(client, objects)
            rounds.append(_Round(with_operator, time.perf_counter() - start, len(objects)))
            _clear(kubectl)
    finally:
        await client.close()
    return _findings(sorted(rounds, key=lambda each: each.ratio), memory, writes)


def _clear(kubectl: Kubectl) -> None:
    """Free all GPUs again."""
    for kind in ("gdep", "deployments"):
        kubectl("delete", kind, "--all", "-A", "--wait=false")
    eventually(lambda: kubectl.find("pods"), until=lambda pods: not pods, seconds=LIMIT_SECONDS, what="all is gone")


def _findings(rounds: list[_Round], memory: float, writes: Counter[str]) -> list[Finding]:
    middle = rounds[len(rounds) // 2]
    return [
        Finding(
            what=f"{DEPLOYMENTS} GemmaDeployments, from apply to all objects created",
            figure=f"{middle.ratio:.2f}×",
            aim="≤ 1.5×",
            detail=f"against the bare client with {WORKERS} requests at once writing the same {middle.objects} objects "
            f"({middle.operator:.0f} s against {middle.bare:.0f} s here); the middle one of "
            f"{', '.join(f'{each.ratio:.2f}' for each in rounds)}, since machines are not equally fast all the time",
        ),
        Finding(
            what="memory of the operator at that size",
            figure=f"{memory:.0f} MB",
            aim="≤ 300 MB",
            detail="resident set once all are Ready",
        ),
        Finding(
            what="writes after a restart",
            figure=str(sum(writes.values())),
            aim="0",
            detail="by the operator's user agent in the audit log, Events and Leases apart, until every key was "
            f"reconciled; {dict(writes) or 'none'}",
        ),
    ]


def _calm() -> None:
    """Wait until the machine rests: what is measured is work, and no start of operator or control plane."""

    def busy() -> float:
        before = _cpu_seconds()
        time.sleep(1)  # an interval of observation, not a wait for a condition
        after = _cpu_seconds()
        return 1 - (after[1] - before[1]) / (after[0] - before[0])

    eventually(busy, until=lambda share: share < 0.2, seconds=120, what="the machine rests (share that is busy)")


def _cpu_seconds() -> tuple[float, float]:
    """Of all processors since the start: altogether, and idle."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(ticks), ticks[3] + ticks[4]


def _cr(index: int, *, prefix: str) -> Object:
    namespace = f"{prefix}-{index % NAMESPACES:02d}"
    return gemma(f"chat-{index:03d}", {"model": "e2b", "accelerators": ["l4"]}, namespace=namespace)


def _namespaces(kubectl: Kubectl, *, prefix: str) -> None:
    kubectl.apply(
        *(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{prefix}-{index:02d}"}}
            for index in range(NAMESPACES)
        )
    )


async def _write(client: Client, objects: list[tuple[Resource, Object]]) -> None:
    waiting = list(reversed(objects))

    async def worker() -> None:
        while waiting:
            resource, body = waiting.pop()
            if resource is SECRETS:
                await client.create(resource, body)
            else:
                await client.apply(resource, body, manager="bench")

    await asyncio.gather(*(worker() for _ in range(WORKERS)))


async def _all_created(log: AuditLog) -> None:
    """Return once the operator made every object. Asking the server would cost it what is measured; its log is free."""
    wanted = DEPLOYMENTS * PER_DEPLOYMENT + NAMESPACES * PER_ROUTER
    deadline = time.monotonic() + LIMIT_SECONDS
    created = 0
    while (created := created + log.take_created()) < wanted:
        if time.monotonic() > deadline:
            raise AssertionError(f"{created} of {wanted} objects after {LIMIT_SECONDS} s")
        await asyncio.sleep(0.2)


async def _owned(client: Client, *, prefix: str) -> list[Object]:
    """Every object that the operator applied; the two Secrets of each router are not listed."""
    found: list[Object] = []
    for resource in OWNED:
        items, _ = await client.list(resource, labels=f"{names.MANAGED_BY_LABEL}={names.MANAGER}")
        for item in items:
            item.update(apiVersion=resource.api_version, kind=resource.kind)
        found += [item for item in items if item["metadata"]["namespace"].startswith(prefix)]
    return found


def _moved(obj: Object, *, source: str, to: str) -> Object:
    """An object as the bare client writes it: other namespace, no server fields, no owner."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _SERVER_FIELDS}
    metadata["namespace"] = metadata["namespace"].replace(source, to)
    moved: dict[str, Any] = {key: value for key, value in obj.items() if key != "status"} | {"metadata": metadata}
    if moved["kind"] == "Service":
        moved["spec"] = {key: value for key, value in moved["spec"].items() if not key.startswith("clusterIP")}
    if moved["kind"] == "RoleBinding":
        moved = json.loads(json.dumps(moved).replace(f'"namespace": "{source}', f'"namespace": "{to}'))
    return moved


def _all_ready(kubectl: Kubectl) -> None:
    eventually(
        lambda: kubectl.find("gdep"),
        until=lambda found: sum(obj.get("status", {}).get("phase") == "Ready" for obj in found) == DEPLOYMENTS,
        seconds=LIMIT_SECONDS,
        what="all are Ready",
    )


def _reconciled(operator: Operator, keys: int) -> None:
    eventually(
        lambda: operator.metric("gemma_operator_reconcile_total"),
        until=lambda count: count >= keys and operator.metric("gemma_operator_workqueue_depth") == 0,
        seconds=LIMIT_SECONDS,
        what="every key was reconciled",
    )


def _rss_megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")
