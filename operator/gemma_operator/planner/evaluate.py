"""One candidate against one cluster: a pool with every number chosen, or the one reason against it."""

from dataclasses import dataclass, field, replace
from typing import Any

from gemma_operator.catalog.types import Catalog
from gemma_operator.inventory.types import Amounts, Inventory
from gemma_operator.planner.ask import Ask
from gemma_operator.planner.candidates import Candidate, Row, illegal
from gemma_operator.planner.fit import Fit, fit
from gemma_operator.planner.images import ImageChoice, choose
from gemma_operator.planner.order import Rank, rank
from gemma_operator.planner.placement import Site, place, short_quota, site
from gemma_operator.planner.refusal import Refusal, Stage
from gemma_operator.planner.resources import amounts, resources
from gemma_operator.planner.selectors import selector_terms
from gemma_operator.planner.speed import decode_tokens_per_second
from gemma_operator.planner.text import money, shape
from gemma_operator.planner.types import Pool, Resources, Supply
from gemma_operator.planner.vllm import arguments, environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """A candidate that fits, with its place in the order."""

    candidate: Candidate
    pool: Pool
    rank: Rank


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A candidate that does not, and why."""

    candidate: Candidate
    refusal: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What all candidates of a row share."""

    site: Site
    image: ImageChoice | Refusal
    terms: tuple[dict[str, Any], ...]


