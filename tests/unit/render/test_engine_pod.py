"""The pod of an engine: files, secrets, environment, resources, scheduling, and what a person may add."""

from dataclasses import replace
from typing import Any

import pytest
from gemma_operator.inventory.quantity import millis
from gemma_operator.planner.types import Resources
from gemma_operator.render.resources import engine_resources
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.render.builders import (
    GIB,
    POOL,
    config,
    container,
    engine_objects,
    environment,
    mounts,
    of_kind,
    pod_spec,
)


class TestFileSystem:
    """The root is read-only: whatever the engine writes has a volume below it."""

    def test_every_directory_variable_points_into_a_volume(self) -> None:
        objects = engine_objects()
        writable = [path for path, volume in mounts(objects).items() if "configMap" not in volume]
        paths = {
            name: entry["value"]
            for name, entry in environment(objects).items()
            if entry.get("value", "").startswith("/")
        }
        assert {"HOME", "HF_HOME", "VLLM_CACHE_ROOT", "TRITON_CACHE_DIR", "XDG_CACHE_HOME"} <= set(paths)
        for name, path in paths.items():
            assert any(f"{path}/".startswith(f"{mount}/") for mount in writable), f"{name}={path} cannot be written"

    @pytest.mark.parametrize(("gpus", "shm", "expected"), [(1, 0, 1), (2, 0, 4), (8, 0, 16), (1, 3 * GIB, 3)])
    def test_shared_memory(self, gpus: int, shm: int, expected: int) -> None:
        pool = replace(POOL, gpus_per_replica=gpus, resources=replace(POOL.resources, shm_bytes=shm))
        volume = mounts(engine_objects(pool=pool))["/dev/shm"]
        assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": f"{expected}Gi"}

    def test_weights_are_ephemeral_without_a_cache(self) -> None:
        assert mounts(engine_objects())["/weights"]["emptyDir"] == {}

    @pytest.mark.parametrize(
        ("cache", "claim"), [({"claimName": "models"}, "models"), ({"size": "1Ti"}, "chat-weights")]
    )
    def test_weights_on_a_claim(self, cache: dict[str, str], claim: str) -> None:
        objects = engine_objects(weights={"cache": cache})
        assert mounts(objects)["/weights"]["persistentVolumeClaim"] == {"claimName": claim}

    def test_an_existing_claim_is_not_rendered(self) -> None:
        kinds = {item["kind"] for item in engine_objects(weights={"cache": {"claimName": "models"}})}
        assert "PersistentVolumeClaim" not in kinds

    def test_the_created_claim_is_shared(self) -> None:
        claim = of_kind(
            engine_objects(weights={"cache": {"size": "200Gi", "storageClassName": "nfs"}}), "PersistentVolumeClaim"
        )
        assert claim["spec"] == {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "200Gi"}},
            "storageClassName": "nfs",
        }

    @pytest.mark.parametrize(
        ("cache", "expected"), [(None, "home,shm,tmp,weights"), ({"claimName": "models"}, "home,shm,tmp")]
    )
    def test_autoscaler_may_drop_every_local_volume(self, cache: dict[str, str] | None, expected: str) -> None:
        objects = engine_objects(weights={"cache": cache})
        annotations = of_kind(objects, "Deployment")["spec"]["template"]["metadata"]["annotations"]
        local = annotations["cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"]
        assert local == expected
        assert set(local.split(",")) == {
            volume["name"] for volume in pod_spec(objects)["volumes"] if "emptyDir" in volume
        }


class TestSecrets:
    """Keys and tokens reach the engine by reference only."""

    def test_engine_key_of_the_router(self) -> None:
        entry = environment(engine_objects(router={"name": "shared"}))["VLLM_API_KEY"]
        assert entry == {
            "name": "VLLM_API_KEY",
            "valueFrom": {"secretKeyRef": {"name": "shared-auth", "key": "engine-key"}},
        }

    def test_configured_secret(self) -> None:
        settings = config(router={"masterKeySecret": "ours"})
        entry = environment(engine_objects(settings=settings))["VLLM_API_KEY"]
        assert entry["valueFrom"]["secretKeyRef"]["name"] == "ours"

    def test_no_key_without_a_router(self) -> None:
        assert "VLLM_API_KEY" not in environment(engine_objects(router={"enabled": False}))

    def test_hugging_face_token(self) -> None:
        entry = environment(engine_objects(weights={"tokenSecretRef": {"name": "hf", "key": "t"}}))["HF_TOKEN"]
        assert entry == {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "t"}}}
        assert "HF_TOKEN" not in environment(engine_objects())


