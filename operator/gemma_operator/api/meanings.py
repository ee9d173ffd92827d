"""What each condition type and reason means, in one sentence: the text of the API reference."""

from typing import Final

from gemma_operator.api.conditions import ConditionType, Reason

CONDITIONS: Final[dict[ConditionType, str]] = {
    ConditionType.READY: "True while as many replicas answer as must: `scaling.min` and at least one, or `replicas`.",
    ConditionType.RECONCILING: "True while the operator still changes something for the current spec.",
    ConditionType.STALLED: "True when it cannot go on by itself: the message says what a person must do.",
    ConditionType.PLANNED: "True when a plan holds; otherwise the reason says what does not fit and what would help.",
    ConditionType.ROUTED: "True when the router answers to the names of this deployment.",
    ConditionType.SCALING_ACTIVE: "False when the number of replicas is fixed; the message says how to undo it.",
    ConditionType.DEGRADED: "True when it serves, but with less than was asked for.",
}

REASONS: Final[dict[str, dict[Reason, str]]] = {
    "Running": {
        Reason.SERVING: "As many replicas serve as must.",
        Reason.STARTING: "Replicas are being created or load weights.",
        Reason.ROLLING_OUT: "Replicas change to a new version.",
        Reason.ASLEEP: "No replica runs because nobody asks; the first request wakes it.",
        Reason.PAUSED: "The annotation `gemma4stack.dev/paused` is set.",
        Reason.DONE: "Nothing is left to do.",
    },
    "Planning": {
        Reason.PLANNED: "A plan was chosen.",
        Reason.NOTHING_FITS: "No candidate fits any GPU of this cluster: `status.rejected` says why.",
        Reason.NO_SUCH_ACCELERATOR: "No node carries an accelerator that `spec.accelerators` lists.",
        Reason.NO_GPUS: "The cluster has no GPU that the planner knows.",
        Reason.INSUFFICIENT_CAPACITY: "It would fit, but the GPUs are in use.",
        Reason.QUOTA_EXCEEDED: "A ResourceQuota of the namespace leaves too little.",
        Reason.TOO_EXPENSIVE: "Every plan costs more than `spec.maxCostPerHour`.",
        Reason.INVALID_SPEC: "The spec cannot be used; the message names the field.",
    },
    "Objects": {
        Reason.NAME_CONFLICT: "An object of a name that is needed exists and is not ours.",
        Reason.ALIAS_CONFLICT: "An older deployment of the same router already serves this model name.",
        Reason.SECRET_MISSING: "A Secret or key that the pods need does not exist.",
    },
    "Router": {
        Reason.ROUTED: "The router serves this deployment.",
        Reason.ROUTER_DISABLED: "`spec.router.enabled` is false.",
        Reason.ROUTER_STARTING: "No router pod is ready yet.",
        Reason.ROUTER_FAILED: "Router pods cannot run; the message says why.",
    },
    "Scaling": {
        Reason.FIXED_REPLICAS: "`spec.replicas` is set.",
        Reason.FOLLOWS_QUEUE: "The operator sets the replicas from what engines and router report.",
        Reason.NO_METRICS: "Engines or router report nothing that is fresh: the number of replicas stays as it is.",
        Reason.EXTERNAL: "`spec.scaling.mode` is `external`.",
    },
    "Degraded": {
        Reason.TOO_FEW_GPUS: "More replicas are wanted than GPUs, quota or cost cap allow.",
        Reason.ROLLED_BACK: "A change did not become ready; what ran before runs on.",
    },
    "Engine pods": {
        Reason.NOT_CREATED: "The pods cannot be created: a quota or an admission policy refuses them.",
        Reason.UNSCHEDULABLE: "No node takes the pod.",
        Reason.NODE_LOST: "The node of the pod does not answer; the replica is replaced on another one.",
        Reason.IMAGE_PULL: "The image cannot be pulled.",
        Reason.CRASH_LOOP: "The engine ends again and again; the message quotes its log.",
        Reason.OUT_OF_MEMORY_HOST: "The kernel killed the engine for exceeding its memory limit.",
        Reason.OUT_OF_MEMORY_GPU: "The engine ran out of GPU memory.",
        Reason.BAD_FLAGS: "The engine does not know an argument, such as one of `spec.pod.extraArgs`.",
        Reason.WEIGHTS_MISSING: "The repository of the weights was not found.",
        Reason.WEIGHTS_GATED: "The weights need a token or an accepted licence.",
        Reason.DISK_FULL: "The weights do not fit the node's disk or the cache.",
        Reason.DRIVER_TOO_OLD: "The NVIDIA driver of the node is too old for the image.",
        Reason.GPU_UNSUPPORTED: "The GPU cannot run what was planned for it.",
        Reason.GPU_COMMUNICATION: "The GPUs of one replica cannot talk to each other.",
        Reason.SHARED_MEMORY: "/dev/shm of the pod is too small.",
        Reason.ENGINE_BROKEN: "The engine's image cannot run Gemma 4.",
        Reason.ENGINE_HUNG: "The engine stopped answering and was restarted.",
        Reason.NO_GPU_IN_POD: "The engine sees no GPU: container runtime or device plugin of the node are not set up.",
        Reason.STARTUP_TOO_SLOW: "The engine was not ready within its budget for starting.",
        Reason.KV_CACHE_TOO_SMALL: "The KV cache cannot hold one request of the planned length.",
    },
    "Operator": {
        Reason.OBJECT_REFUSED: "The API server refuses an object that the operator must make.",
        Reason.INTERNAL_ERROR: "The operator met an error of its own: see its log, and report it.",
    },
}
"""Reasons by where they come from."""