@dataclass(slots=True, kw_only=True)
class Evaluator:
    """Judges the candidates of one deployment; remembers what several of them share."""

    ask: Ask
    inventory: Inventory
    catalog: Catalog
    _fits: dict[tuple[str, str, str, int], Fit | Refusal] = field(default_factory=dict)
    _grounds: dict[tuple[str, str | None], Ground] = field(default_factory=dict)
    _places: dict[tuple[str, str | None, int, Resources], Supply | Refusal] = field(default_factory=dict)

    def judge(self, group: tuple[Candidate, ...]) -> Fitting | Refused:
        """The first checkpoint that fits; where none does, the reason of the one that came furthest."""
        refused: Refused | None = None
        for candidate in group:
            found = self.judge_one(candidate)
            if isinstance(found, Fitting):
                return found
            if refused is None or found.refusal.stage > refused.refusal.stage:
                refused = found
        assert refused is not None
        return refused

    def judge_one(self, candidate: Candidate) -> Fitting | Refused:
        """The candidate with every number chosen, or the first check that it fails."""
        ask, row = self.ask, candidate.row
        if refusal := illegal(candidate, ask, catalog=self.catalog):
            return Refused(candidate=candidate, refusal=refusal)
        ground = self.ground(row)
        where, image = ground.site, ground.image
        if isinstance(image, Refusal):
            return Refused(candidate=candidate, refusal=image)
        fits = self.fit(candidate)
        if isinstance(fits, Refusal):
            return Refused(candidate=candidate, refusal=fits)
        if where.refused is not None:
            return Refused(candidate=candidate, refusal=where.refused)
        if refusal := self._too_expensive(candidate):
            return Refused(candidate=candidate, refusal=refusal)
        engine_bytes = fits.memory.reported if row.resource is None else 0
        needed = resources(candidate.checkpoint, ask, gpus=candidate.gpus, engine_bytes=engine_bytes)
        need = amounts(needed, resource=row.resource, gpus=candidate.gpus)
        supply = self._place(row, where, need, needed)
        if isinstance(supply, Refusal):
            return Refused(candidate=candidate, refusal=supply)
        if refusal := short_quota(self.inventory, need, ask):
            return Refused(candidate=candidate, refusal=refusal)
        pool = self._pool(candidate, fits, ground, image, needed, supply)
        quality = candidate.model.quality
        return Fitting(
            candidate=candidate,
            pool=pool,
            rank=rank(pool, quality=quality, preference=row.preference, floor=ask.spec.tokens_per_second),
        )

    def ground(self, row: Row) -> Ground:
        """The nodes of a row that may be used, how they are selected, and the image that runs on them."""
        key = (row.name, row.resource)
        found = self._grounds.get(key)
        if found is None:
            nodes = [
                node
                for node in self.inventory.carrying(row.name)
                if any(c.accelerator.name == row.name and c.resource == row.resource for c in node.carries)
            ]
            where = site(nodes, self.ask, row=row.name, vendor=row.accelerator.vendor)
            image = choose(where.nodes, self.ask, accelerator=row.accelerator, catalog=self.catalog)
            old_drivers: tuple[int, ...] = ()
            if isinstance(image, ImageChoice):
                where = replace(where, nodes=image.nodes)
                old_drivers = image.old_drivers
            terms = selector_terms(nodes, row=row, old_drivers=old_drivers)
            found = self._grounds[key] = Ground(site=where, image=image, terms=terms)
        return found

    def fit(self, candidate: Candidate) -> Fit | Refusal:
        """The memory side of a candidate."""
        checkpoint = candidate.checkpoint
        key = (checkpoint.repository, checkpoint.precision, candidate.row.name, candidate.gpus)
        found = self._fits.get(key)
        if found is None:
            found = self._fits[key] = fit(candidate, self.ask)
        return found

    def cost(self, candidate: Candidate) -> float | None:
        """US dollars per hour of one replica."""
        price = candidate.row.accelerator.price_per_hour
        return None if price is None else round(price * candidate.gpus, 4)

    def _too_expensive(self, candidate: Candidate) -> Refusal | None:
        cap, cost, replicas = self.ask.spec.max_cost_per_hour, self.cost(candidate), self.ask.replicas
        if cap is None:
            return None
        if cost is None:
            return Refusal(
                Stage.COST,
                "PriceUnknown",
                f"{candidate.row.name} has no price, so that maxCostPerHour cannot be kept: set a price for it in the "
                "operator's configuration",
            )
        if cost * replicas > cap:
            return Refusal(
                Stage.COST,
                "TooExpensive",
                f"costs {money(cost * replicas)} per hour, above maxCostPerHour {money(cap)}",
            )
        return None

    def _place(self, row: Row, where: Site, need: Amounts, needed: Resources) -> Supply | Refusal:
        gpus = need.devices.get(row.resource, 0) if row.resource else 0
        key = (row.name, row.resource, gpus, needed)
        found = self._places.get(key)
        if found is None:
            found = self._places[key] = place(where, need, self.ask, row=row.name)
        return found

    def _pool(
        self, candidate: Candidate, fits: Fit, ground: Ground, image: ImageChoice, needed: Resources, supply: Supply
    ) -> Pool:
        ask, model, checkpoint, row = self.ask, candidate.model, candidate.checkpoint, candidate.row
        cost = self.cost(candidate)
        speed = decode_tokens_per_second(
            model,
            checkpoint,
            row.accelerator,
            gpus=candidate.gpus,
            batch=ask.spec.concurrency,
            kv_read=fits.kv_read_bytes,
        )
        per_million = None if cost is None else round(cost / (speed * ask.spec.concurrency * 3600) * 1e6, 3)
        return Pool(
            model=model.key,
            checkpoint=checkpoint.repository,
            precision=checkpoint.precision,
            engine=checkpoint.engine,
            engine_version=ask.engine_version,
            image=image.image,
            accelerator=row.name,
            resource=row.resource,
            gpus_per_replica=candidate.gpus if row.resource else 0,
            replicas=ask.replicas,
            supply=supply,
            max_model_len=fits.max_model_len,
            max_num_seqs=fits.max_num_seqs,
            max_num_batched_tokens=fits.max_num_batched_tokens,
            kv_cache_dtype=fits.kv_cache_dtype,
            gpu_memory_utilization=fits.utilization,
            kv_cache_tokens=fits.kv_cache_tokens,
            sequences_typical=fits.sequences_typical,
            sequences_full=fits.sequences_full,
            memory=fits.memory,
            resources=needed,
            node_selector_terms=ground.terms,
            node_selector=dict(ask.selector),
            tolerations=ground.site.tolerations,
            args=arguments(candidate, fits, ask),
            env=environment(fits, needed, cpu=row.resource is None),
            decode_tokens_per_second=speed,
            cost_per_hour=cost,
            cost_per_million_tokens=per_million,
            weights_bytes=checkpoint.download_bytes,
            inferred=(
                *(f"checkpoint {each}" for each in checkpoint.inferred),
                *(f"accelerator {each}" for each in row.accelerator.inferred),
                *(f"model {each}" for each in model.inferred),
                *image.inferred,
            ),
        )


def describe(candidate: Candidate) -> str:
    """A candidate in words, such as `31b bf16 on 4×l4`."""
    gpus = 0 if candidate.row.resource is None else candidate.gpus
    return f"{candidate.model.key} {candidate.checkpoint.precision} on {shape(gpus, candidate.row.name)}"
