"""What a spec asks for, with defaults filled in: the part of it that the planner reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.spec import GemmaDeploymentSpec, ModelKey, model_key
from gemma_operator.catalog.types import Catalog, Checkpoint, Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One deployment's wishes."""

    name: str
    namespace: str
    spec: GemmaDeploymentSpec
    config: OperatorConfig
    models: tuple[ModelKey, ...]
    """Models that may be chosen, best first."""
    engine_version: str
    replicas: int
    """Replicas that must fit: `spec.replicas`, else the larger of `scaling.min` and 1."""

    @property
    def owner(self) -> tuple[str, str]:
        """The key of the deployment in an inventory."""
        return self.namespace, self.name

    @property
    def selector(self) -> Mapping[str, str]:
        """Node labels that replicas need besides those of the accelerator."""
        return self.spec.pod.node_selector

    @property
    def tolerations(self) -> tuple[dict[str, Any], ...]:
        """Tolerations of the configuration and of the spec."""
        return (*self.config.engine.tolerations, *self.spec.pod.tolerations)

    def extra_number(self, flag: str) -> int | None:
        """The positive number that `spec.pod.extraArgs` gives a flag last, as `--flag=1` or `--flag`, `1`."""
        found = None
        arguments = self.spec.pod.extra_args
        for index, argument in enumerate(arguments):
            name, _, value = argument.partition("=")
            if name == flag:
                value = value or (arguments[index + 1] if index + 1 < len(arguments) else "")
                found = int(value) if value.isdecimal() and int(value) > 0 else None
        return found

    def lists(self, *names: str) -> int | None:
        """Place of a row in the user's order of preference; `None` when no name of it is listed."""
        places = [index for index, listed in enumerate(self.spec.accelerators) if listed.lower() in names]
        return min(places) if places else None

    def images(self, model: Model, checkpoint: Checkpoint) -> bool:
        """Whether requests may contain images."""
        wanted = self.spec.features.images is not False
        return wanted and "image" in model.modalities and not checkpoint.text_only

    def audio(self, model: Model, checkpoint: Checkpoint) -> bool:
        """Whether requests may contain audio."""
        return bool(self.spec.features.audio) and "audio" in model.modalities and not checkpoint.text_only

    def multimodal(self, model: Model, checkpoint: Checkpoint) -> bool:
        """Whether requests may contain anything besides text."""
        return self.images(model, checkpoint) or self.audio(model, checkpoint)


def ask_of(*, spec: GemmaDeploymentSpec, name: str, namespace: str, catalog: Catalog, config: OperatorConfig) -> Ask:
    """The wishes of a spec."""
    ladder = sorted(catalog.models.values(), key=lambda model: (-model.quality, model.key))
    asked = model_key(spec.model)
    if asked is not None:
        ladder = [catalog.models[asked]]
    elif spec.at_least is not None and (floor := model_key(spec.at_least)) is not None:
        ladder = [model for model in ladder if model.quality >= catalog.models[floor].quality]
    return Ask(
        name=name,
        namespace=namespace,
        spec=spec,
        config=config,
        models=tuple(model.key for model in ladder),
        engine_version=spec.engine_version or config.engine.version,
        replicas=max(1, spec.scaling.min if spec.replicas is None else spec.replicas),
    )
