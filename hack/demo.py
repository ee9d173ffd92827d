"""From nothing to an answered chat on this machine: `make demo`.

Brings up a local cluster with the operator, applies `examples/minimal.yaml`, asks the router, and says what to try.
"""

import argparse
import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import stack
from localk8s import cluster, paths
from localk8s.console import LocalError, say, step
from openai import OpenAI

READY_SECONDS = 300
QUESTION = "What can I do with one GPU?"


def main(arguments: list[str] | None = None) -> int:
    """0 after an answer, 1 after an error that is printed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default=os.environ.get("CLUSTER", "gemma-demo"), help="cluster (kept afterwards)")
    parser.add_argument("--no-chat", action="store_true", help="only bring the cluster up")
    options = parser.parse_args(arguments)
    try:
        stack.up(options.name)
        if not options.no_chat:
            serve(options.name)
            chat(options.name)
        next_steps(options.name)
    except LocalError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 130
    return 0


def serve(name: str) -> None:
    """Apply the example and wait until it serves."""
    file = stack.example("minimal.yaml")
    say(f"\n$ kubectl apply -f {file.relative_to(paths.REPOSITORY)}\n{file.read_text().rstrip()}\n")
    say(cluster.kubectl(name, "apply", "-f", str(file)).rstrip())
    with step("waiting until gdep/chat is Ready", seconds=60):
        cluster.kubectl(name, "wait", "--for=condition=Ready", "gdep/chat", f"--timeout={READY_SECONDS}s")
    say(f"\n$ kubectl get gdep -o wide\n{cluster.kubectl(name, 'get', 'gdep', '-o', 'wide')}")
    say(cluster.kubectl(name, "get", "gdep", "chat", "-o", "jsonpath={.status.plan.reason}{'\\n'}"))


def chat(name: str) -> None:
    """Ask the router once, streaming, and print the answer as it comes."""
    with forwarded(name, "service/gemma-router", 80) as port:
        key = stack.client_key(name, namespace="default")
        client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key)
        say(f"models: {', '.join(model.id for model in client.models.list())}")
        say(f"\nyou:   {QUESTION}")
        print("chat:  ", end="", flush=True)
        for part in client.chat.completions.create(
            model="chat", messages=[{"role": "user", "content": QUESTION}], stream=True, max_tokens=60
        ):
            if part.choices:
                print(part.choices[0].delta.content or "", end="", flush=True)
        print()


@contextlib.contextmanager
def forwarded(name: str, target: str, port: int) -> Iterator[int]:
    """A local port that leads to a Service of the cluster."""
    command = [*stack.kubectl_command(name), "port-forward", target, f":{port}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        if found is None:
            raise LocalError(f"kubectl port-forward {target}: {line.strip() or 'it ended'}")
        yield int(found.group(1))
    finally:
        process.terminate()
        process.wait()
        if process.stdout:
            process.stdout.close()


def next_steps(name: str) -> None:
    """Say what a person may try now."""
    say(f"""
The engine in this cluster is a stand-in that makes its answers up; the rest is what runs on real GPUs. Next:

  export KUBECONFIG={paths.kubeconfig(name)}
  kubectl get gdep -o wide                        what runs
  kubectl get gdep chat -o yaml                   the plan with every number, and what was rejected
  kubectl edit gdep chat                          e.g. spec.context: 32768, or spec.model: 12b
  kubectl apply -f examples/model-e4b.yaml
  kubectl gemma plan -f examples/budget.yaml      what would be chosen (.venv/bin on PATH)
  python3 hack/local cluster down --name {name}   remove it all
""")


if __name__ == "__main__":
    sys.exit(main())
