"""In what engine pods that go on unchanged differ from what this operator would run. Pure."""

from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.mirror import mirrored
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.catalog.images import images_for, reference
from gemma_operator.catalog.types import Catalog
from gemma_operator.cluster.resources import Object
from gemma_operator.planner.types import Pool
from gemma_operator.render.versions import same_version


def outdated(
    applied: Object,
    rendered: Object,
    *,
    spec: GemmaDeploymentSpec,
    pool: Pool,
    catalog: Catalog,
    config: OperatorConfig,
) -> str:
    """For people, such as `engine vllm 0.31.0, now 0.32.0`; empty: in nothing that is known without planning anew."""
    found = []
    version = spec.engine_version or config.engine.version
    if pool.engine_version != version:
        found.append(f"engine {pool.engine} {pool.engine_version}, now {version}")
    elif pool.image not in (possible := _possible_images(pool, catalog=catalog, config=config)):
        found.append(f"image {pool.image}, now {' or '.join(possible) or 'none'}")
    if not same_version(applied, rendered):
        found.append("pods as an older operator or configuration rendered them")
    return "; ".join(found)


def _possible_images(pool: Pool, *, catalog: Catalog, config: OperatorConfig) -> list[str]:
    """What planning may choose for the pool's version and GPUs; the nodes' drivers decide between several."""
    accelerator = catalog.accelerators.get(pool.accelerator)
    if accelerator is None:  # a row that is no longer configured: planning says so
        return [pool.image]
    if configured := config.engine.images.get(accelerator.vendor):
        return [configured]
    found = images_for(
        catalog,
        engine=pool.engine,
        version=pool.engine_version,
        vendor=accelerator.vendor,
        host_architecture=accelerator.host_architecture,
    )
    return [mirrored(reference(each, pool.engine_version), registry=config.image_registry) for each in found]
