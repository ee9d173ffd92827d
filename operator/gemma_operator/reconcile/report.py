"""Write status where it changed, then tell transitions as events."""

from gemma_operator.api import names
from gemma_operator.api.conditions import PASSING, TOLD
from gemma_operator.api.errors import ApiError
from gemma_operator.cluster.log import logger
from gemma_operator.cluster.resources import GEMMA_DEPLOYMENTS, Object
from gemma_operator.reconcile import status
from gemma_operator.reconcile.observed import Observed
from gemma_operator.reconcile.world import World


async def report(world: World, observed: Observed) -> None:
    """Bring the status to what was observed; nothing is written when it says so already."""
    obj = observed.obj
    before: Object = obj.get("status") or {}
    after = status.compute(observed, now=status.utc_now())
    if after == before:
        return
    # The operator owns all of status, so it is replaced: an apply of it costs the API server far more.
    body: Object = {**obj, "apiVersion": names.API_VERSION, "kind": names.KIND, "status": after}
    try:
        live = await world.client.replace(GEMMA_DEPLOYMENTS, body, subresource="status")
    except ApiError as error:
        if error.status == 404:  # deleted meanwhile
            return
        raise
    world.stores[GEMMA_DEPLOYMENTS].upsert(live)
    _tell(world, obj, before=before, after=after)


def _tell(world: World, obj: Object, *, before: Object, after: Object) -> None:
    known = {condition["type"]: condition for condition in before.get("conditions") or ()}
    told: set[tuple[str, str]] = set()
    for condition in after["conditions"]:
        old = known.get(condition["type"], {})
        if condition["type"] not in TOLD:
            continue
        if (old.get("status"), old.get("reason")) == (condition["status"], condition["reason"]):
            continue
        if condition["reason"] in PASSING and not old:  # the plan's event says already that it begins
            continue
        # What keeps it from being planned keeps it from being routed and ready: one event says so.
        if (what := (condition["reason"], condition["message"])) in told:
            continue
        told.add(what)
        good = condition["status"] == "True" or condition["reason"] in PASSING
        logger(obj).info("%s=%s %s: %s", *(condition[k] for k in ("type", "status", "reason", "message")))
        world.events.post(
            obj, reason=condition["reason"], message=condition["message"], type_="Normal" if good else "Warning"
        )
