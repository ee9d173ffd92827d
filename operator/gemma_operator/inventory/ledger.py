"""The ledger: what is bound or promised on each node, kept while an inventory is put together.

A claim is a replica that is promised but not bound: an unbound pod, or a replica of a pool for which no pod exists.
Claims are placed by best fit, largest first, ties by name, so that the same cluster gives the same ledger. A claim
that finds no free room may overlap what its own deployment holds with other replicas, which leave before it comes; one
that fits nowhere takes nothing.
"""

import heapq
import json
from collections.abc import Callable, Iterable
from dataclasses import replace

from gemma_operator.inventory.matching import admits
from gemma_operator.inventory.types import Amounts, DeploymentKey, Node, Placement

NOTHING = Amounts()


class Ledger:
    """Mutable view of nodes: what is free, and who holds what."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes = list(nodes)
        self._index = {node.name: index for index, node in enumerate(self._nodes)}
        self._free: dict[int, Amounts] = {}
        self._held: dict[int, dict[DeploymentKey, dict[str, Amounts]]] = {}
        self._admitting: dict[str, list[int]] = {}

    def bind(self, name: str, requests: Amounts, *, owner: DeploymentKey | None, signature: str) -> None:
        """Count pods that are bound to a node; those of unknown nodes count nowhere."""
        index = self._index.get(name)
        if index is not None:
            self._take(index, requests, owner=owner, signature=signature)

    def claim(
        self,
        requests: Amounts,
        where: Placement,
        *,
        owner: DeploymentKey | None,
        signature: str,
        replicas: int = 1,
    ) -> int:
        """Place claims of one kind; how many found room."""

        def take(index: int) -> None:
            self._take(index, requests, owner=owner, signature=signature)

        placed = self._place(requests, where, replicas=replicas, room=self._free_of, take=take)
        if owner is None or placed == replicas:
            return placed

        def with_leaving(index: int) -> Amounts:
            return self._free_of(index).plus(self._leaving(index, owner, signature))

        def overlap(index: int) -> None:
            self._overlap(index, requests, owner=owner, signature=signature)

        return placed + self._place(requests, where, replicas=replicas - placed, room=with_leaving, take=overlap)

    def _place(
        self,
        requests: Amounts,
        where: Placement,
        *,
        replicas: int,
        room: Callable[[int], Amounts],
        take: Callable[[int], None],
    ) -> int:
        def rank(index: int) -> tuple[int, int, str, int]:
            """Nodes that exist first, then the tightest, then by name."""
            node, free = self._nodes[index], room(index)
            left = sum(free.devices.get(resource, 0) for resource in requests.devices)
            return int(node.provisionable), left, node.name, index

        fitting = [rank(index) for index in self._candidates(where) if room(index).holds(requests)]
        heapq.heapify(fitting)
        placed = 0
        while placed < replicas and fitting:
            index = heapq.heappop(fitting)[-1]
            if self._nodes[index].count > 1:
                heapq.heappush(fitting, rank(self._split(index)))
            take(index)
            placed += 1
            if room(index).holds(requests):
                heapq.heappush(fitting, rank(index))
        return placed

    def nodes(self) -> tuple[Node, ...]:
        """The nodes with everything counted, those that exist first, by name."""
        changed = [self._current(index) for index in range(len(self._nodes)) if self._nodes[index].count > 0]
        return tuple(sorted(changed, key=lambda node: (node.provisionable, node.name)))

    def _current(self, index: int) -> Node:
        node = self._nodes[index]
        if index not in self._free:
            return node
        return replace(node, free=self._free[index], held={**node.held, **self._held.get(index, {})})

    def _free_of(self, index: int) -> Amounts:
        free = self._free.get(index)
        return self._nodes[index].free if free is None else free

    def _leaving(self, index: int, owner: DeploymentKey, signature: str) -> Amounts:
        """What the deployment holds on a node with replicas unlike these."""
        held = self._held.get(index, {}).get(owner) or self._nodes[index].held.get(owner) or {}
        total = NOTHING
        for found, amounts in held.items():
            if found != signature:
                total = total.plus(amounts)
        return total

    def _candidates(self, where: Placement) -> list[int]:
        key = json.dumps([dict(where.selector), where.terms, where.tolerations], sort_keys=True)
        found = self._admitting.get(key)
        if found is None:
            found = [
                index
                for index, node in enumerate(self._nodes)
                if node.count > 0
                and not node.unavailable
                and admits(where, labels=node.labels, taints=node.taints, name=node.name)
            ]
            self._admitting[key] = found
        return found

    def _holding(self, index: int, owner: DeploymentKey) -> dict[str, Amounts]:
        own = self._held.setdefault(index, {})
        if owner not in own:
            own[owner] = dict(self._nodes[index].held.get(owner, {}))
        return own[owner]

    def _take(self, index: int, requests: Amounts, *, owner: DeploymentKey | None, signature: str) -> None:
        self._free[index] = self._free_of(index).minus(requests)
        if owner is not None:
            held = self._holding(index, owner)
            held[signature] = held.get(signature, NOTHING).plus(requests)

    def _overlap(self, index: int, requests: Amounts, *, owner: DeploymentKey, signature: str) -> None:
        """Take what the deployment's leaving replicas give, the rest from what is free."""
        held, rest = self._holding(index, owner), requests
        for found in sorted(held):
            if found != signature:
                given = held[found].overlap(rest)
                held[found], rest = held[found].minus(given), rest.minus(given)
        self._free[index] = self._free_of(index).minus(rest)
        held[signature] = held.get(signature, NOTHING).plus(requests)

    def _split(self, index: int) -> int:
        """Break one node off a group of equal ones, which keeps `index`; the index of the rest."""
        group = self._nodes[index]
        base, _, number = group.name.rpartition("#")
        rest = replace(group, name=f"{base}#{int(number) + 1}", count=group.count - 1)
        self._nodes[index] = replace(group, count=1)
        self._nodes.append(rest)
        self._index[rest.name] = len(self._nodes) - 1
        for found in self._admitting.values():
            if index in found:
                found.append(self._index[rest.name])
        return self._index[rest.name]
