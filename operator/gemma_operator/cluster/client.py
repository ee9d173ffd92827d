"""The one client of the API server: dicts in, dicts out, errors translated, calls counted.

It uses the transport, authentication and token rotation of `kubernetes.aio` but neither its models nor its discovery:
models cost memory for each object of a large cluster, and discovery fails when any aggregated API is down.
"""

import json
import os
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import yaml
from kubernetes.aio import client as k8s
from kubernetes.aio import config as k8s_config

from gemma_operator import __version__
from gemma_operator.api import names
from gemma_operator.api.errors import ApiError, ConfigurationError, Transient
from gemma_operator.cluster import telemetry
from gemma_operator.cluster.resources import PODS, Object, Resource

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
PAGE = 500
TIMEOUT_SECONDS = 30
DEFAULT_KUBECONFIG = "~/.kube/config"
_ANYTHING = Resource("", "v1", "", "Path")


async def connect(*, kubeconfig: str | None = None, context: str | None = None, agent: str = names.MANAGER) -> "Client":
    """A client from a kubeconfig, else from the pod's service account, in the order of kubectl.

    `agent` names the program in audit logs.
    """
    configuration = k8s.Configuration()
    configuration.connection_pool_maxsize = 32
    configuration.retries = None
    files = kubeconfig_files(kubeconfig)
    if files is None and context is None:
        try:
            k8s_config.load_incluster_config(client_configuration=configuration)
        except (k8s_config.ConfigException, OSError):
            raise ConfigurationError(
                f"no cluster to talk to: $KUBECONFIG is not set, there is no {DEFAULT_KUBECONFIG}, and this is no pod"
            ) from None
    else:
        await _load(files or DEFAULT_KUBECONFIG, context, configuration)
    configuration.proxy = configuration.proxy or _proxy_for(configuration.host)
    configuration.client_session_kwargs = {"trust_env": False}
    api = k8s.ApiClient(configuration)
    api.user_agent = f"{agent}/{__version__}"
    return Client(api)


def kubeconfig_files(named: str | None) -> str | None:
    """The kubeconfig to read: the named one, those of `$KUBECONFIG`, or the default one where it exists."""
    files = named or os.environ.get("KUBECONFIG")
    return files or (DEFAULT_KUBECONFIG if exists(DEFAULT_KUBECONFIG) else None)


def exists(files: str) -> bool:
    """Whether one of these kubeconfigs is there; they are separated as in `$KUBECONFIG`."""
    # A pod may have no home directory, for which pathlib raises.
    return any(os.path.exists(os.path.expanduser(file)) for file in files.split(os.pathsep) if file)


async def _load(files: str, context: str | None, configuration: k8s.Configuration) -> None:
    """Take over a context of kubeconfigs."""
    if not exists(files):
        raise ConfigurationError(f"no cluster to talk to: there is no kubeconfig {files}")
    try:
        await k8s_config.load_kube_config(
            config_file=files, context=context, client_configuration=configuration, persist_config=False
        )
    except (k8s_config.ConfigException, OSError, TypeError, yaml.YAMLError) as error:
        # The library takes every file for a mapping, an empty one too.
        why = "it is no kubeconfig" if isinstance(error, TypeError) else " ".join(str(error).split())
        raise ConfigurationError(f"kubeconfig {files} cannot be used: {why}") from None


def _proxy_for(server: str) -> str | None:
    """The environment's proxy for a server, looked up once.

    Left to aiohttp, each request asks for it in a thread and reads `~/.netrc` in another; and a default login there
    makes every request with a token fail.
    """
    parts = urlsplit(server)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


class Unreachable(Transient):
    """Nobody answers where the API server should be."""


