"""The manifests render, and say what a cluster would accept: kinds, GPUs, security, commands that exist."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from pipelines.recipe import load_recipe

REPOSITORY = Path(__file__).resolve().parents[2]
KUBERNETES = "1.31"  # the oldest that the manifests are meant for
FOLDERS = ("base", "overlays/example")

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl, which renders with kustomize")


@pytest.fixture(scope="module", params=FOLDERS)
def manifests(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """The rendered objects of one folder by kind."""
    command = ["kubectl", "kustomize", str(REPOSITORY / "k8s" / request.param)]
    rendered = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert rendered.returncode == 0, rendered.stderr
    objects = list(yaml.safe_load_all(rendered.stdout))
    assert len({found["kind"] for found in objects}) == len(objects)
    return {found["kind"]: found for found in objects}


def cluster_specs(manifests: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        "RayCluster": manifests["RayCluster"]["spec"],
        "RayService": manifests["RayService"]["spec"]["rayClusterConfig"],
    }


def pod_specs(manifests: dict[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind, spec in cluster_specs(manifests).items():
        yield f"{kind} head", spec["headGroupSpec"]["template"]["spec"]
        for group in spec["workerGroupSpecs"]:
            yield f"{kind} {group['groupName']}", group["template"]["spec"]
    yield "RayJob submitter", manifests["RayJob"]["spec"]["submitterPodTemplate"]["spec"]


def application(manifests: dict[str, dict[str, Any]]) -> dict[str, Any]:
    (found,) = yaml.safe_load(manifests["RayService"]["spec"]["serveConfigV2"])["applications"]
    return found


def test_the_base_holds_a_cluster_a_job_and_an_endpoint_in_one_namespace(manifests: dict[str, dict[str, Any]]) -> None:
    versions = {kind: found["apiVersion"] for kind, found in manifests.items()}
    assert versions == {
        "Namespace": "v1",
        "NetworkPolicy": "networking.k8s.io/v1",
        "RayCluster": "ray.io/v1",
        "RayJob": "ray.io/v1",
        "RayService": "ray.io/v1",
    }
    assert {found["metadata"].get("namespace", "gaokerena") for found in manifests.values()} == {"gaokerena"}


def test_core_kinds_and_pods_fit_the_kubernetes_schemas(manifests: dict[str, dict[str, Any]]) -> None:
    for kind in ("Namespace", "NetworkPolicy"):
        kubernetes_validate.validate(manifests[kind], KUBERNETES, strict=True)
    for name, spec in pod_specs(manifests):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name.lower().replace(" ", "-")}, "spec": spec}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def test_one_a100_comes_when_it_is_needed(manifests: dict[str, dict[str, Any]]) -> None:
    for spec in cluster_specs(manifests).values():
        (group,) = spec["workerGroupSpecs"]
        (container,) = group["template"]["spec"]["containers"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "1" == container["resources"]["requests"]["nvidia.com/gpu"]
        assert "A100" in group["template"]["spec"]["nodeSelector"]["nvidia.com/gpu.product"]
        assert (group["minReplicas"], group["maxReplicas"]) == (0, 1)
        assert spec["enableInTreeAutoscaling"]
        head = spec["headGroupSpec"]["template"]["spec"]["containers"][0]
        assert "nvidia.com/gpu" not in head["resources"]["limits"]


def test_shared_memory_is_memory_and_smaller_than_the_container(manifests: dict[str, dict[str, Any]]) -> None:
    for name, spec in pod_specs(manifests):
        if name == "RayJob submitter":
            continue
        (container,) = spec["containers"]
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume["emptyDir"] for volume in spec["volumes"]}
        shm = volumes[mounts["/dev/shm"]]
        assert shm["medium"] == "Memory"
        assert int(shm["sizeLimit"].removesuffix("Gi")) < int(container["resources"]["limits"]["memory"].removesuffix("Gi")) / 2


def test_pods_fit_the_restricted_security_standard_that_the_namespace_enforces(manifests: dict[str, dict[str, Any]]) -> None:
    assert manifests["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, spec in pod_specs(manifests):
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in spec["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False, name
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name


def test_ray_wants_a_token_and_the_version_is_the_one_of_the_lock(manifests: dict[str, dict[str, Any]]) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    (pinned,) = [text.partition("==")[2] for text in project["project"]["dependencies"] if text.startswith("ray[")]
    for spec in cluster_specs(manifests).values():
        assert spec["authOptions"] == {"mode": "token"}
        assert spec["rayVersion"] == pinned
    token_secret = manifests["RayCluster"]["metadata"]["name"]  # the operator names it after the cluster
    for name, spec in pod_specs(manifests):
        for source in spec["containers"][0].get("envFrom", []):
            assert source["secretRef"]["name"] != token_secret, name


def test_only_the_endpoint_is_open_to_other_namespaces(manifests: dict[str, dict[str, Any]]) -> None:
    policy = manifests["NetworkPolicy"]["spec"]
    assert (policy["podSelector"], policy["policyTypes"]) == ({}, ["Ingress"])
    for rule in policy["ingress"]:
        if rule["from"] != [{"podSelector": {}}] and "podSelector" not in rule["from"][0]:  # neither ourselves nor the operator
            assert rule["ports"] == [{"port": 8000, "protocol": "TCP"}]


def test_the_job_runs_a_recipe_that_exists_on_the_cluster_that_exists(manifests: dict[str, dict[str, Any]]) -> None:
    job = manifests["RayJob"]["spec"]
    assert job["clusterSelector"] == {"ray.io/cluster": manifests["RayCluster"]["metadata"]["name"]}
    command, run, *arguments = shlex.split(job["entrypoint"])
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert (command, run) == ("gaokerena", "run")
    assert options["--out"].startswith("s3://")
    recipe = load_recipe(options["--recipe"], [options["--set"]])
    assert (recipe.name, recipe.cluster.profile, recipe.cluster.address) == ("paper", "a100-80", "auto")


def test_the_serve_config_is_one_that_ray_accepts(manifests: dict[str, dict[str, Any]]) -> None:
    from ray.serve.schema import ServeApplicationSchema, ServeDeploySchema

    text = yaml.safe_load(manifests["RayService"]["spec"]["serveConfigV2"])
    config = ServeDeploySchema.model_validate(text)
    assert set(text) <= set(ServeDeploySchema.model_fields)  # Ray passes over keys that it does not know
    assert set(application(manifests)) <= set(ServeApplicationSchema.model_fields)
    assert [app.import_path for app in config.applications] == ["serving.app:build"]
    assert config.http_options.port == 8000


def test_the_endpoint_serves_what_the_job_leaves(manifests: dict[str, dict[str, Any]]) -> None:
    options = shlex.split(manifests["RayJob"]["spec"]["entrypoint"])
    out = options[options.index("--out") + 1]
    assert application(manifests)["args"]["model"].startswith(f"{out}/instruct/")


def test_the_example_overlay_leaves_no_placeholder() -> None:
    command = ["kubectl", "kustomize", str(REPOSITORY / "k8s" / "overlays" / "example")]
    rendered = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "ghcr.io/example" not in rendered
    assert "example-bucket" not in rendered
