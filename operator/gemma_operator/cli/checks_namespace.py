"""Checks of `kubectl gemma doctor`: what a namespace allows, and what its deployments name. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from gemma_operator.api import names
from gemma_operator.cli.findings import Case, Check, fail, hidden, ok, some, warn
from gemma_operator.cluster.resources import Object
from gemma_operator.inventory.quantity import millis

_DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"


def runtime_classes(case: Case) -> Iterator[Check]:
    """RuntimeClasses that deployments name."""
    wanted = {
        name: obj["metadata"]["name"]
        for obj in case.seen.gemma_deployments or ()
        if (name := ((obj.get("spec") or {}).get("pod") or {}).get("runtimeClassName"))
    }
    if not wanted:
        return
    if case.seen.runtime_classes is None:
        yield from hidden(case, "runtime class", "runtime_classes")
        return
    there = {each["metadata"]["name"] for each in case.seen.runtime_classes}
    for name, user in sorted(wanted.items()):
        if name in there:
            yield ok("runtime class", f"{name} exists")
        else:
            known = ", ".join(sorted(there)) or "none"
            yield fail(
                "runtime class", f"{user} asks for {name} and there is {known}", "correct spec.pod.runtimeClassName"
            )


def storage(case: Case) -> Iterator[Check]:
    """StorageClasses of weight caches."""
    caches = {
        obj["metadata"]["name"]: cache
        for obj in case.seen.gemma_deployments or ()
        if (cache := ((obj.get("spec") or {}).get("weights") or {}).get("cache")) and cache.get("size")
    }
    if not caches:
        return
    if case.seen.storage_classes is None:
        yield from hidden(case, "storage", "storage_classes")
        return
    classes = {
        each["metadata"]["name"]: each["metadata"].get("annotations") or {} for each in case.seen.storage_classes
    }
    default = [name for name, annotations in classes.items() if annotations.get(_DEFAULT_CLASS) == "true"]
    for user, cache in sorted(caches.items()):
        name = cache.get("storageClassName")
        if name and name not in classes:
            known = ", ".join(sorted(classes)) or "none"
            yield fail("storage", f"{user} asks for StorageClass {name} and there is {known}", "correct weights.cache")
        elif not name and not default:
            yield fail(
                "storage",
                f"{user} names no StorageClass and none is the default",
                "set weights.cache.storageClassName to one that several nodes can mount (ReadWriteMany)",
            )
        else:
            yield ok("storage", f"{user}: StorageClass {name or default[0]}; it must allow ReadWriteMany")


def policies(case: Case) -> Iterator[Check]:
    """NetworkPolicies that keep pods from going out."""
    if case.seen.policies is None:
        yield from hidden(case, "network", "policies")
        return
    blocking = [
        policy["metadata"]["name"]
        for policy in case.seen.policies
        if (policy["metadata"].get("labels") or {}).get(names.MANAGED_BY_LABEL) != names.MANAGER
        and "Egress" in (policy["spec"].get("policyTypes") or ())
        and not (policy["spec"].get("podSelector") or {})
    ]
    if blocking:
        yield warn(
            "network",
            f"NetworkPolicy {some(blocking)} of namespace {case.seen.namespace} limits what every pod may reach",
            "engines need DNS and the source of their weights; routers DNS, the API server and port 8000 of engines",
        )
    else:
        yield ok("network", f"no policy of namespace {case.seen.namespace} keeps every pod from going out")


def quotas(case: Case) -> Iterator[Check]:
    """ResourceQuotas and LimitRanges of the namespace."""
    seen = case.seen
    if seen.quotas is None:
        yield from hidden(case, "quota", "quotas")
    for quota in seen.quotas or ():
        hard, used = (quota.get("status") or {}).get("hard") or {}, (quota.get("status") or {}).get("used") or {}
        full = [
            name
            for name, limit in hard.items()
            if name.startswith(("requests.", "limits.", "pods", "cpu", "memory"))
            and millis(used.get(name, "0")) >= millis(limit)
        ]
        if full:
            yield warn(
                "quota",
                f"ResourceQuota {quota['metadata']['name']} of namespace {seen.namespace} leaves no {some(full)}",
                "raise it before more replicas are wanted",
            )
        else:
            yield ok("quota", f"ResourceQuota {quota['metadata']['name']} has room")
    yield from _limit_ranges(case)


def _limit_ranges(case: Case) -> Iterator[Check]:
    largest = _largest_limits(case.seen.deployments or ())
    for each in case.seen.limit_ranges or ():
        for limit in each["spec"].get("limits") or ():
            if limit.get("type") not in ("Container", "Pod"):
                continue
            for resource, most in (limit.get("max") or {}).items():
                user, wanted = largest.get(resource, ("", 0))
                if wanted > millis(most):
                    yield fail(
                        "limits",
                        f"LimitRange {each['metadata']['name']} allows {most} {resource} and {user} needs more",
                        "raise it, or set spec.pod.resources",
                    )


def _largest_limits(deployments: Iterable[Object]) -> dict[str, tuple[str, int]]:
    """Resource → the engine that asks for most of it, and how much in thousandths."""
    largest: dict[str, tuple[str, int]] = {}
    for deployment in deployments:
        if names.POOL_LABEL not in (deployment["metadata"].get("labels") or {}):
            continue
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            resources: Mapping[str, Any] = container.get("resources") or {}
            for kind in ("requests", "limits"):
                for resource, amount in (resources.get(kind) or {}).items():
                    if millis(amount) > largest.get(resource, ("", 0))[1]:
                        largest[resource] = (deployment["metadata"]["name"], millis(amount))
    return largest


def routers(case: Case) -> Iterator[Check]:
    """Pods of routers."""
    for each in case.seen.deployments or ():
        labels = each["metadata"].get("labels") or {}
        if names.ROUTER_LABEL not in labels or names.DEPLOYMENT_LABEL in labels:
            continue
        wanted, ready = each["spec"].get("replicas", 1), (each.get("status") or {}).get("readyReplicas", 0)
        name = each["metadata"]["name"]
        if ready < wanted:
            look = f"kubectl get pods -n {case.seen.namespace} -l {names.ROUTER_LABEL}={name}"
            told = warn if ready else fail
            yield told("router", f"{name}: {ready} of {wanted} pods are ready", look)
        else:
            yield ok("router", f"{name}: {ready} of {wanted} pods are ready")
