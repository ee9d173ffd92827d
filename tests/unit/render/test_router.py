"""Objects of a router that several GemmaDeployments share."""

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml
from gemma_operator.render.router import router_secrets, routes_json
from gemma_operator.render.types import DeploymentIdentity, Object, Route
from gemma_router import proxy_config
from gemma_router.routes import parse_routes

from tests.unit.render.builders import (
    CHAT,
    CODE,
    KEYS,
    OTHER,
    config,
    container,
    environment,
    of_kind,
    pod_spec,
    router_objects,
)

CHAT_ROUTE = Route(name="chat", aliases=("b", "a"), max_num_seqs=32, context_tokens=8192)
CODE_ROUTE = Route(
    name="code",
    max_num_seqs=16,
    context_tokens=32768,
    fallbacks=("chat", "aux"),
    hold_seconds=60,
    startup_seconds=180,
)


def test_the_image_comes_from_the_registry_of_the_site() -> None:
    assert container(router_objects(imageRegistry="mirror.example"))["image"].startswith("mirror.example/berriai/")


def secrets(*, owners: tuple[DeploymentIdentity, ...] = (CHAT,), **settings: Any) -> list[Object]:
    """The Secrets of router `gemma-router`."""
    return router_secrets(
        namespace="team-a", router="gemma-router", owners=owners, config=config(**settings), keys=KEYS
    )


def template_of(objects: list[Object]) -> Object:
    """The pod template of the router's Deployment."""
    return dict(of_kind(objects, "Deployment")["spec"]["template"])


def test_objects_come_in_the_order_of_applying_them() -> None:
    assert [(item["kind"], item["metadata"]["name"]) for item in router_objects()] == [
        ("ServiceAccount", "gemma-router"),
        ("RoleBinding", "gemma-router"),
        ("ConfigMap", "gemma-router-config"),
        ("ConfigMap", "gemma-router-code"),
        ("ConfigMap", "gemma-router-routes"),
        ("NetworkPolicy", "gemma-router"),
        ("PodDisruptionBudget", "gemma-router"),
        ("Service", "gemma-router"),
        ("Deployment", "gemma-router"),
    ]


def test_it_goes_with_its_last_user() -> None:
    for item in [*router_objects(owners=(OTHER, CHAT)), *secrets(owners=(OTHER, CHAT))]:
        references = item["metadata"]["ownerReferences"]
        assert [reference["uid"] for reference in references] == [CHAT.uid, OTHER.uid]
        assert not any(reference.get("controller") for reference in references)


def test_the_order_of_users_and_routes_does_not_matter() -> None:
    assert router_objects(owners=(CHAT, OTHER), routes=(CHAT_ROUTE, CODE_ROUTE)) == router_objects(
        owners=(OTHER, CHAT), routes=(CODE_ROUTE, CHAT_ROUTE)
    )


@pytest.mark.parametrize(("namespaces", "kind"), [([], "ClusterRole"), (["team-a"], "Role")])
def test_it_may_do_what_the_charts_role_says_and_no_role_is_created(namespaces: list[str], kind: str) -> None:
    objects = router_objects(router={"role": "release-gemma-router"}, namespaces=namespaces)
    binding = of_kind(objects, "RoleBinding")
    assert binding["roleRef"] == {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": kind,
        "name": "release-gemma-router",
    }
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "gemma-router", "namespace": "team-a"}]
    assert pod_spec(objects)["serviceAccountName"] == of_kind(objects, "ServiceAccount")["metadata"]["name"]
    assert not {"Role", "ClusterRole"} & {item["kind"] for item in objects}


class TestRoutes:
    """What the router watches."""

    def test_sorted_and_complete(self) -> None:
        assert json.loads(routes_json((CODE_ROUTE, CHAT_ROUTE))) == {
            "deployments": [
                {
                    "name": "chat",
                    "aliases": ["a", "b"],
                    "maxNumSeqs": 32,
                    "contextTokens": 8192,
                    "fallbacks": [],
                    "holdTimeoutSeconds": 600,
                },
                {
                    "name": "code",
                    "aliases": [],
                    "maxNumSeqs": 16,
                    "contextTokens": 32768,
                    # the order of fallbacks is the user's
                    "fallbacks": ["chat", "aux"],
                    "holdTimeoutSeconds": 60,
                    "startupSeconds": 180,
                },
            ]
        }

    def test_a_new_route_rolls_no_pod(self) -> None:
        before, after = router_objects(routes=(CHAT_ROUTE,)), router_objects(routes=(CHAT_ROUTE, CODE_ROUTE))
        assert of_kind(before, "ConfigMap", "gemma-router-routes") != of_kind(after, "ConfigMap", "gemma-router-routes")
        assert template_of(before) == template_of(after)

    def test_a_new_user_rolls_no_pod(self) -> None:
        assert template_of(router_objects(owners=(CHAT,))) == template_of(router_objects(owners=(CHAT, OTHER)))


