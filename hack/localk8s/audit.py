"""The audit policy of every local API server: the tests prove from its log who wrote what."""

import json

_SYSTEM_USERS = ["system:apiserver", "system:kube-scheduler", "system:kube-controller-manager", "system:kube-proxy"]
_READS = ["get", "list", "watch"]


def policy() -> str:
    """Return an audit policy (JSON is YAML): one line per answered request, without the reads of Kubernetes itself."""
    return json.dumps(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [
                {"level": "None", "users": _SYSTEM_USERS, "verbs": _READS},
                {"level": "None", "userGroups": ["system:nodes"], "verbs": _READS},
                {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"], "verbs": _READS},
                {"level": "Metadata"},
            ],
        },
        indent=1,
    )
