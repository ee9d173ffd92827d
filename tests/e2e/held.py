"""What router pods hold while something happens."""

import contextlib
import json
import threading
from collections.abc import Iterator
from urllib.request import urlopen

from tests.e2e.chat import ROUTER, forwarded
from tests.kubectl import Kubectl

STATE_PORT = 4001
POLL_SECONDS = 0.2


@contextlib.contextmanager
def most_held(kubectl: Kubectl, namespace: str, model: str) -> Iterator[dict[str, int]]:
    """Router pod → the most requests for a deployment that it was seen to hold while the block lasted."""
    pods = kubectl.find("pods", namespace=namespace, selector=f"app.kubernetes.io/name={ROUTER}")
    names = [pod["metadata"]["name"] for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    most = dict.fromkeys(names, 0)
    over = threading.Event()

    def watch(name: str, port: int) -> None:
        while not over.wait(POLL_SECONDS):
            # One that does not answer once is asked again; one that never does has held nothing, and the test says so.
            with contextlib.suppress(OSError, ValueError, KeyError):
                with urlopen(f"http://127.0.0.1:{port}/gemma/v1/state", timeout=5) as answer:
                    held = json.load(answer)["deployments"][model]["held"]
                most[name] = max(most[name], held)

    with contextlib.ExitStack() as stack:
        threads = []
        for name in names:
            port = stack.enter_context(forwarded(kubectl, namespace, f"pod/{name}", STATE_PORT))
            threads.append(threading.Thread(target=watch, args=(name, port)))
        for thread in threads:
            thread.start()
        try:
            yield most
        finally:
            over.set()
            for thread in threads:
                thread.join()
