"""A connection to the API server for one command, and its errors in words for people."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import yaml
from kubernetes.aio import config as k8s_config

from gemma_operator.api import names
from gemma_operator.api.errors import ApiError, ConfigurationError, Transient
from gemma_operator.cli.failure import CliError, NoCluster
from gemma_operator.cluster.client import Client, Unreachable, connect, exists, kubeconfig_files
from gemma_operator.cluster.resources import GEMMA_DEPLOYMENTS, Object, Resource

T = TypeVar("T")

AGENT: Final = "kubectl-gemma"
"""What audit logs call this program, so that nobody takes a person for the operator."""
NOT_INSTALLED: Final = (
    "this cluster knows no GemmaDeployments: install the chart (helm install gemma charts/gemma4-stack), or choose "
    "another cluster with --context"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A client, and the namespace that commands work in unless told otherwise."""

    client: Client
    namespace: str

    async def deployment(self, name: str) -> Object:
        """A GemmaDeployment of the namespace; raises `CliError` where there is none of that name."""
        try:
            found = await self.client.get(GEMMA_DEPLOYMENTS, name=name, namespace=self.namespace)
        except ApiError as error:
            raise denied(error, what=f"GemmaDeployment {self.namespace}/{name}") from None
        if found is not None:
            return found
        existing = [obj["metadata"]["name"] for obj in await self.deployments(self.namespace)]
        here = f"there is {', '.join(existing[:8])}" if existing else "there is none"
        raise CliError(
            f"no GemmaDeployment {name!r} in namespace {self.namespace} ({here}): correct the name, or choose the "
            "namespace with -n; `kubectl gemma status -A` lists all"
        )

    async def deployments(self, namespace: str | None) -> list[Object]:
        """The GemmaDeployments of a namespace, or of all."""
        return await self.list(GEMMA_DEPLOYMENTS, namespace=namespace)

    async def list(self, resource: Resource, *, namespace: str | None = None, labels: str = "") -> list[Object]:
        """Objects of one kind; raises `CliError` where the API server refuses."""
        try:
            items, _ = await self.client.list(resource, namespace=namespace, labels=labels)
        except ApiError as error:
            raise denied(error, what=resource.plural) from None
        return sorted(items, key=lambda obj: (obj["metadata"].get("namespace") or "", obj["metadata"]["name"]))


@contextlib.asynccontextmanager
async def session(*, kubeconfig: str | None, context: str | None, namespace: str | None) -> AsyncIterator[Session]:
    """A session of one command; `namespace` unset: that of the kubeconfig's context, or `default`."""
    client = await connect(kubeconfig=kubeconfig, context=context, agent=AGENT)
    try:
        yield Session(client=client, namespace=namespace or current_namespace(kubeconfig, context))
    finally:
        await client.close()


def current_namespace(kubeconfig: str | None, context: str | None) -> str:
    """The namespace of a context of the kubeconfig; `default` where it names none or there is no kubeconfig."""
    files = kubeconfig_files(kubeconfig)
    if files is None or not exists(files):
        return "default"
    try:
        contexts, current = k8s_config.list_kube_config_contexts(files)
    except (k8s_config.ConfigException, OSError, TypeError, AttributeError, yaml.YAMLError):
        return "default"
    chosen = next((each for each in contexts if each["name"] == context), current) if context else current
    return str(((chosen or {}).get("context") or {}).get("namespace") or "default")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run the work of a command; errors of API server and kubeconfig become `CliError`."""
    try:
        return asyncio.run(work)
    except ConfigurationError as error:
        raise NoCluster(
            str(error),
            "name a kubeconfig with --kubeconfig or $KUBECONFIG, and one of its contexts with --context (`kubectl "
            "config get-contexts` lists them)",
        ) from None
    except Unreachable as error:
        raise NoCluster(
            str(error),
            "see whether `kubectl cluster-info` reaches it (network, VPN, proxy), or choose another cluster with "
            "--context or --kubeconfig",
        ) from None
    except ApiError as error:
        if error.status == 401:
            raise NoCluster("the API server does not accept your credentials", "log in to the cluster again") from None
        raise CliError(str(error)) from None
    except Transient as error:
        raise CliError(str(error)) from None


def denied(error: ApiError, *, what: str) -> Exception:
    """A refusal of the API server with a remedy; any other error as it is."""
    if error.status == 403:
        return CliError(
            f"you may not read {what}: {error.detail}; ask for the right (kubectl auth can-i --list shows what you "
            "have), or choose another namespace with -n"
        )
    if error.status == 404 and names.GROUP in str(error):
        return CliError(NOT_INSTALLED)
    return error