class TestEnvironment:
    """Later wins: ours, the plan's, the operator's, the user's."""

    def test_precedence(self) -> None:
        pool = replace(POOL, env=(("A", "plan"), ("B", "plan"), ("C", "plan"), ("HOME", "/plan")))
        settings = config(engine={"env": [{"name": "B", "value": "operator"}, {"name": "C", "value": "operator"}]})
        objects = engine_objects(pool=pool, settings=settings, pod={"env": [{"name": "C", "value": "user"}]})
        values = {name: entry.get("value") for name, entry in environment(objects).items()}
        assert values | {"A": "plan", "B": "operator", "C": "user", "HOME": "/plan"} == values

    def test_names_are_unique(self) -> None:
        pool = replace(POOL, env=(("HOME", "/plan"),))
        objects = engine_objects(pool=pool, pod={"env": [{"name": "HOME", "value": "/mine"}]})
        names = [entry["name"] for entry in container(objects)["env"]]
        assert len(names) == len(set(names))

    def test_mirror(self) -> None:
        objects = engine_objects(weights={"endpoint": "https://hf.example.com"})
        assert environment(objects)["HF_ENDPOINT"]["value"] == "https://hf.example.com"

    def test_mirror_of_the_site(self) -> None:
        site = {"huggingFaceEndpoint": "https://hub.site.example"}
        assert (
            environment(engine_objects(settings=config(engine=site)))["HF_ENDPOINT"]["value"]
            == "https://hub.site.example"
        )
        own = engine_objects(settings=config(engine=site), weights={"endpoint": "https://hf.example.com"})
        assert environment(own)["HF_ENDPOINT"]["value"] == "https://hf.example.com"

    def test_proxy_of_the_site_is_not_between_the_pods_of_the_cluster(self) -> None:
        proxy = {"https": "http://proxy.example:3128", "noProxy": ["hub.site.example"]}
        found = environment(engine_objects(settings=config(engine={"proxy": proxy})))
        assert found["HTTPS_PROXY"]["value"] == "http://proxy.example:3128"
        assert "HTTP_PROXY" not in found
        direct = found["NO_PROXY"]["value"].split(",")
        assert {"localhost", "127.0.0.1", ".svc", "hub.site.example"} <= set(direct)

    @pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
    def test_certificate_authorities_of_the_site(self, name: str) -> None:
        objects = engine_objects(settings=config(engine={"caBundle": {"configMap": "site-ca", "key": "bundle.pem"}}))
        folder, file = environment(objects)[name]["value"].rsplit("/", 1)
        assert mounts(objects)[folder]["configMap"] == {
            "name": "site-ca",
            "items": [{"key": "bundle.pem", "path": file}],
        }
        assert name not in environment(engine_objects())

    @pytest.mark.parametrize("name", ["HF_ENDPOINT", "HF_HUB_OFFLINE"])
    def test_not_unless_told(self, name: str) -> None:
        assert name not in environment(engine_objects())


class TestResources:
    """What the plan says, unless the operator's configuration or the user says otherwise."""

    def rendered(self, **fields: Any) -> dict[str, dict[str, str]]:
        settings = config(engine=fields.pop("engine", {}))
        return dict(container(engine_objects(settings=settings, pod={"resources": fields}))["resources"])

    def test_of_the_plan(self) -> None:
        assert self.rendered() == {
            "requests": {"cpu": "4", "memory": "24Gi", "ephemeral-storage": "40Gi", "nvidia.com/gpu": "1"},
            "limits": {"memory": "24Gi", "ephemeral-storage": "40Gi", "nvidia.com/gpu": "1"},
        }

    def test_gpus_of_a_replica(self) -> None:
        rendered = container(engine_objects(pool=replace(POOL, gpus_per_replica=2)))["resources"]
        assert rendered["requests"]["nvidia.com/gpu"] == rendered["limits"]["nvidia.com/gpu"] == "2"

    def test_cpu_pool_asks_for_no_gpu(self) -> None:
        rendered = container(engine_objects(pool=replace(POOL, resource=None, gpus_per_replica=1)))["resources"]
        assert set(rendered["requests"]) == {"cpu", "memory", "ephemeral-storage"}

    def test_of_the_operator(self) -> None:
        rendered = self.rendered(
            engine={"cpuRequest": "100m", "memoryRequest": "1Gi", "ephemeralStorageRequest": "2Gi"}
        )
        assert (
            rendered["requests"] | {"cpu": "100m", "memory": "1Gi", "ephemeral-storage": "2Gi"} == rendered["requests"]
        )
        assert rendered["limits"] | {"memory": "1Gi", "ephemeral-storage": "2Gi"} == rendered["limits"]

    def test_user_wins(self) -> None:
        rendered = self.rendered(engine={"cpuRequest": "100m"}, requests={"cpu": "9"}, limits={"cpu": "12"})
        assert (rendered["requests"]["cpu"], rendered["limits"]["cpu"]) == ("9", "12")

    def test_a_larger_request_alone_lifts_the_limit(self) -> None:
        rendered = self.rendered(requests={"memory": "64Gi"})
        assert (rendered["requests"]["memory"], rendered["limits"]["memory"]) == ("64Gi", "64Gi")

    def test_a_smaller_limit_alone_lowers_the_request(self) -> None:
        rendered = self.rendered(limits={"memory": "8Gi"})
        assert (rendered["requests"]["memory"], rendered["limits"]["memory"]) == ("8Gi", "8Gi")

    def test_a_smaller_request_alone_keeps_the_limit(self) -> None:
        rendered = self.rendered(requests={"memory": "8Gi"})
        assert (rendered["requests"]["memory"], rendered["limits"]["memory"]) == ("8Gi", "24Gi")

    @given(
        memory=st.integers(1, 2**45),
        request=st.none() | st.integers(1, 10**6).map(lambda n: f"{n}Mi"),
        limit=st.none() | st.integers(1, 10**3).map(lambda n: f"{n}Gi"),
    )
    def test_no_request_above_its_limit(self, memory: int, request: str | None, limit: str | None) -> None:
        pool = replace(POOL, resources=Resources(cpu_millis=1000, memory_bytes=memory, ephemeral_bytes=GIB))
        overrides = {kind: {"memory": value} for kind, value in (("requests", request), ("limits", limit)) if value}
        rendered = engine_resources(pool=pool, settings=config().engine, overrides=overrides)
        asked, capped = (millis(rendered[kind]["memory"]) for kind in ("requests", "limits"))
        assert asked <= capped or (request is not None and limit is not None)


