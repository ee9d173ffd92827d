"""Condition types and every reason, each beside the template of its message.

A message says what is wrong, where, and what to do next. Templates are filled with `str.format` by keyword.
"""

from enum import StrEnum
from typing import Final


class ConditionType(StrEnum):
    """Conditions of a GemmaDeployment; the first three follow kstatus."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    PLANNED = "Planned"
    ROUTED = "Routed"
    SCALING_ACTIVE = "ScalingActive"
    DEGRADED = "Degraded"


class Reason(StrEnum):
    """Why a condition has its value."""

    # Ready, Reconciling
    SERVING = "Serving"
    STARTING = "Starting"
    ROLLING_OUT = "RollingOut"
    ASLEEP = "Asleep"
    PAUSED = "Paused"
    DONE = "Done"
    # Planned
    PLANNED = "Planned"
    NOTHING_FITS = "NothingFits"
    NO_SUCH_ACCELERATOR = "NoSuchAccelerator"
    NO_GPUS = "NoGPUs"
    INSUFFICIENT_CAPACITY = "InsufficientCapacity"
    QUOTA_EXCEEDED = "QuotaExceeded"
    TOO_EXPENSIVE = "TooExpensive"
    INVALID_SPEC = "InvalidSpec"
    # objects
    NAME_CONFLICT = "NameConflict"
    ALIAS_CONFLICT = "AliasConflict"
    SECRET_MISSING = "SecretMissing"
    # Routed
    ROUTED = "Routed"
    ROUTER_DISABLED = "RouterDisabled"
    ROUTER_STARTING = "RouterStarting"
    ROUTER_FAILED = "RouterFailed"
    # ScalingActive
    FIXED_REPLICAS = "FixedReplicas"
    FOLLOWS_QUEUE = "FollowsQueue"
    NO_METRICS = "NoMetrics"
    EXTERNAL = "External"
    # Degraded
    TOO_FEW_GPUS = "TooFewGPUs"
    ROLLED_BACK = "RolledBack"
    # engine pods
    NOT_CREATED = "PodsNotCreated"
    UNSCHEDULABLE = "Unschedulable"
    NODE_LOST = "NodeLost"
    IMAGE_PULL = "ImagePullFailed"
    CRASH_LOOP = "EngineCrashing"
    OUT_OF_MEMORY_HOST = "HostOutOfMemory"
    OUT_OF_MEMORY_GPU = "GPUOutOfMemory"
    BAD_FLAGS = "EngineRefusedFlags"
    WEIGHTS_MISSING = "WeightsNotFound"
    WEIGHTS_GATED = "WeightsGated"
    DISK_FULL = "DiskFull"
    DRIVER_TOO_OLD = "DriverTooOld"
    STARTUP_TOO_SLOW = "StartupTooSlow"
    KV_CACHE_TOO_SMALL = "KVCacheTooSmall"
    NO_GPU_IN_POD = "NoGPUInPod"
    GPU_UNSUPPORTED = "GPUUnsupported"
    GPU_COMMUNICATION = "GPUCommunicationFailed"
    SHARED_MEMORY = "SharedMemoryTooSmall"
    ENGINE_BROKEN = "EngineImageBroken"
    ENGINE_HUNG = "EngineHung"
    # operator
    OBJECT_REFUSED = "ObjectRefused"
    INTERNAL_ERROR = "InternalError"


MESSAGES: Final[dict[Reason, str]] = {
    Reason.SERVING: "{ready} of {wanted} replicas serve {model} on {accelerator}",
    Reason.STARTING: "{ready} of {wanted} replicas are ready; {detail}",
    Reason.ROLLING_OUT: "rolling out {how}: {updated} of {wanted} replicas run the new version; {detail}",
    Reason.ASLEEP: "asleep: no request for {idle}; the router keeps the first ones until {model} on {accelerator} runs "
    "again, usually {startup}",
    Reason.PAUSED: "annotation gemma4stack.dev/paused is set: only status is kept; remove it to go on",
    Reason.DONE: "nothing to do",
    Reason.PLANNED: "{summary}",
    Reason.NOTHING_FITS: "nothing fits: {detail}",
    Reason.NO_SUCH_ACCELERATOR: "no node carries {accelerators}; the cluster has {available}",
    Reason.NO_GPUS: "the cluster has no GPU that the planner knows; {detail}",
    Reason.INSUFFICIENT_CAPACITY: "it would fit once GPUs are free: {detail}",
    Reason.QUOTA_EXCEEDED: "ResourceQuota {quota} of namespace {namespace} leaves {left} {resource}, the plan needs "
    "{needed}: raise the quota or ask for less",
    Reason.TOO_EXPENSIVE: "the cheapest plan costs {cost:.2f} USD per hour, above maxCostPerHour {cap:.2f}: raise the "
    "cap, or lower model, context or scaling.min",
    Reason.INVALID_SPEC: "spec.{field}: {error}",
    Reason.NAME_CONFLICT: "{kind} {name} exists and is not ours: rename this GemmaDeployment, or delete or rename "
    "that {kind}",
    Reason.ALIAS_CONFLICT: "model name {alias!r} is already served by GemmaDeployment {owner}, which is older: choose "
    "another alias",
    Reason.SECRET_MISSING: "{detail}: create the Secret; the pods go on by themselves",
    Reason.ROUTED: "router {router} serves {names}",
    Reason.ROUTER_DISABLED: "spec.router.enabled is false: clients use Service {service}",
    Reason.ROUTER_STARTING: "router {router}: {ready} of {wanted} pods are ready",
    Reason.ROUTER_FAILED: "router {router}: {detail}",
    Reason.OBJECT_REFUSED: "the API server refuses {kind} {name}: {error}; change spec.pod, or what the namespace's "
    "admission or the operator's permissions forbid",
    Reason.INTERNAL_ERROR: "the operator met an error of its own ({error}) and tries again; its log has the details: "
    "please report it",
    Reason.FIXED_REPLICAS: "spec.replicas fixes {replicas} replicas; remove it (kubectl patch gdep {name} --type=json "
    '-p=\'[{{"op":"remove","path":"/spec/replicas"}}]\') to scale between min and max again',
    Reason.FOLLOWS_QUEUE: "replicas follow the queue between {minimum} and {maximum}{limit}",
    Reason.NO_METRICS: "replicas stay at {replicas}: {detail}",
    Reason.EXTERNAL: "spec.replicas ({replicas}) belongs to an external scaler; set scaling.mode: operator and remove "
    "spec.replicas to let the operator scale",
    Reason.TOO_FEW_GPUS: "{wanted} replicas are wanted and {possible} can run: {detail}",
    Reason.ENGINE_HUNG: "{pods}: requests wait or run and nothing has moved for a minute; the liveness probe restarts "
    "an engine that hangs, delete the pod to be faster",
    Reason.ROLLED_BACK: "the last change did not become ready ({why}) and was taken back: {now} runs on; correct the "
    "spec, then it is tried again",
}
"""Reasons of engine pods carry the text that `reconcile.diagnosis` found, so they have no template here."""

TOLD: Final = (ConditionType.PLANNED, ConditionType.ROUTED, ConditionType.READY)
"""Conditions whose transitions become events; the others repeat them."""

PASSING: Final = frozenset({Reason.STARTING, Reason.ROLLING_OUT, Reason.ROUTER_STARTING})
"""States on the way: nothing is wrong, and it goes on by itself."""

SCALED: Final = "Scaled"
"""Reason of the event that tells each change of the number of replicas."""
