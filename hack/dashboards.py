"""The Grafana dashboards of the chart: what is asked of Prometheus, and how it is shown."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS, HEIGHT = 3, 8
WIDTH = 24 // COLUMNS
RATE = "$__rate_interval"
MODEL = 'namespace=~"$namespace", deployment=~"$deployment"'
OBJECT = 'namespace=~"$namespace", name=~"$deployment"'


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph: its title, its unit in Grafana's words, and each query with the legend of its lines."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    stacked: bool = False
    description: str = ""


def _quantile(share: str, histogram: str, by: str, matchers: str = "") -> str:
    selector = f"{{{matchers}}}" if matchers else ""
    return f"histogram_quantile({share}, sum by ({by}) (rate({histogram}_bucket{selector}[{RATE}])))"


FLEET: tuple[Panel, ...] = (
    Panel("GemmaDeployments by phase", "short", (("sum by (phase) (gemma_operator_deployments)", "{{phase}}"),), True),
    Panel(
        "Ready replicas",
        "short",
        (
            (
                'sum by (namespace, name) (gemma_operator_deployment_replicas{state="ready"})',
                "{{namespace}}/{{name}}",
            ),
        ),
        True,
    ),
    Panel(
        "Price per hour",
        "currencyUSD",
        (("sum by (namespace, name) (gemma_operator_deployment_cost_per_hour)", "{{namespace}}/{{name}}"),),
        True,
        "List price of the wanted replicas, where it is known.",
    ),
    Panel("Requests", "short", (("sum by (state) (gemma_operator_requests)", "{{state}}"),), True),
    Panel(
        "Requests per second",
        "reqps",
        (
            (
                f"sum by (namespace, deployment) (rate(gemma_router_requests_total[{RATE}]))",
                "{{namespace}}/{{deployment}}",
            ),
        ),
    ),
    Panel(
        "Share of failed requests",
        "percentunit",
        (
            (
                f'sum by (namespace, deployment) (rate(gemma_router_requests_total{{code=~"5.."}}[{RATE}]))'
                f" / sum by (namespace, deployment) (rate(gemma_router_requests_total[{RATE}]))",
                "{{namespace}}/{{deployment}}",
            ),
        ),
    ),
    Panel(
        "First byte, 95th percentile",
        "s",
        (
            (
                _quantile("0.95", "gemma_router_first_byte_seconds", "le, namespace, deployment"),
                "{{namespace}}/{{deployment}}",
            ),
        ),
    ),
    Panel(
        "Generated tokens per second",
        "short",
        (
            (
                f"sum by (namespace, deployment) (rate(vllm:generation_tokens_total[{RATE}]))",
                "{{namespace}}/{{deployment}}",
            ),
        ),
    ),
    Panel(
        "KV cache in use",
        "percentunit",
        (("avg by (namespace, deployment) (vllm:kv_cache_usage_perc)", "{{namespace}}/{{deployment}}"),),
    ),
    Panel(
        "Plans",
        "short",
        ((f"sum by (outcome) (increase(gemma_operator_plans_total[{RATE}]))", "{{outcome}}"),),
        description="Plans made by their outcome; all but planned and replanned are reasons why there is none.",
    ),
    Panel(
        "Reconciles per second",
        "ops",
        ((f"sum by (queue, result) (rate(gemma_operator_reconcile_total[{RATE}]))", "{{queue}} {{result}}"),),
    ),
    Panel(
        "The operator's queue",
        "short",
        (
            ("sum by (queue) (gemma_operator_workqueue_depth)", "{{queue}} waiting"),
            ("sum by (queue) (gemma_operator_active_workers)", "{{queue}} at work"),
        ),
    ),
    Panel(
        "Reads of engines and routers",
        "ops",
        ((f"sum by (what, result) (rate(gemma_operator_scrapes_total[{RATE}]))", "{{what}} {{result}}"),),
    ),
    Panel(
        "Requests to the API server",
        "reqps",
        ((f"sum by (verb, code) (rate(gemma_operator_apiserver_requests_total[{RATE}]))", "{{verb}} {{code}}"),),
    ),
    Panel(
        "Event loop lag",
        "s",
        (("max(gemma_operator_event_loop_lag_seconds)", "lag"),),
        description="How late the operator's event loop was; at 10 s the operator is restarted.",
    ),
)
"""What concerns all GemmaDeployments, and the operator."""

DEPLOYMENT: tuple[Panel, ...] = (
    Panel(
        "Phase",
        "short",
        ((f"sum by (phase, reason) (gemma_operator_deployment_phase{{{OBJECT}}})", "{{phase}} {{reason}}"),),
    ),
    Panel("Replicas", "short", ((f"sum by (state) (gemma_operator_deployment_replicas{{{OBJECT}}})", "{{state}}"),)),
    Panel(
        "Requests",
        "short",
        ((f"sum by (state) (gemma_operator_requests{{{OBJECT}}})", "{{state}}"),),
        True,
        "Running and waiting in engines, held in the router.",
    ),
    Panel(
        "Requests per second by answer",
        "reqps",
        ((f"sum by (code) (rate(gemma_router_requests_total{{{MODEL}}}[{RATE}]))", "{{code}}"),),
        True,
    ),
    Panel(
        "Requests per second by client",
        "reqps",
        ((f"sum by (client) (rate(gemma_router_requests_total{{{MODEL}}}[{RATE}]))", "{{client}}"),),
        True,
    ),
    Panel(
        "Given up while waiting",
        "reqps",
        ((f"sum by (reason) (rate(gemma_router_refused_total{{{MODEL}}}[{RATE}]))", "{{reason}}"),),
    ),
    Panel(
        "First byte",
        "s",
        tuple(
            (_quantile(share, "gemma_router_first_byte_seconds", "le", MODEL), f"{share} of requests")
            for share in ("0.5", "0.95", "0.99")
        ),
        description="As clients see it, from the request to the first byte of the answer.",
    ),
    Panel(
        "Waiting for an endpoint",
        "s",
        ((_quantile("0.95", "gemma_router_wait_seconds", "le", MODEL), "0.95 of those that waited"),),
    ),
    Panel(
        "Between tokens",
        "s",
        tuple(
            (_quantile(share, "vllm:inter_token_latency_seconds", "le", MODEL), f"{share} of tokens")
            for share in ("0.5", "0.95")
        ),
    ),
    Panel(
        "Tokens per second",
        "short",
        (
            (f"sum(rate(vllm:generation_tokens_total{{{MODEL}}}[{RATE}]))", "generated"),
            (f"sum(rate(vllm:prompt_tokens_total{{{MODEL}}}[{RATE}]))", "prompts"),
            (f"sum(rate(vllm:prompt_tokens_cached_total{{{MODEL}}}[{RATE}]))", "prompts, from the cache"),
        ),
    ),
    Panel("KV cache in use", "percentunit", ((f"vllm:kv_cache_usage_perc{{{MODEL}}}", "{{pod}}"),)),
    Panel(
        "Preemptions per second",
        "ops",
        ((f"sum by (pod) (rate(vllm:num_preemptions_total{{{MODEL}}}[{RATE}]))", "{{pod}}"),),
        description="Requests that lost their place because the KV cache was full; many mean too high a concurrency.",
    ),
    Panel(
        "Requests in engines",
        "short",
        (
            (f"sum by (pod) (vllm:num_requests_running{{{MODEL}}})", "{{pod}} running"),
            (f"sum by (pod) (vllm:num_requests_waiting{{{MODEL}}})", "{{pod}} waiting"),
        ),
    ),
    Panel(
        "Endpoints of the router",
        "short",
        (
            (f"max(gemma_router_endpoints{{{MODEL}}})", "may get requests"),
            (f"max(gemma_router_endpoints_ejected{{{MODEL}}})", "do not answer"),
        ),
    ),
    Panel(
        "Held in the router",
        "short",
        ((f"sum by (reason) (gemma_router_requests_held{{{MODEL}}})", "{{reason}}"),),
        True,
    ),
)
"""What concerns one GemmaDeployment."""

_VARIABLES = (
    ("namespace", "label_values(gemma_operator_deployment_phase, namespace)"),
    ("deployment", 'label_values(gemma_operator_deployment_phase{namespace=~"$namespace"}, name)'),
)


def fleet() -> str:
    """The dashboard of all GemmaDeployments and the operator."""
    return _dashboard("Gemma 4: fleet", uid="gemma4-fleet", panels=FLEET, variables=())


def deployment() -> str:
    """The dashboard of one GemmaDeployment."""
    return _dashboard("Gemma 4: one deployment", uid="gemma4-deployment", panels=DEPLOYMENT, variables=_VARIABLES)


def _dashboard(title: str, *, uid: str, panels: Sequence[Panel], variables: Sequence[tuple[str, str]]) -> str:
    document = {
        "title": title,
        "uid": uid,
        "tags": ["gemma4-stack"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_source(), *(_variable(name, query) for name, query in variables)]},
        "panels": [_panel(index, panel) for index, panel in enumerate(panels)],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _source() -> Object:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}


def _variable(name: str, query: str) -> Object:
    return {
        "name": name,
        "type": "query",
        "label": name.capitalize(),
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
    }


def _panel(index: int, panel: Panel) -> Object:
    custom = {"fillOpacity": 20 if panel.stacked else 0, "stacking": {"mode": "normal" if panel.stacked else "none"}}
    return {
        "id": index + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": {"x": index % COLUMNS * WIDTH, "y": index // COLUMNS * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": custom}, "overrides": []},
        "options": {"tooltip": {"mode": "multi", "sort": "desc"}, "legend": {"displayMode": "list"}},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": query, "legendFormat": legend}
            for number, (query, legend) in enumerate(panel.queries)
        ],
    }