class Client:
    """Reads and writes objects of the API server."""

    def __init__(self, api: k8s.ApiClient) -> None:
        self._api = api

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def get(
        self, resource: Resource, *, name: str, namespace: str | None = None, cached: bool = False
    ) -> Object | None:
        """One object, or `None` when it does not exist; `cached`: as the API server's own cache has it, moments old."""
        query = {"resourceVersion": "0"} if cached else {}
        try:
            path = resource.path(namespace=namespace, name=name)
            return await self._json("GET", path, resource=resource, query=query)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def list(
        self, resource: Resource, *, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> tuple[list[Object], str]:
        """All objects and the resource version of the list, read in pages."""
        items: list[Object] = []
        query = {"limit": str(PAGE), "labelSelector": labels, "fieldSelector": fields, "continue": ""}
        while True:
            page = await self._json(
                "GET", resource.path(namespace=namespace), resource=resource, query=query, verb="LIST"
            )
            items.extend(page.get("items") or ())
            query["continue"] = page["metadata"].get("continue") or ""
            if not query["continue"]:
                return items, page["metadata"]["resourceVersion"]

    async def create(self, resource: Resource, body: Object) -> Object | None:
        """Create an object; `None` when one of that name exists already."""
        path = resource.path(namespace=body["metadata"].get("namespace"))
        try:
            return await self._json("POST", path, resource=resource, body=body, query={"fieldManager": names.MANAGER})
        except ApiError as error:
            if error.status == 409 and error.reason == "AlreadyExists":
                return None
            raise

    async def apply(self, resource: Resource, body: Object, *, manager: str = names.MANAGER) -> Object:
        """Server-side apply with the field manager's name, taking over fields that others set."""
        metadata = body["metadata"]
        path = resource.path(namespace=metadata.get("namespace"), name=metadata["name"])
        query = {"fieldManager": manager, "force": "true"}
        return await self._json("PATCH", path, resource=resource, body=body, query=query, content=APPLY, verb="APPLY")

    async def patch(
        self, resource: Resource, *, name: str, namespace: str, body: Object, manager: str = names.MANAGER
    ) -> None:
        """Merge a patch into an object that others own; one that is gone is no error."""
        path = resource.path(namespace=namespace, name=name)
        query = {"fieldManager": manager}
        try:
            await self._json("PATCH", path, resource=resource, body=body, query=query, content=MERGE)
        except ApiError as error:
            if error.status != 404:
                raise

    async def replace(self, resource: Resource, body: Object, *, subresource: str | None = None) -> Object:
        """Write a whole object as it was read and changed; raises `ApiError` 409 when somebody wrote meanwhile."""
        metadata = body["metadata"]
        path = resource.path(namespace=metadata.get("namespace"), name=metadata["name"], subresource=subresource)
        query = {"fieldManager": names.MANAGER}
        return await self._json("PUT", path, resource=resource, body=body, query=query)

    async def delete(self, resource: Resource, *, name: str, namespace: str, uid: str) -> None:
        """Delete the object of that uid, in the background; one that is gone already is no error."""
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            await self._json("DELETE", resource.path(namespace=namespace, name=name), resource=resource, body=body)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def log(self, *, namespace: str, pod: str, container: str, lines: int, previous: bool) -> str | None:
        """The last lines of a container's log, or `None` when there are none to be had."""
        query = {
            "container": container,
            "tailLines": str(lines),
            "limitBytes": "262144",
            "previous": str(previous).lower(),
        }
        path = PODS.path(namespace=namespace, name=pod, subresource="log")
        try:
            return (await self._call("GET", path, resource=PODS, query=query, verb="LOG")).decode(errors="replace")
        except ApiError as error:
            if error.status in (400, 404):
                return None
            raise

    async def read(self, path: str) -> bytes:
        """The body of any path, such as `/version` or something behind the API server's proxy."""
        return await self._call("GET", path, resource=_ANYTHING, verb="READ")

    async def stream(
        self, path: str, body: Object, *, headers: Mapping[str, str], limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """POST to something behind the API server's proxy: the answer, whatever its status, to be read as it comes.

        Raises what aiohttp raises. The caller closes the answer.
        """
        request = await self._api.param_serialize(
            "POST",
            path,
            header_params={"Content-Type": "application/json", **headers},
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = await self._api.call_api(*request, _request_timeout=limits)
        response: aiohttp.ClientResponse = answer.response
        return response

    async def _json(
        self,
        method: str,
        path: str,
        *,
        resource: Resource,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content: str = "application/json",
        verb: str | None = None,
    ) -> Object:
        data = await self._call(method, path, resource=resource, body=body, query=query, content=content, verb=verb)
        answer: Object = json.loads(data)
        return answer

    async def _call(
        self,
        method: str,
        path: str,
        *,
        resource: Resource,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content: str = "application/json",
        verb: str | None = None,
    ) -> bytes:
        verb = verb or method
        parameters = [(key, value) for key, value in (query or {}).items() if value]
        request = await self._api.param_serialize(
            method,
            path,
            query_params=parameters,
            header_params={"Accept": "application/json", "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response = await self._api.call_api(*request, _request_timeout=TIMEOUT_SECONDS)
            data: bytes = await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            telemetry.API_REQUESTS.labels(verb=verb, kind=resource.kind, code="error").inc()
            server = self._api.configuration.host
            raise Unreachable(f"the API server {server} is not reached for {verb} {path}: {_why_not(error)}") from error
        telemetry.API_REQUESTS.labels(verb=verb, kind=resource.kind, code=str(response.status)).inc()
        if response.status >= 300:
            raise _api_error(verb=verb, path=path, status=response.status, headers=response.headers, data=data)
        return data


def _why_not(error: Exception) -> str:
    """What happened to a request that nobody answered."""
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_SECONDS} s"
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError) and (cause.errno or 0) > 0:
        return os.strerror(cause.errno or 0)
    return getattr(cause, "strerror", None) or str(error) or type(error).__name__


def _api_error(*, verb: str, path: str, status: int, headers: Mapping[str, str], data: bytes) -> ApiError:
    try:
        answer = json.loads(data)
    except ValueError:
        answer = {}
    # Only a Status object may be quoted: other bodies can carry what was sent, and with it a secret.
    is_status = isinstance(answer, dict) and answer.get("kind") == "Status"
    retry_after = headers.get("Retry-After", "")
    return ApiError(
        status=status,
        reason=answer.get("reason", "") if is_status else "",
        message=str(answer.get("message", ""))[:1000] if is_status else "no explanation",
        verb=verb,
        path=path,
        retry_after=float(retry_after) if retry_after.isdigit() else None,
    )
