"""Label sets as real nodes carry them: what GFD, GKE, Karpenter, EKS, AKS, CoreWeave and AMD's labeller write."""

from dataclasses import dataclass

GPU = "nvidia.com/gpu"
AMD = "amd.com/gpu"


@dataclass(frozen=True, slots=True)
class NodeLabels:
    """One node: its labels, one of its resources, and the row that it carries (`None`: none)."""

    labels: dict[str, str]
    resource: str
    row: str | None


def gfd(product: str, memory: int, row: str | None, *, capability: str = "", **more: str) -> NodeLabels:
    labels = {"nvidia.com/gpu.product": product, "nvidia.com/gpu.memory": str(memory), **more}
    if capability:
        labels["nvidia.com/gpu.compute.major"], labels["nvidia.com/gpu.compute.minor"] = capability.split(".")
    return NodeLabels(labels, GPU, row)


def gke(value: str, row: str | None, **more: str) -> NodeLabels:
    names = {key.replace("_", "-"): text for key, text in more.items()}
    labels = {f"cloud.google.com/{key}": text for key, text in {"gke-accelerator": value, **names}.items()}
    return NodeLabels(labels, GPU, row)


def aws(name: str, memory: int, instance: str, row: str | None, *, prefix: str = "karpenter.k8s.aws") -> NodeLabels:
    return NodeLabels(
        {
            f"{prefix}/instance-gpu-name": name,
            f"{prefix}/instance-gpu-memory": str(memory),
            f"{prefix}/instance-gpu-manufacturer": "nvidia",
            "node.kubernetes.io/instance-type": instance,
        },
        GPU,
        row,
    )


def instance(kind: str, row: str | None, resource: str = GPU, **more: str) -> NodeLabels:
    return NodeLabels({"node.kubernetes.io/instance-type": kind, **more}, resource, row)


def mixed(product: str, profile: str, memory: int, row: str | None) -> NodeLabels:
    labels = {
        "nvidia.com/gpu.product": product,
        "nvidia.com/mig.strategy": "mixed",
        f"nvidia.com/mig-{profile}.product": f"{product}-MIG-{profile}",
        f"nvidia.com/mig-{profile}.memory": str(memory),
        f"nvidia.com/mig-{profile}.count": "2",
    }
    return NodeLabels(labels, f"nvidia.com/mig-{profile}", row)


AKS = {"kubernetes.azure.com/accelerator": "nvidia"}

