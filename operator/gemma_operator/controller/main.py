"""Entry point of the operator process."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import uuid
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from gemma_router.source import files

from gemma_operator.api.errors import ConfigurationError, OperatorError, Transient
from gemma_operator.catalog.load import load_catalog
from gemma_operator.cluster import log, telemetry
from gemma_operator.cluster.client import connect
from gemma_operator.cluster.lease import LeaseLock
from gemma_operator.cluster.resources import GEMMA_DEPLOYMENTS
from gemma_operator.controller.fleet_metrics import FleetCollector
from gemma_operator.controller.leadership import Leadership
from gemma_operator.controller.manager import Manager
from gemma_operator.controller.server import serve
from gemma_operator.controller.settings import load_config
from gemma_operator.inventory.build import build_inventory

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_GC_THRESHOLDS = (50_000, 5, 2)
"""The caches are large and hold no cycles: looking for cycles at Python's pace took a fifth of the processor time."""


def own_namespace() -> str:
    """Namespace that the operator runs in."""
    if namespace := os.environ.get("POD_NAMESPACE"):
        return namespace
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else "default"


async def run(*, config_file: Path | None, host: str, port: int, lease: str | None) -> None:
    """Run the operator until it is told to stop; of several with the same `lease` one works."""
    config = load_config(config_file)
    catalog = load_catalog(config.accelerators)
    # Finds provisionable nodes of unknown accelerators now, and not with the first plan.
    build_inventory(nodes=(), pods=(), catalog=catalog, config=config)
    client = await connect()
    namespace = own_namespace()
    leadership = None
    if lease:
        # Unique for the process: two that pass for one would both believe that they hold the lease.
        identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4().hex[:8]}"
        leadership = Leadership(LeaseLock(client, name=lease, namespace=namespace, identity=identity))
    loop = asyncio.get_running_loop()
    told = asyncio.Event()

    def stop() -> None:
        told.set()
        task.cancel()

    def heed_signals() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)

    manager = Manager(
        client=client,
        config=config,
        catalog=catalog,
        namespace=namespace,
        code=files(),
        leadership=leadership,
        watching=heed_signals,
    )
    fleet = FleetCollector(manager.world.stores[GEMMA_DEPLOYMENTS], leads=lambda: manager.leads)
    telemetry.REGISTRY.register(fleet)
    server = await serve(host=host, port=port, healthy=manager.unhealthy, ready=manager.unready)
    task = asyncio.create_task(manager.run())
    heed_signals()
    try:
        await task
    except asyncio.CancelledError:
        # kopf cancels every task of the loop when a watch dies; that must not look like an orderly end.
        if not told.is_set():
            raise Transient("a watch died: ending, so that a new process starts afresh") from None
        log.logger().info("stopping: told to")
    finally:
        await server.cleanup()
        await client.close()


def main() -> None:
    """Console script `gemma-operator`."""
    typer.run(_main)


def _main(
    config: Annotated[Path | None, typer.Option(help="The operator's configuration file.")] = None,
    host: Annotated[str, typer.Option(help="Address of /healthz, /readyz and /metrics.")] = "0.0.0.0",
    port: Annotated[int, typer.Option(help="Port of /healthz, /readyz and /metrics.")] = 8080,
    lease: Annotated[
        str | None, typer.Option(help="Lease of the own namespace whose holder works; without it this process does.")
    ] = None,
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
) -> None:
    """Run the gemma4-stack operator."""
    log.configure(level=log_level.upper())
    gc.set_threshold(*_GC_THRESHOLDS)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(config_file=config, host=host, port=port, lease=lease))
    except ConfigurationError as error:
        logging.getLogger("gemma").critical("configuration: %s", error)
        sys.exit(2)
    except OperatorError as error:
        logging.getLogger("gemma").critical("%s", error)
        sys.exit(1)


if __name__ == "__main__":
    main()
