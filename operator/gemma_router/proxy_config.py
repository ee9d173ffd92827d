"""What the LiteLLM container needs: config.yaml, environment, command, ports, paths and times.

Pure and without litellm, so that the operator's renderer imports it. Names and behaviour hold for LiteLLM 1.108.7.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

HTTP_PORT = 4000
"""Clients; the only port of the router's Service."""
STATE_PORT = 4001
"""Counts and metrics for the operator and monitoring; never part of a Service or an Ingress."""

CONFIG_DIR = "/etc/gemma-router/config"
CONFIG_FILE = f"{CONFIG_DIR}/config.yaml"
CODE_DIR = "/etc/gemma-router/code"
CODE_MOUNT = f"{CODE_DIR}/gemma_router"
"""Where the ConfigMap of `source.files()` is mounted whole, so that it is a package below PYTHONPATH."""
KEYS_DIR = "/etc/gemma-router/keys"

READINESS_PATH = "/health/readiness"
"""503 until the first list of routes and endpoints is applied."""
LIVENESS_PATH = "/health/liveliness"

REQUEST_TIMEOUT_SECONDS = 600
"""Longest request, queueing in the engine included."""
HOLD_SECONDS = 300
"""Longest wait in the router for an endpoint, where the route does not say."""
HOLD_QUEUE = 1000
"""Most requests of one deployment that wait in one router pod."""
HOLD_BYTES = 256 * 1024 * 1024
"""Most bytes of requests, of all deployments, that wait in one router pod. LiteLLM takes about three times as much
memory for them, which fits into the pod's limit.
"""
COMMENT_SECONDS = 15
"""A stream that has waited so long gets a comment, then another one each time. It commits to status 200 and clients
repeat what got no status, so it comes late; load balancers cut what is silent for 30 s at the earliest.
"""
PRE_STOP_SECONDS = 10
"""LiteLLM closes its listener at SIGTERM; kube-proxy needs this long to stop sending."""
SILENCE_SECONDS = 40
"""How long a connection to an engine may be dead: longer than a hiccup, as long as Kubernetes waits for a node."""
SHUTDOWN_SECONDS = REQUEST_TIMEOUT_SECONDS
"""How long open requests may go on after SIGTERM (GRACEFUL_SHUTDOWN_TIMEOUT)."""
TERMINATION_GRACE_SECONDS = PRE_STOP_SECONDS + SHUTDOWN_SECONDS + 20

HOOK = "gemma_router.startup:start"
CUSTOM_AUTH = "gemma_router.litellm_seam.authenticate"

COMMAND: tuple[str, ...] = (
    *("litellm", "--config", CONFIG_FILE),
    *("--host", "0.0.0.0", "--port", str(HTTP_PORT), "--num_workers", "1"),
)

ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {
        "PYTHONPATH": CODE_DIR,
        "PYTHONDONTWRITEBYTECODE": "1",
        "LITELLM_WORKER_STARTUP_HOOKS": HOOK,
        "GEMMA_KEYS_DIR": KEYS_DIR,
        "GRACEFUL_SHUTDOWN_TIMEOUT": str(SHUTDOWN_SECONDS),
        # A request on a node that vanished fails after SILENCE_SECONDS, not after its timeout.
        "AIOHTTP_SO_KEEPALIVE": "True",
        "AIOHTTP_TCP_KEEPIDLE": str(SILENCE_SECONDS // 2),
        "AIOHTTP_TCP_KEEPINTVL": str(SILENCE_SECONDS // 8),
        "AIOHTTP_TCP_KEEPCNT": "4",
        "HOME": "/tmp",
        # PRODUCTION: no .env file is read. ERROR: requests are counted, not logged one by one.
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        # Without these LiteLLM fetches tables from the internet when it is imported and waits for the timeouts.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
        "LITELLM_LOCAL_BLOG_POSTS": "True",
        "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
        "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
        "LITELLM_TELEMETRY_DISABLED": "true",
        "DO_NOT_TRACK": "1",
        # Pages for people that would share the port of the API.
        "NO_DOCS": "True",
        "NO_REDOC": "True",
        "DISABLE_ADMIN_UI": "True",
    }
)
"""Literal environment of the container; secrets and the downward API are the renderer's."""


def litellm_config(*, request_timeout_seconds: int = REQUEST_TIMEOUT_SECONDS, retries: int = 2) -> dict[str, object]:
    """Return the proxy's config.yaml: no database, no model list, nothing that changes with a deployment.

    Deployments and endpoints come from the watch, so scaling and new deployments never restart the proxy.
    `retries` counts further attempts after the first; each goes to an endpoint that was not tried, if there is one.
    """
    return {
        "model_list": [],
        "router_settings": {
            # async_filter_deployments leaves one candidate, so the strategy has nothing to choose.
            "routing_strategy": "simple-shuffle",
            "num_retries": retries,
            "retry_after": 0,
            # gemma_router ejects endpoints itself; a cooldown would hide a whole group from it.
            "disable_cooldowns": True,
            "timeout": request_timeout_seconds,
        },
        "litellm_settings": {
            "drop_params": True,
            "request_timeout": request_timeout_seconds,
            "json_logs": True,
            "turn_off_message_logging": True,
            "redact_user_api_key_info": True,
        },
        "general_settings": {
            "master_key": "os.environ/LITELLM_MASTER_KEY",
            "custom_auth": CUSTOM_AUTH,
            # Without it a request that waits for an endpoint outlives its client.
            "cancel_on_disconnect": True,
            "store_model_in_db": False,
        },
    }