NODES: tuple[NodeLabels, ...] = (
    gfd("Tesla-T4", 15360, "t4", capability="7.5"),
    gfd("Tesla-V100-SXM2-16GB", 16384, "v100-16"),
    gfd("Tesla-V100-SXM2-32GB", 32768, "v100-32"),
    gfd("NVIDIA-L4", 23034, "l4", capability="8.9"),
    gfd("NVIDIA-A10", 23028, "a10"),
    gfd("NVIDIA-A10G", 23028, "a10g"),
    gfd("NVIDIA-A30", 24576, "a30"),
    gfd("NVIDIA-L40S", 46068, "l40s"),
    gfd("NVIDIA-A100-SXM4-40GB", 40960, "a100-40"),
    gfd("A100-SXM4-40GB", 39538, "a100-40"),
    gfd("NVIDIA-A100-SXM4-80GB", 81920, "a100-80"),
    gfd("NVIDIA-A100-80GB-PCIe", 81920, "a100-80-pcie"),
    gfd("NVIDIA-A100-PCIE-40GB", 40960, "a100-40-pcie"),
    gfd("NVIDIA-H100-80GB-HBM3", 81559, "h100"),
    gfd("NVIDIA-H100-PCIe", 81559, "h100-pcie"),
    gfd("NVIDIA-H100-NVL", 95830, "h100-nvl"),
    gfd("NVIDIA-H200", 143771, "h200"),
    gfd("NVIDIA-GH200-480GB", 97871, "gh200"),
    gfd("NVIDIA-GH200-480GB", 147456, "gh200-144"),
    gfd("NVIDIA-B200", 183359, "b200"),
    gfd("NVIDIA-GB200", 189471, "gb200"),
    gfd("NVIDIA-GeForce-RTX-3090", 24576, "rtx-3090"),
    gfd("NVIDIA-GeForce-RTX-4090", 24564, "rtx-4090"),
    gfd("NVIDIA-GeForce-RTX-5090", 32607, "rtx-5090"),
    gfd("NVIDIA-RTX-A6000", 49140, "rtx-a6000"),
    gfd("NVIDIA-RTX-6000-Ada-Generation", 49140, "rtx-6000-ada"),
    gfd("NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition", 97887, "rtx-pro-6000"),
    gfd("NVIDIA-RTX-PRO-6000-Blackwell-Workstation-Edition", 97887, "rtx-pro-6000-workstation"),
    gfd("nvidia-l4", 23034, "l4"),
    # GFD without its memory label still names the product.
    NodeLabels({"nvidia.com/gpu.product": "NVIDIA-L4"}, GPU, "l4"),
    # time slicing
    gfd("NVIDIA-L4-SHARED", 23034, "l4-shared-4", **{"nvidia.com/gpu.replicas": "4"}),
    gfd("NVIDIA-A100-SXM4-40GB-SHARED", 40960, "a100-40-shared-2", **{"nvidia.com/gpu.replicas": "2"}),
    NodeLabels(
        {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.replicas": "3"}, "nvidia.com/gpu.shared", "l4-shared-3"
    ),
    # MIG, strategies single and mixed
    gfd("NVIDIA-A100-SXM4-40GB-MIG-1g.5gb", 4864, "a100-40-mig-1g.5gb-single"),
    gfd("A100-SXM4-40GB-MIG-1g.5gb", 5120, "a100-40-mig-1g.5gb-single"),
    gfd("NVIDIA-H100-80GB-HBM3-MIG-3g.40gb", 40448, "h100-mig-3g.40gb-single"),
    mixed("NVIDIA-A100-SXM4-40GB", "3g.20gb", 19968, "a100-40-mig-3g.20gb"),
    mixed("NVIDIA-A100-SXM4-80GB", "3g.40gb", 40192, "a100-80-mig-3g.40gb"),
    mixed("NVIDIA-H100-80GB-HBM3", "1g.10gb", 9984, "h100-mig-1g.10gb"),
    mixed("NVIDIA-A100-SXM4-80GB", "1g.10gb", 9728, "a100-80-mig-1g.10gb"),
    mixed("NVIDIA-A100-SXM4-40GB", "1g.10gb", 9856, "a100-40-mig-1g.10gb"),
    gfd("NVIDIA-A100-SXM4-40GB-MIG-INVALID", 0, None, capability="8.0"),
    # GKE
    gke("nvidia-tesla-t4", "t4"),
    gke("nvidia-l4", "l4"),
    gke("nvidia-tesla-a100", "a100-40"),
    gke("nvidia-a100-80gb", "a100-80"),
    gke("nvidia-h100-80gb", "h100"),
    gke("nvidia-h100-mega-80gb", "h100"),
    gke("nvidia-h200-141gb", "h200"),
    gke("nvidia-b200", "b200"),
    gke("nvidia-gb200", "gb200"),
    gke("nvidia-rtx-pro-6000", "rtx-pro-6000"),
    gke("nvidia-tesla-a100", "a100-40-mig-3g.20gb-single", gke_gpu_partition_size="3g.20gb"),
    gke("nvidia-h100-80gb", "h100-mig-1g.10gb-single", gke_gpu_partition_size="1g.10gb"),
    gke("nvidia-l4", "l4-shared-2", gke_max_shared_clients_per_gpu="2", gke_gpu_sharing_strategy="time-sharing"),
    gke("nvidia-unheard-of", None),
    # EKS with Karpenter and Auto Mode
    aws("t4", 16384, "g4dn.xlarge", "t4"),
    aws("t4g", 16384, "g5g.xlarge", "t4g"),
    aws("a10g", 22888, "g5.12xlarge", "a10g"),
    aws("l4", 22888, "g6.xlarge", "l4"),
    aws("l40s", 45776, "g6e.xlarge", "l40s"),
    aws("v100", 16384, "p3.2xlarge", "v100-16"),
    aws("v100", 32768, "p3dn.24xlarge", "v100-32"),
    aws("a100", 40960, "p4d.24xlarge", "a100-40"),
    aws("a100", 81920, "p4de.24xlarge", "a100-80"),
    aws("h100", 81920, "p5.48xlarge", "h100"),
    aws("h200", 144384, "p5en.48xlarge", "h200"),
    aws("b200", 183359, "p6-b200.48xlarge", "b200"),
    aws("rtx-pro-server-6000", 97887, "g7e.2xlarge", "rtx-pro-6000"),
    aws("rtx-pro-4500", 32768, "g7.xlarge", "rtx-pro-4500"),
    aws("a100", 81920, "p4de.24xlarge", "a100-80", prefix="eks.amazonaws.com"),
    aws("l4", 22888, "g6.xlarge", "l4", prefix="eks.amazonaws.com"),
    # a fraction of an L4 that AWS sells is no L4
    aws("l4", 2861, "g6f.large", None),
    # without the memory label the instance type decides
    NodeLabels(
        {"karpenter.k8s.aws/instance-gpu-name": "a100", "node.kubernetes.io/instance-type": "p4de.24xlarge"},
        GPU,
        "a100-80",
    ),
    # managed node groups: the instance type alone
    instance("g6.2xlarge", "l4"),
    instance("p4d.24xlarge", "a100-40"),
    instance("p4de.24xlarge", "a100-80"),
    instance("p5.4xlarge", "h100"),
    instance("m7i.xlarge", None),
    # AKS
    instance("Standard_NV36ads_A10_v5", "a10", **AKS),
    instance("Standard_NC24ads_A100_v4", "a100-80-pcie", **AKS),
    instance("Standard_NC40ads_H100_v5", "h100-nvl", **AKS),
    instance("Standard_ND96isr_H100_v5", "h100", **AKS),
    instance("Standard_ND96isr_H200_v5", "h200", **AKS),
    instance("Standard_ND96isr_MI300X_v5", "mi300x", AMD),
    # an A10 split by the hypervisor is no A10
    instance("Standard_NV6ads_A10_v5", None, **AKS),
    # CoreWeave
    NodeLabels(
        {"gpu.nvidia.com/class": "A100_NVLINK_80GB", "gpu.nvidia.com/model": "A100_NVLINK_80GB"}, GPU, "a100-80"
    ),
    NodeLabels({"gpu.nvidia.com/class": "H200"}, GPU, "h200"),
    NodeLabels({"gpu.nvidia.com/model": "L40S"}, GPU, "l40s"),
    # AMD
    NodeLabels({"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM", "amd.com/gpu.vram": "192G"}, AMD, "mi300x"),
    NodeLabels({"beta.amd.com/gpu.product-name": "AMD_Instinct_MI355X_OAM"}, AMD, "mi355x"),
    # two ways at once
    NodeLabels({"nvidia.com/gpu.product": "NVIDIA-L4", "cloud.google.com/gke-accelerator": "nvidia-l4"}, GPU, "l4"),
    # nothing
    NodeLabels({"kubernetes.io/arch": "amd64"}, GPU, None),
    NodeLabels({"gpu-type": "a100"}, GPU, None),
    NodeLabels({"nvidia.com/gpu.product": "NVIDIA-L4"}, "example.com/fpga", None),
)
