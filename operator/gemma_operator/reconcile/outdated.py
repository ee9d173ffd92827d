"""In what engine pods that go on unchanged differ from what this operator would run. Pure."""

from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.cluster.resources import Object
from gemma_operator.planner.types import Pool
from gemma_operator.render.versions import same_version


def outdated(
    applied: Object, rendered: Object, *, spec: GemmaDeploymentSpec, pool: Pool, config: OperatorConfig
) -> str:
    """For people, such as `engine vllm 0.31.0, now 0.32.0`; empty: in nothing that is known without planning anew."""
    found = []
    version = spec.engine_version or config.engine.version
    if pool.engine_version != version:
        found.append(f"engine {pool.engine} {pool.engine_version}, now {version}")
    if not same_version(applied, rendered):
        found.append("pods as an older operator or configuration rendered them")
    return "; ".join(found)
