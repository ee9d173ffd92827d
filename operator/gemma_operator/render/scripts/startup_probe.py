"""Succeeds once the engine has answered one real completion: only then may requests come.

`/health` answers as soon as the port opens, before the kernels for the first request are compiled. One probe runs at
a time: a second one, started while the first still waits, fails at once and adds no load.
"""

import argparse
import fcntl
import http.client
import json
import os
import sys
import tempfile

LOCK = os.path.join(tempfile.gettempdir(), "gemma-startup-probe.lock")
SHOWN = 300


def completion(*, host: str, port: int, model: str, timeout: float) -> str | None:
    """Ask for one token; `None` when it came, else what went wrong."""
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("VLLM_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    body = json.dumps({"model": model, "prompt": "1", "max_tokens": 1, "temperature": 0})
    # http.client, not urllib: HTTP_PROXY of the pod must not apply to the pod itself.
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("POST", "/v1/completions", body=body, headers=headers)
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    except ConnectionRefusedError:
        return f"the engine does not listen on port {port} yet"
    except TimeoutError:
        return f"the engine listens, but gave no completion within {timeout:g} s"
    except (OSError, http.client.HTTPException) as error:
        return f"the engine ended the connection: {type(error).__name__}: {error}"
    finally:
        connection.close()
    if response.status != 200:
        return f"the engine answered {response.status}: {text[:SHOWN]}"
    try:
        answered = bool(json.loads(text)["choices"])
    except (ValueError, KeyError, TypeError):
        answered = False
    return None if answered else f"the engine answered without a completion: {text[:SHOWN]}"


def main() -> int:
    """Exit status 0 when the engine answered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--timeout", type=float, default=12, help="seconds")
    arguments = parser.parse_args()
    # The kernel frees the lock with the process: nothing is left behind by a probe or a container that was killed.
    with open(LOCK, "a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            problem: str | None = "an earlier probe still waits for its completion"
        else:
            problem = completion(
                host=arguments.host, port=arguments.port, model=arguments.model, timeout=arguments.timeout
            )
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