class TestRestart:
    """Pods are replaced when what they read at start changes."""

    def test_new_code(self) -> None:
        changed = {**CODE, "startup.py": "async def start() -> None: raise SystemExit\n"}
        assert template_of(router_objects()) != template_of(router_objects(code=changed))

    def test_new_configuration(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = template_of(router_objects())
        monkeypatch.setattr(proxy_config, "litellm_config", lambda: {"model_list": ["changed"]})
        assert template_of(router_objects()) != before

    def test_the_order_of_files_is_no_change(self) -> None:
        backwards = dict(reversed(CODE.items()))
        assert router_objects() == router_objects(code=backwards)


def test_configuration_is_the_proxys() -> None:
    data = of_kind(router_objects(), "ConfigMap", "gemma-router-config")["data"]
    assert yaml.safe_load(data["config.yaml"]) == proxy_config.litellm_config()


def test_code_is_mounted_as_the_package_that_the_hook_names() -> None:
    objects = router_objects()
    assert of_kind(objects, "ConfigMap", "gemma-router-code")["data"] == CODE
    mount = next(item for item in container(objects)["volumeMounts"] if item["name"] == "code")
    search_path = environment(objects)["PYTHONPATH"]["value"]
    hook = environment(objects)["LITELLM_WORKER_STARTUP_HOOKS"]["value"]
    assert mount["mountPath"] == f"{search_path}/{hook.partition('.')[0]}"


def test_everything_that_is_watched_for_changes_is_mounted_whole() -> None:
    assert not [mount for mount in container(router_objects())["volumeMounts"] if "subPath" in mount]


def test_only_the_temporary_directory_can_be_written() -> None:
    objects = router_objects()
    writable = [mount["mountPath"] for mount in container(objects)["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/tmp"]
    assert container(objects)["securityContext"]["readOnlyRootFilesystem"] is True


def test_nothing_is_fetched_from_the_internet() -> None:
    entries = environment(router_objects())
    assert entries["LITELLM_LOCAL_MODEL_COST_MAP"]["value"] == "True"
    assert entries["LITELLM_MODE"]["value"] == "PRODUCTION"
    assert proxy_config.ENVIRONMENT.keys() <= entries.keys()


class TestShutdown:
    """A stopping router ends its streams."""

    @pytest.mark.parametrize("drain", [0, 45, 7200])
    def test_grace_covers_pre_stop_and_drain(self, drain: int) -> None:
        objects = router_objects(router={"drainSeconds": drain})
        pre_stop = container(objects)["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert environment(objects)["GRACEFUL_SHUTDOWN_TIMEOUT"]["value"] == str(drain)
        assert pod_spec(objects)["terminationGracePeriodSeconds"] >= pre_stop + drain + 10

    def test_two_pods_spread_and_one_at_a_time(self) -> None:
        objects = router_objects()
        deployment = of_kind(objects, "Deployment")["spec"]
        assert deployment["replicas"] == 2
        assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        assert of_kind(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
        (constraint,) = pod_spec(objects)["topologySpreadConstraints"]
        assert constraint["topologyKey"] == "kubernetes.io/hostname"


def test_the_service_exposes_the_api_and_not_the_state() -> None:
    service = of_kind(router_objects(router={"serviceType": "LoadBalancer"}), "Service")["spec"]
    assert service["type"] == "LoadBalancer"
    assert service["ports"] == [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]
    ports = {item["name"]: item["containerPort"] for item in container(router_objects())["ports"]}
    assert ports == {"http": proxy_config.HTTP_PORT, "state": proxy_config.STATE_PORT}


def test_what_is_switched_off_is_told_and_read_as_it_is_meant() -> None:
    off = replace(CHAT_ROUTE, hold_seconds=0, switched_off=True)
    chat, code = parse_routes(routes_json((off, CODE_ROUTE)))
    assert (chat.name, chat.switched_off, chat.hold_seconds) == ("chat", True, 0)
    assert (code.name, code.switched_off, code.hold_seconds) == ("code", False, 60)


def test_the_routers_own_endpoints_are_no_model() -> None:
    labels = of_kind(router_objects(), "Service")["metadata"]["labels"]
    assert "gemma4stack.dev/deployment" not in labels


class TestSecrets:
    """Created once from random material that the caller makes."""

    def test_generated(self) -> None:
        auth, keys = secrets()
        assert (auth["metadata"]["name"], keys["metadata"]["name"]) == ("gemma-router-auth", "gemma-router-keys")
        assert auth["stringData"] == {"master-key": KEYS.master, "engine-key": KEYS.engine}
        assert keys["stringData"] == {"default": KEYS.client}

    def test_a_configured_secret_is_not_made(self) -> None:
        (keys,) = secrets(router={"masterKeySecret": "ours"})
        assert keys["metadata"]["name"] == "gemma-router-keys"
        objects = router_objects(router={"masterKeySecret": "ours"})
        references = [
            entry["valueFrom"]["secretKeyRef"] for entry in environment(objects).values() if "Key" in str(entry)
        ]
        assert {reference["name"] for reference in references} == {"ours"}

    def test_keys_of_clients_may_be_kept_by_somebody_else(self) -> None:
        (auth,) = secrets(router={"clientKeysSecret": "theirs"})
        assert auth["metadata"]["name"] == "gemma-router-auth"
        deployment = of_kind(router_objects(router={"clientKeysSecret": "theirs"}), "Deployment")
        [volume] = [each for each in deployment["spec"]["template"]["spec"]["volumes"] if each["name"] == "keys"]
        assert volume["secret"] == {"secretName": "theirs", "optional": True}

    def test_no_key_is_shown_by_accident(self) -> None:
        shown = f"{KEYS!r} {KEYS}"
        assert not any(key in shown for key in (KEYS.master, KEYS.engine, KEYS.client))

    def test_applied_objects_hold_no_key(self) -> None:
        text = json.dumps(router_objects())
        assert not any(key in text for key in (KEYS.master, KEYS.engine, KEYS.client))
        for entry in environment(router_objects()).values():
            if entry["name"] in ("LITELLM_MASTER_KEY", "GEMMA_ENGINE_KEY"):
                assert "value" not in entry
