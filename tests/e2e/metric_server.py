"""Runs in a pod of the cluster: external.metrics.k8s.io with one metric, the requests that a router has.

Arguments: a host name that stands for all router pods, and the deployment whose requests are meant. The metric is what
runs and what waits, over all router pods, read when it is asked for. Uses what the router's image has.
"""

import asyncio
import datetime
import socket
import ssl
import sys
from pathlib import Path

import aiohttp
from aiohttp import web
from cryptography import x509  # type: ignore[import-not-found]  # comes with LiteLLM's image
from cryptography.hazmat.primitives import hashes, serialization  # type: ignore[import-not-found]
from cryptography.hazmat.primitives.asymmetric import ec  # type: ignore[import-not-found]
from cryptography.x509.oid import NameOID  # type: ignore[import-not-found]

GROUP_VERSION = "external.metrics.k8s.io/v1beta1"
METRIC = "gemma-requests"
STATE_PORT = 4001
PORT = 8443


async def requests(routers: str, deployment: str) -> int:
    """What runs and waits for a deployment. Raises aiohttp's errors when a router pod does not tell."""
    loop = asyncio.get_running_loop()
    pods = {info[4][0] for info in await loop.getaddrinfo(routers, STATE_PORT, type=socket.SOCK_STREAM)}
    total = 0
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5), raise_for_status=True) as session:
        for address in sorted(pods):
            async with session.get(f"http://{address}:{STATE_PORT}/gemma/v1/state") as response:
                counts = (await response.json())["deployments"][deployment]
            total += int(counts["inFlight"]) + int(counts["held"])
    return total


def application(routers: str, deployment: str) -> web.Application:
    """The two paths that the API server and the HPA controller ask for."""

    async def resources(_: web.Request) -> web.Response:
        names = {"name": METRIC, "singularName": "", "kind": "ExternalMetricValueList"}
        found = [{**names, "namespaced": True, "verbs": ["get"]}]
        return web.json_response(
            {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION, "resources": found}
        )

    async def value(_: web.Request) -> web.Response:
        try:
            total = await requests(routers, deployment)
        except (aiohttp.ClientError, OSError, TimeoutError, KeyError) as error:
            return web.json_response({"kind": "Status", "apiVersion": "v1", "message": repr(error)}, status=503)
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        print(f"{now} {total}", flush=True)
        item = {"metricName": METRIC, "metricLabels": {"deployment": deployment}, "timestamp": now, "value": str(total)}
        return web.json_response(
            {"kind": "ExternalMetricValueList", "apiVersion": GROUP_VERSION, "metadata": {}, "items": [item]}
        )

    app = web.Application()
    app.router.add_get(f"/apis/{GROUP_VERSION}", resources)
    app.router.add_get(f"/apis/{GROUP_VERSION}/namespaces/{{namespace}}/{METRIC}", value)
    return app


def tls() -> ssl.SSLContext:
    """A certificate of its own, for an APIService that verifies none."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "metrics")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number())
    made = made.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    certificate = made.sign(key, hashes.SHA256())
    file = Path("/tmp/tls.pem")
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


if __name__ == "__main__":
    web.run_app(application(sys.argv[1], sys.argv[2]), port=PORT, ssl_context=tls(), access_log=None)
