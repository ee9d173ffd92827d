"""The operator's configuration: one file, validated at start.

The CLI reads the same file, so that `kubectl gemma plan` decides as the operator does.
"""

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema, field_validator, model_validator

from gemma_operator.api import rules
from gemma_operator.api.base import ApiModel
from gemma_operator.api.exposure import HttpRouteSettings, IngressSettings
from gemma_operator.api.mirror import REGISTRY, mirrored
from gemma_operator.api.models import DENIED_VLLM_VERSIONS, MINIMUM_VLLM_VERSION
from gemma_operator.api.podtypes import EnvVarDict, TolerationDict, as_dict
from gemma_operator.api.structural import inlined

Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$", max_length=20)]
NamespaceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
ObjectName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
ImageName = Annotated[str, StringConstraints(min_length=1, max_length=512)]
MALICIOUS_LITELLM: Final = r":([^/]*[^0-9./])?v?(1\.82\.[78]|1\.107\.[0-9]+)([^0-9][^/]*)?$"
"""Images whose tag is a LiteLLM version with a package that carried malware."""


def _refusing(**schema: Any) -> dict[str, Any]:
    """`json_schema_extra` of a field whose value must not match `schema`."""
    return {"not": schema}


class Taint(ApiModel):
    """A taint, as of a Node."""

    key: str = Field(min_length=1, max_length=316, description="Key of the taint.")
    value: str | None = Field(None, max_length=63, description="Value of the taint.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = Field(description="Effect of the taint.")


class VendorImages(ApiModel):
    """An image for each vendor."""

    nvidia: ImageName | None = Field(None, description="Image on NVIDIA GPUs.")
    amd: ImageName | None = Field(None, description="Image on AMD GPUs.")
    cpu: ImageName | None = Field(None, description="Image on CPUs.")


TaintDict = Annotated[
    dict[str, str], BeforeValidator(as_dict(Taint)), WithJsonSchema(inlined(Taint.model_json_schema()))
]
VendorImagesDict = Annotated[
    dict[str, str], BeforeValidator(as_dict(VendorImages)), WithJsonSchema(inlined(VendorImages.model_json_schema()))
]


class AcceleratorRow(ApiModel):
    """A row that is added to the hardware table, or fields that override those of a row of that name."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=63, description="Name of the row.")
    like: str | None = Field(None, description="Row whose fields this one takes where it gives none itself.")
    fields: dict[str, Any] = Field(default_factory=dict, description="Fields of the row, as in accelerators.yaml.")


class _Nodes(ApiModel):
    """Nodes that are alike."""

    accelerator: str = Field(description="Row of the hardware table.")
    gpus_per_node: int = Field(ge=1, le=64, description="GPUs of one such node.")
    taints: list[TaintDict] = Field(default_factory=list, description="Taints of such a node.")
    cpu: Quantity = Field("32", description="Allocatable CPU of such a node.")
    memory: Quantity = Field("128Gi", description="Allocatable memory of such a node.")
    ephemeral_storage: Quantity = Field("500Gi", description="Allocatable ephemeral storage of such a node.")


class Provisionable(_Nodes):
    """Nodes that a node autoscaler would add."""

    nodes: int = Field(ge=0, le=10_000, description="How many such nodes may still be added.")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels that such a node will have.")


class StaticNodes(_Nodes):
    """Nodes that exist and that the operator may not read."""

    nodes: int = Field(ge=1, le=1000, description="How many such nodes there are.")
    labels: dict[str, str] = Field(
        min_length=1, description="Labels by which pods find such a node, and no other node, as they stand on it."
    )


class InventorySettings(ApiModel):
    """Where the operator knows nodes from."""

    source: Literal["cluster", "static"] = Field(
        "cluster",
        description="`cluster`: nodes, and the pods of all namespaces, are read. `static`: neither is; nodes are those "
        "that stand here, and what others than the watched namespaces run on them is not known.",
    )
    nodes: list[StaticNodes] = Field(
        default_factory=list, description="With `static`: the nodes that GemmaDeployments may use."
    )


class Proxy(ApiModel):
    """HTTP proxy of the site."""

    http: str | None = Field(None, pattern=r"^https?://[^/ ]", description="Value of HTTP_PROXY.")
    https: str | None = Field(None, pattern=r"^https?://[^/ ]", description="Value of HTTPS_PROXY.")
    no_proxy: list[str] = Field(
        default_factory=list, description="Hosts to reach directly, besides the pod itself and the cluster's Services."
    )


class CaBundle(ApiModel):
    """Certificate authorities of the site."""

    config_map: str = Field(
        min_length=1, max_length=253, description="ConfigMap with the bundle, in the namespace of each deployment."
    )
    key: str = Field("ca.crt", pattern=r"^[-._a-zA-Z0-9]+$", description="Key of the bundle in it, in PEM.")


class EngineSettings(ApiModel):
    """Defaults for every engine pod."""

    version: str = Field(
        "0.32.0",
        pattern=rules.VERSION,
        description="vLLM version unless a deployment pins one.",
        json_schema_extra=_refusing(enum=sorted(DENIED_VLLM_VERSIONS)),
    )
    images: VendorImagesDict = Field(
        default_factory=dict,
        description="Image per vendor (`nvidia`, `amd`, `cpu`) that replaces the catalog's, for every version.",
    )
    cpu_request: Quantity | None = Field(None, description="CPU request of engine pods instead of the derived one.")
    memory_request: Quantity | None = Field(None, description="Memory request and limit instead of the derived ones.")
    ephemeral_storage_request: Quantity | None = Field(
        None, description="Ephemeral storage request and limit instead of the derived ones."
    )
    hugging_face_endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/ ]",
        description="Base URL of a Hugging Face mirror, for deployments that name none in `weights.endpoint`.",
    )
    proxy: Proxy | None = Field(None, description="Proxy through which engines download weights.")
    ca_bundle: CaBundle | None = Field(
        None, description="Certificate authorities that engines trust instead of those of their image."
    )
    env: list[EnvVarDict] = Field(default_factory=list, description="Environment variables for every engine pod.")
    tolerations: list[TolerationDict] = Field(default_factory=list, description="Tolerations for every engine pod.")
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = Field(
        "IfNotPresent", description="When engine images are pulled."
    )
    image_pull_secrets: list[str] = Field(
        default_factory=list, description="Names of pull Secrets, in the namespace of the deployment."
    )
    pre_stop_seconds: int = Field(
        10, ge=0, le=120, description="How long a stopping pod waits until every router knows."
    )
    gpu_memory_utilization: float = Field(
        0.90, gt=0.1, le=0.98, description="Share of the reported GPU memory that an engine may use."
    )
    startup_budget_seconds: int | None = Field(
        None, ge=30, description="Seconds that a start may take instead of the derived budget."
    )

    @field_validator("version")
    @classmethod
    def _serves_gemma(cls, version: str) -> str:
        remedy = "use 0.28.0 or newer, or remove engine.version to get the default"
        if version in DENIED_VLLM_VERSIONS:
            raise ValueError(f"vLLM {version} is denied: {DENIED_VLLM_VERSIONS[version]}; {remedy}")
        if rules.numbers(version) < rules.numbers(MINIMUM_VLLM_VERSION):
            raise ValueError(f"vLLM before {MINIMUM_VLLM_VERSION} does not know Gemma 4: {remedy}")
        return version


class RouterSettings(ApiModel):
    """How routers run."""

    image: ImageName = Field(
        "ghcr.io/berriai/litellm-non_root:v1.108.7",
        description="LiteLLM proxy image.",
        json_schema_extra=_refusing(pattern=MALICIOUS_LITELLM),
    )
    replicas: int = Field(2, ge=1, le=50, description="Pods of each router.")
    cpu_request: Quantity = Field("500m", description="CPU request of a router pod.")
    memory_request: Quantity = Field("768Mi", description="Memory request of a router pod.")
    memory_limit: Quantity = Field("1536Mi", description="Memory limit of a router pod.")
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = Field(
        "IfNotPresent", description="When the router's image is pulled."
    )
    image_pull_secrets: list[str] = Field(
        default_factory=list, description="Names of pull Secrets, in the namespace of the router."
    )
    role: ObjectName = Field(
        "gemma-router",
        description="Role that the operator binds for each router: a ClusterRole, or with `namespaces` a Role of that "
        "name in each of them.",
    )
    master_key_secret: str | None = Field(
        None, description="Existing Secret with `master-key` and `engine-key` instead of a generated one."
    )
    client_keys_secret: str | None = Field(
        None,
        description="Existing Secret with the keys of clients (name → key) in the namespace of each router, instead of "
        "`<router>-keys`, which is generated with one key.",
    )
    drain_seconds: int = Field(
        600, ge=0, le=7200, description="How long a stopping router may go on with open streams."
    )
    service_type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field(
        "ClusterIP", description="Type of the router's Service."
    )
    ingress: IngressSettings | None = Field(None, description="Ingress for each router; none unless given.")
    http_route: HttpRouteSettings | None = Field(
        None, description="HTTPRoute of the Gateway API for each router; none unless given."
    )

    @field_validator("image")
    @classmethod
    def _not_malicious(cls, image: str) -> str:
        if re.search(MALICIOUS_LITELLM, image):
            raise ValueError(
                f"{image} is denied: the packages of LiteLLM 1.82.7, 1.82.8 and 1.107.* carried malware; use another "
                "version, or remove router.image to get the default"
            )
        return image


class OperatorConfig(ApiModel):
    """Everything that the person who runs the operator may set."""

    accelerators: list[AcceleratorRow] = Field(
        default_factory=list, description="Rows to add to the hardware table or to change in it."
    )
    image_registry: str | None = Field(
        None,
        pattern=REGISTRY,
        description="Registry, with a path if need be, that holds the images of engines and routers instead of their "
        "own registries; an image that this file names is used as it is named.",
    )
    provisionable: list[Provisionable] = Field(
        default_factory=list, description="Nodes that a node autoscaler would add."
    )
    inventory: InventorySettings = Field(
        default_factory=InventorySettings, description="Where the operator knows nodes from."
    )
    engine: EngineSettings = Field(default_factory=EngineSettings, description="Defaults for every engine pod.")
    router: RouterSettings = Field(default_factory=RouterSettings, description="How routers run.")
    namespaces: list[NamespaceName] = Field(default_factory=list, description="Namespaces to watch; empty: all.")
    scaling_memory_seconds: int = Field(
        1800,
        ge=60,
        le=86_400,
        description="How long the scaler remembers load: shorter saves replicas and meets bursts later.",
    )
    provisioning_seconds: int = Field(
        600, ge=0, le=7200, description="How long a node autoscaler may take to add a node."
    )
    scrape_seconds: int = Field(
        5,
        ge=1,
        le=15,
        description="How often engines and routers are asked for their requests, in seconds. At most 15: what is older "
        "than 30 s counts for nothing, and an engine's speed is learned from answers at most 20 s apart.",
    )
    workers: int = Field(8, ge=1, le=64, description="GemmaDeployments reconciled at once.")
    resync_seconds: int = Field(300, ge=10, description="How often caches are compared with a list.")
    monitoring_namespace: NamespaceName | None = Field(
        None, description="Namespace whose pods may scrape engine metrics."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        static, nodes = self.inventory.source == "static", self.inventory.nodes
        if static and not nodes and not self.provisionable:
            raise ValueError(
                "inventory.source is static, and no node is known: describe them in inventory.nodes, or those that an "
                "autoscaler would add in provisionable"
            )
        if nodes and not static:
            raise ValueError(
                "inventory.nodes is for inventory.source static; with cluster the operator reads the nodes itself: "
                "remove the list, or set the source"
            )
        if len(set(self.namespaces)) != len(self.namespaces):
            raise ValueError("namespaces names one of them twice: remove it")
        for field, exposure in (("ingress", self.router.ingress), ("httpRoute", self.router.http_route)):
            for host in exposure.hosts if exposure else ():
                if "{namespace}" not in host and len(self.namespaces) != 1:
                    raise ValueError(
                        f"router.{field}.hosts: {host} would be the host of every namespace, and mix their requests "
                        "and keys: put {namespace} into it, or name one namespace in namespaces"
                    )
        return self

    @property
    def reads_nodes(self) -> bool:
        """Whether nodes and the pods of all namespaces are read."""
        return self.inventory.source == "cluster"

    @property
    def router_image(self) -> str:
        """The LiteLLM image to run: the configured one as it is, the default one from `imageRegistry`."""
        named = "image" in self.router.model_fields_set
        return self.router.image if named else mirrored(self.router.image, registry=self.image_registry)
