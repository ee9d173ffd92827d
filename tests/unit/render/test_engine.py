"""Objects of one GemmaDeployment: what each promise of the design looks like in them."""

from dataclasses import replace
from typing import Any

import pytest
from gemma_operator.render.pod import grace_seconds
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.render import builders
from tests.unit.render.builders import (
    CHAT,
    POOL,
    config,
    container,
    engine_objects,
    environment,
    mounts,
    of_kind,
    pod_spec,
    spec,
)


def test_objects_come_in_the_order_of_applying_them() -> None:
    objects = engine_objects(weights={"cache": {"size": "200Gi"}})
    assert [(item["kind"], item["metadata"]["name"]) for item in objects] == [
        ("ConfigMap", "chat-probe"),
        ("PersistentVolumeClaim", "chat-weights"),
        ("NetworkPolicy", "chat"),
        ("PodDisruptionBudget", "chat"),
        ("Service", "chat"),
        ("Deployment", "chat-0"),
    ]


def test_same_input_gives_the_same_objects() -> None:
    assert engine_objects() == engine_objects()


def test_everything_is_owned_by_the_deployment_and_goes_with_it() -> None:
    for item in engine_objects(weights={"cache": {"size": "200Gi"}}):
        assert item["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "gemma4stack.dev/v1alpha1",
                "kind": "GemmaDeployment",
                "name": "chat",
                "uid": CHAT.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
        assert item["metadata"]["namespace"] == "team-a"
        assert item["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "gemma-operator"
        assert item["metadata"]["labels"]["gemma4stack.dev/deployment"] == "chat"


def test_a_kept_claim_outlives_the_deployment() -> None:
    claim = of_kind(engine_objects(weights={"cache": {"size": "200Gi", "keep": True}}), "PersistentVolumeClaim")
    assert "ownerReferences" not in claim["metadata"]
    assert claim["metadata"]["labels"]["gemma4stack.dev/deployment"] == "chat"


def test_replicas_belong_to_the_scaler() -> None:
    assert "replicas" not in of_kind(engine_objects(), "Deployment")["spec"]


def test_each_pool_is_a_deployment_of_one_service() -> None:
    objects = engine_objects(pools=(POOL, replace(POOL, accelerator="l40s")))
    first, second = (of_kind(objects, "Deployment", name) for name in ("chat-0", "chat-1"))
    assert first["spec"]["selector"] != second["spec"]["selector"]
    selector = of_kind(objects, "Service")["spec"]["selector"]
    for pool in (first, second):
        labels = pool["spec"]["template"]["metadata"]["labels"]
        assert selector.items() <= labels.items()
        assert pool["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert selector == of_kind(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [("surge", {"maxSurge": 1, "maxUnavailable": 0}), ("inPlace", {"maxSurge": 0, "maxUnavailable": 1})],
)
def test_rollout(strategy: Any, expected: dict[str, int]) -> None:
    deployment = of_kind(engine_objects(strategy=strategy), "Deployment")
    assert deployment["spec"]["strategy"] == {"type": "RollingUpdate", "rollingUpdate": expected}


def test_disruption_budget_never_blocks_a_drain_for_good() -> None:
    budget = of_kind(engine_objects(), "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert "minAvailable" not in budget


class TestRouterLabel:
    """The router finds engines by the labels of their Service, which EndpointSlices inherit."""

    def test_set_to_the_router_of_the_spec(self) -> None:
        labels = of_kind(engine_objects(router={"name": "shared"}), "Service")["metadata"]["labels"]
        assert labels["gemma4stack.dev/router"] == "shared"

    def test_absent_without_a_router(self) -> None:
        labels = of_kind(engine_objects(router={"enabled": False}), "Service")["metadata"]["labels"]
        assert "gemma4stack.dev/router" not in labels


class TestStartup:
    """One real completion, within a budget, before requests come."""

    def test_probe_asks_the_served_model(self) -> None:
        command = container(engine_objects())["startupProbe"]["exec"]["command"]
        assert command[:4] == ["python3", "/etc/gemma-engine/startup_probe.py", "--model", "chat"]
        probe = of_kind(engine_objects(), "ConfigMap")
        assert mounts(engine_objects())["/etc/gemma-engine"]["configMap"]["name"] == probe["metadata"]["name"]
        assert list(probe["data"]) == ["startup_probe.py"]
        compile(probe["data"]["startup_probe.py"], "startup_probe.py", "exec")

    @pytest.mark.parametrize("budget", [30, 31, 600, 7200])
    def test_probe_lasts_for_the_budget(self, budget: int) -> None:
        probe = container(engine_objects(budget=budget))["startupProbe"]
        covered = probe["periodSeconds"] * probe["failureThreshold"]
        assert budget <= covered < budget + probe["periodSeconds"]

    def test_the_script_gives_up_before_the_kubelet_kills_it(self) -> None:
        probe = container(engine_objects())["startupProbe"]
        command = probe["exec"]["command"]
        assert float(command[command.index("--timeout") + 1]) < probe["timeoutSeconds"]

    @pytest.mark.parametrize("budget", [30, 7200])
    def test_rollout_waits_longer_than_a_start_may_take(self, budget: int) -> None:
        deployment = of_kind(engine_objects(budget=budget), "Deployment")
        assert deployment["spec"]["progressDeadlineSeconds"] > budget

    def test_the_engine_waits_for_its_workers_as_long(self) -> None:
        entry = environment(engine_objects(budget=3000))["VLLM_ENGINE_READY_TIMEOUT_S"]
        assert entry["value"] == "3000"

    def test_budget_grows_with_the_weights(self) -> None:
        small = container(engine_objects())["startupProbe"]["failureThreshold"]
        large = container(engine_objects(pool=replace(POOL, weights_bytes=62 * 10**9)))["startupProbe"]
        assert large["failureThreshold"] > small

    def test_configured_budget_wins(self) -> None:
        settings = config(engine={"startupBudgetSeconds": 45})
        probe = container(engine_objects(settings=settings))["startupProbe"]
        assert probe["failureThreshold"] * probe["periodSeconds"] == 45

    @pytest.mark.parametrize(("measured", "longer"), [(10, False), (900, True)])
    def test_slow_starts_get_more_time_and_fast_ones_no_less(self, measured: int, longer: bool) -> None:
        usual = container(engine_objects())["startupProbe"]["failureThreshold"]
        after = container(engine_objects(measured=measured))["startupProbe"]["failureThreshold"]
        assert (after > usual) is longer
        assert after >= usual

    def test_karpenter_leaves_a_loading_replica_alone(self) -> None:
        template = of_kind(engine_objects(budget=601), "Deployment")["spec"]["template"]
        assert template["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] == "11m"


@pytest.mark.parametrize("probe", ["readinessProbe", "livenessProbe"])
def test_busy_is_not_dead(probe: str) -> None:
    rendered = container(engine_objects())[probe]
    assert rendered["httpGet"] == {"path": "/health", "port": "http"}
    assert rendered["timeoutSeconds"] >= 2
    assert rendered["failureThreshold"] >= 3


class TestTermination:
    """Termination is the drain, whoever terminates."""

    @given(pre_stop=st.integers(0, 120), drain=st.integers(0, 20_000))
    def test_grace_covers_pre_stop_and_drain(self, pre_stop: int, drain: int) -> None:
        seconds = grace_seconds(
            spec=spec(scaling={"drainTimeout": f"{drain}s"}), config=config(engine={"preStopSeconds": pre_stop})
        )
        assert seconds >= pre_stop + drain + 10

    def test_grace_is_the_pods(self) -> None:
        assert pod_spec(engine_objects(scaling={"drainTimeout": "10m"}))["terminationGracePeriodSeconds"] >= 620

    def test_pre_stop_waits_until_routers_know(self) -> None:
        objects = engine_objects(settings=config(engine={"preStopSeconds": 25}))
        assert container(objects)["lifecycle"] == {"preStop": {"sleep": {"seconds": 25}}}

    def test_no_hook_without_a_wait(self) -> None:
        assert "lifecycle" not in container(engine_objects(settings=config(engine={"preStopSeconds": 0})))

    def test_a_failed_probe_does_not_drain(self) -> None:
        rendered = container(engine_objects(scaling={"drainTimeout": "1h"}))
        assert rendered["startupProbe"]["terminationGracePeriodSeconds"] == 30
        assert rendered["livenessProbe"]["terminationGracePeriodSeconds"] == 30


def test_arguments_are_the_plans_and_the_image_keeps_its_entrypoint() -> None:
    rendered = container(engine_objects())
    assert rendered["args"] == list(POOL.args)
    assert "command" not in rendered
    assert rendered["image"] == POOL.image


def test_the_checksum_changes_with_the_object_and_only_then() -> None:
    def checksums(**fields: Any) -> dict[str, str]:
        return {
            item["kind"]: item["metadata"]["annotations"]["gemma4stack.dev/checksum"]
            for item in builders.engine_objects(**fields)
        }

    before, after = checksums(), checksums(pod={"labels": {"team": "a"}})
    assert {kind for kind in before if before[kind] != after[kind]} == {"Deployment"}
