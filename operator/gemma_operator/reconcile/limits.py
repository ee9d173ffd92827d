"""How many requests an engine runs at once: during a rollout old pods keep the number that they started with."""

from collections.abc import Iterable
from typing import Final

from gemma_operator.api import names
from gemma_operator.cluster.resources import Object

_FLAG: Final = "--max-num-seqs"


def own_limit(pod: Object) -> int | None:
    """The number by which a pod's engine was started; `None` of a pod that says none.

    Read from its arguments, of which the last one wins: pods of any age have them, after a restart of the operator too.
    """
    found = None
    for container in pod.get("spec", {}).get("containers") or ():
        arguments = list(container.get("args") or ()) if container.get("name") == names.ENGINE_CONTAINER else []
        for index, argument in enumerate(arguments):
            flag, given, value = argument.partition("=")
            if flag == _FLAG:
                value = value if given else "".join(arguments[index + 1 : index + 2])
                found = int(value) if value.isdecimal() and int(value) > 0 else None
    return found


def smallest_limit(pods: Iterable[Object], *, planned: int) -> int:
    """Requests that each engine of a deployment runs at once, old or new: what is sent beyond waits there for good."""
    own = [own_limit(pod) for pod in pods if not _gets_nothing_new(pod)]
    return min([planned, *(limit for limit in own if limit is not None)])


def _gets_nothing_new(pod: Object) -> bool:
    ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return ended or bool(pod["metadata"].get("deletionTimestamp"))
