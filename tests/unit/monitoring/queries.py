"""Every query of the chart's dashboards and alerts."""

import json

import yaml

from tests.helm import STACK

FILES = STACK / "files"
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((FILES / "dashboards").glob("*.json"))}
RULES = [rule for group in yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]


def queries() -> dict[str, str]:
    """Every expression by where it stands."""
    found = {f"alert {rule['alert']}": rule["expr"] for rule in RULES}
    for name, dashboard in DASHBOARDS.items():
        for panel in dashboard["panels"]:
            found |= {f"{name}: {panel['title']} {target['refId']}": target["expr"] for target in panel["targets"]}
    return found


QUERIES = queries()


def plain(query: str) -> str:
    """A query of a dashboard with values for Grafana's variables."""
    return query.replace("$__rate_interval", "5m").replace("$namespace", "a").replace("$deployment", "chat")