class TestScheduling:
    """Where replicas may run."""

    def test_terms_of_the_plan_and_labels_of_the_user(self) -> None:
        pod = pod_spec(engine_objects(pod={"nodeSelector": {"zone": "a"}}))
        affinity = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert affinity["nodeSelectorTerms"] == list(POOL.node_selector_terms)
        assert pod["nodeSelector"] == {"zone": "a"}

    def test_no_affinity_without_terms(self) -> None:
        pod = pod_spec(engine_objects(pool=replace(POOL, node_selector_terms=())))
        assert "affinity" not in pod
        assert "nodeSelector" not in pod

    def test_a_lost_node_is_left_sooner_than_by_default(self) -> None:
        tolerations = pod_spec(engine_objects())["tolerations"]
        assert tolerations[0] == POOL.tolerations[0]
        lost = {item["key"]: item["tolerationSeconds"] for item in tolerations if item.get("effect") == "NoExecute"}
        assert lost == {"node.kubernetes.io/not-ready": 120, "node.kubernetes.io/unreachable": 120}

    def test_a_given_toleration_of_lost_nodes_wins(self) -> None:
        mine = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "tolerationSeconds": 900}
        tolerations = pod_spec(engine_objects(pool=replace(POOL, tolerations=(mine,))))["tolerations"]
        assert [item for item in tolerations if item["key"] == "node.kubernetes.io/unreachable"] == [mine]

    def test_replicas_prefer_different_nodes(self) -> None:
        (constraint,) = pod_spec(engine_objects())["topologySpreadConstraints"]
        assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"
        labels = of_kind(engine_objects(), "Deployment")["spec"]["template"]["metadata"]["labels"]
        assert constraint["labelSelector"]["matchLabels"].items() <= labels.items()

    def test_constraints_of_the_user_replace_it_and_count_the_replicas(self) -> None:
        mine = {
            "maxSkew": 2,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule",
        }
        (constraint,) = pod_spec(engine_objects(pod={"topologySpread": [mine]}))["topologySpreadConstraints"]
        assert constraint["labelSelector"]["matchLabels"]["gemma4stack.dev/deployment"] == "chat"
        assert constraint["maxSkew"] == 2


class TestPodFields:
    """What `spec.pod` adds."""

    def test_labels_are_added(self) -> None:
        labels = of_kind(engine_objects(pod={"labels": {"team": "a"}}), "Deployment")["spec"]["template"]["metadata"][
            "labels"
        ]
        assert (labels["team"], labels["gemma4stack.dev/pool"]) == ("a", "0")

    def test_annotations_of_the_user_win(self) -> None:
        objects = engine_objects(pod={"annotations": {"karpenter.sh/do-not-disrupt": "true"}})
        annotations = of_kind(objects, "Deployment")["spec"]["template"]["metadata"]["annotations"]
        assert annotations["karpenter.sh/do-not-disrupt"] == "true"

    def test_names_of_other_objects(self) -> None:
        pod = pod_spec(
            engine_objects(
                settings=config(engine={"imagePullSecrets": ["mirror"]}),
                pod={
                    "priorityClassName": "high",
                    "runtimeClassName": "nvidia",
                    "serviceAccountName": "reader",
                    "imagePullSecrets": ["mine", "mirror"],
                },
            )
        )
        assert pod["priorityClassName"] == "high"
        assert pod["runtimeClassName"] == "nvidia"
        assert pod["serviceAccountName"] == "reader"
        assert pod["imagePullSecrets"] == [{"name": "mine"}, {"name": "mirror"}]

    def test_pods_get_no_token_and_no_service_variables(self) -> None:
        pod = pod_spec(engine_objects())
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
