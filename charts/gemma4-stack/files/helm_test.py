"""Fails, saying why, unless the operator is ready: it has listed what it works on. `helm test` runs it in a pod."""

import os
import sys
import time
import urllib.error
import urllib.request

URL = os.environ["OPERATOR_URL"]
SECONDS = float(os.environ.get("TEST_SECONDS", "60"))
COUNT = 'gemma_operator_cache_objects{kind="GemmaDeployment"}'
# The operator is reached directly, whatever proxy the pod is told of.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def read(path):
    """Body of an answer, or what is wrong as the second of two."""
    try:
        with OPENER.open(URL + path, timeout=5) as response:
            return response.read().decode(), ""
    except urllib.error.HTTPError as error:
        return "", f"answered {error.code}: {error.read().decode(errors='replace').strip()}"
    except OSError as error:
        return "", f"cannot be reached: {error}"


def problem():
    """What is wrong with the operator, or nothing."""
    _, wrong = read("/readyz")
    if wrong:
        return f"{URL}/readyz {wrong}; look at the operator's log"
    metrics, wrong = read("/metrics")
    if wrong:
        return f"{URL}/metrics {wrong}; look at the operator's log"
    if COUNT not in metrics:
        return f"{URL}/metrics has no {COUNT}: something else answers there"
    counted = sum(float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines() if line.startswith(COUNT))
    print(f"{URL}: the operator is ready and knows {counted:.0f} GemmaDeployments")
    return ""


deadline = time.monotonic() + SECONDS
while (wrong := problem()) and time.monotonic() < deadline:
    time.sleep(1)  # between two looks, until the deadline
if wrong:
    sys.exit(wrong)
