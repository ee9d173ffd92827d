"""Every query of the dashboards and alerts reads what the operator, the router and the engine really export."""

import json
import re

import pytest
from gemma_operator.api.conditions import Reason
from gemma_operator.api.status import Phase

from tests.unit.monitoring import exported
from tests.unit.monitoring.promql import Reads, reads
from tests.unit.monitoring.queries import DASHBOARDS, QUERIES, RULES, plain

EXPORTED = exported.everything()


@pytest.mark.parametrize("where", QUERIES)
def test_every_metric_and_label_is_exported(where):
    read = reads(plain(QUERIES[where]))
    assert read.metrics
    for metric, labels in read.metrics:
        assert metric in EXPORTED, f"nothing exports {metric}"
        assert labels <= EXPORTED[metric], f"{metric} has no label {labels - EXPORTED[metric]}"
        assert read.grouped <= EXPORTED[metric], f"{metric} has no label {read.grouped - EXPORTED[metric]}"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_variables_are_filled_from_metrics_that_exist(name):
    for variable in DASHBOARDS[name]["templating"]["list"]:
        if variable["type"] != "query":
            continue
        [(selector, label)] = re.findall(r"^label_values\((.*), (\w+)\)$", variable["definition"])
        [(metric, labels)] = reads(plain(selector)).metrics
        assert labels | {label} <= EXPORTED[metric]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_label_of_a_legend_survives_the_query(name):
    for panel in DASHBOARDS[name]["panels"]:
        for target in panel["targets"]:
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            read = reads(plain(target["expr"]))
            kept = read.grouped if "(" in target["expr"] else EXPORTED[read.metrics[0][0]]
            assert shown <= kept, f"{panel['title']}: {shown - kept}"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_can_be_loaded_beside_others(name):
    dashboard = DASHBOARDS[name]
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert len({board["uid"] for board in DASHBOARDS.values()}) == len(DASHBOARDS) == 2
    for panel in panels:
        assert panel["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_an_alert_says_what_is_wrong_and_what_to_do(rule):
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert len(rule["annotations"]["description"]) > 40
    assert rule["annotations"]["summary"].endswith(".")
    named = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
    assert named <= reads(rule["expr"]).grouped


def test_alerts_name_phases_and_reasons_that_exist():
    phases, reasons = set(map(str, Phase)), set(map(str, Reason))
    for rule in RULES:
        for value in re.findall(r'phase="(\w+)"', rule["expr"]):
            assert value in phases
        for values in re.findall(r'deployment_phase\{\s*reason=~?"([\w|]+)"', rule["expr"]):
            assert set(values.split("|")) <= reasons


class TestTheReader:
    """It has to find what is wrong, or the tests above prove nothing."""

    def test_metrics_labels_and_groups(self):
        expression = 'sum by (a, b) (rate(x_total{c=~"5..", d!="}"}[5m])) / on (a) max(y:z) > 0.05 and up'
        assert reads(expression) == Reads(
            metrics=(("x_total", frozenset({"c", "d"})), ("y:z", frozenset()), ("up", frozenset())),
            grouped=frozenset({"a", "b"}),
        )

    def test_what_is_no_promql_is_an_error(self):
        with pytest.raises(ValueError, match="none of PromQL"):
            reads("up # comment")

    @pytest.mark.parametrize(
        ("metric", "label"),
        [
            ("gemma_operator_requests", "state"),
            ("gemma_operator_reconcile_duration_seconds_bucket", "le"),
            ("gemma_operator_deployment_phase", "reason"),
            ("gemma_router_requests_total", "client"),
            ("gemma_router_requests_held", "reason"),
            ("vllm:inter_token_latency_seconds_bucket", "le"),
            ("vllm:kv_cache_usage_perc", "deployment"),
        ],
    )
    def test_what_is_exported_is_known(self, metric, label):
        assert label in EXPORTED[metric]

    @pytest.mark.parametrize("metric", ["gemma_operator_reconcile", "gemma_router_requests", "vllm:nothing"])
    def test_what_is_not_exported_is_not(self, metric):
        assert metric not in EXPORTED
