"""A router that streams two words, on an address of this machine that the API server's proxy may use."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.kubectl import Kubectl, Object

HOST = "this-machine"
"""A node that nobody runs pods of: they keep the status that they are given."""


def own_address() -> str:
    """An address of this machine that is no loopback: the API server refuses those as endpoints. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        address: str = probe.getsockname()[0]
        return address


class Router:
    """Answers chat completions: `one `, then `two`; for the message `wait` the second only after `go_on` is set."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.keys: set[str] = set()
        self._address = own_address()
        self._server = ThreadingHTTPServer((self._address, 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def serve(self, kubectl: Kubectl, *, name: str, namespace: str) -> None:
        """Make a Service and the pod behind it that has the address of this machine.

        The API server's proxy goes to addresses of pods alone, so a pod there must be; no kubelet and no kwok runs it.
        """
        kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name},
                "spec": {
                    "selector": {"app": name},
                    "ports": [{"name": "http", "port": 80, "targetPort": self._server.server_port}],
                },
            },
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "labels": {"app": name}},
                "spec": {
                    "nodeName": HOST,
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [{"name": "router", "image": "registry.example/router:1"}],
                },
            },
            namespace=namespace,
        )
        status = {
            "phase": "Running",
            "podIP": self._address,
            "podIPs": [{"ip": self._address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        patch = json.dumps({"status": status})
        kubectl("patch", "pod", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        router = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                router.keys.add(self.headers["x-api-key"])
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                self._say({"delta": {"content": "one "}})
                if asked["messages"][-1]["content"] == "wait":
                    router.go_on.wait(120)
                self._say({"delta": {"content": "two"}})
                self._say({"delta": {}, "finish_reason": "stop"})
                self.wfile.write(b"data: [DONE]\n\n")

            def _say(self, choice: Object) -> None:
                self.wfile.write(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())
                self.wfile.flush()

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        return Handler
