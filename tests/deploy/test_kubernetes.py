"""Tests deploy/kubernetes."""

import copy
import functools
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))
SCHEMA = "1.31"  # the oldest with what the manifests use
Document = dict[str, Any]


@functools.cache
def documents() -> tuple[Document, ...]:
    """Return all that the kustomization takes, in its order; read once, to be changed by nobody."""
    files = [FOLDER / name for name in KUSTOMIZATION["resources"]]
    return tuple(document for file in files for document in yaml.safe_load_all(file.read_text(encoding="utf-8")))


def of_kind(*kinds: str) -> list[Document]:
    return [document for document in documents() if document["kind"] in kinds]


def names_of(*kinds: str) -> set[str]:
    return {document["metadata"]["name"] for document in of_kind(*kinds)}


def workloads() -> list[Document]:
    return of_kind("Deployment", "StatefulSet")


def pod_of(workload: Document) -> Document:
    spec: Document = workload["spec"]["template"]["spec"]
    return spec


def labels_of(workload: Document) -> dict[str, str]:
    labels: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return labels


def selected(selector: dict[str, str]) -> list[Document]:
    """Return the workloads whose pods carry these labels."""
    return [workload for workload in workloads() if selector.items() <= labels_of(workload).items()]


def found_below(value: object, key: str) -> Iterator[Any]:
    """Yield what stands under a key, anywhere."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == key:
                yield inner
            yield from found_below(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from found_below(inner, key)


def test_the_kustomization_takes_every_file_of_the_folder() -> None:
    taken = {*KUSTOMIZATION["resources"], "kustomization.yaml"}
    taken |= {name for generator in KUSTOMIZATION["configMapGenerator"] for name in generator["files"]}
    assert {path.name for path in FOLDER.iterdir()} == taken


def test_kubectl_builds_the_base() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl on PATH: the base is checked file by file alone")
    built = subprocess.run([kubectl, "kustomize", FOLDER], capture_output=True, text=True, check=False, timeout=60)
    assert built.returncode == 0, built.stderr
    made = list(yaml.safe_load_all(built.stdout))
    assert len(made) == len(documents()) + len(KUSTOMIZATION["configMapGenerator"])
    used = {each["name"] for document in made for each in found_below(document, "configMap")}
    assert used == {document["metadata"]["name"] for document in made if document["kind"] == "ConfigMap"}
    for document in made:
        kubernetes_validate.validate(document, SCHEMA, strict=True)


@pytest.mark.parametrize("document", documents(), ids=lambda each: f"{each['kind']}/{each['metadata']['name']}")
def test_a_manifest_is_what_its_schema_says(document: Document) -> None:
    kubernetes_validate.validate(document, SCHEMA, strict=True)


def test_the_schema_can_say_no() -> None:
    document = copy.deepcopy(workloads()[0])
    pod_of(document)["containers"][0]["imagePullPolice"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError, match="imagePullPolice"):
        kubernetes_validate.validate(document, SCHEMA, strict=True)


@pytest.mark.parametrize("workload", workloads(), ids=lambda each: str(each["metadata"]["name"]))
def test_a_pod_has_no_more_rights_than_it_needs(workload: Document) -> None:
    pod = pod_of(workload)
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] > 0 < context["runAsGroup"]
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert not list(found_below(pod, "hostPath"))
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(container["resources"]["limits"])
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert re.search(r":v?\d+\.\d+\.\d+", container["image"]), container["image"]
        assert "livenessProbe" in container
        assert "readinessProbe" in container
    for volume in found_below(pod, "emptyDir"):
        assert "sizeLimit" in volume


def test_the_namespace_enforces_what_the_pods_promise() -> None:
    (namespace,) = of_kind("Namespace")
    assert namespace["metadata"]["name"] == KUSTOMIZATION["namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_selector_finds_its_pods_and_every_port_its_name() -> None:
    for workload in workloads():
        assert workload["spec"]["selector"]["matchLabels"].items() <= labels_of(workload).items()
        for container in pod_of(workload)["containers"]:
            ports = {port["name"] for port in container["ports"]}
            for probe in (*found_below(container, "httpGet"), *found_below(container, "tcpSocket")):
                assert probe["port"] in ports
    for service in of_kind("Service"):
        (workload,) = selected(service["spec"]["selector"])
        ports = {port["name"] for port in pod_of(workload)["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for budget in of_kind("PodDisruptionBudget"):
        assert selected(budget["spec"]["selector"]["matchLabels"])
    for scaler in of_kind("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        (workload,) = [each for each in of_kind(target["kind"]) if each["metadata"]["name"] == target["name"]]
        assert "replicas" not in workload["spec"]
        assert workload["apiVersion"] == target["apiVersion"]


def test_every_volume_secret_and_service_that_is_named_is_there() -> None:
    generated = {generator["name"] for generator in KUSTOMIZATION["configMapGenerator"]}
    for workload in workloads():
        pod, spec = pod_of(workload), workload["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        volumes |= {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", ())}
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == volumes
        assert {each["name"] for each in found_below(pod, "configMap")} <= generated
        assert {each["claimName"] for each in found_below(pod, "persistentVolumeClaim")} <= names_of(
            "PersistentVolumeClaim"
        )
        if workload["kind"] == "StatefulSet":
            assert spec["serviceName"] in names_of("Service")


def test_the_guide_says_how_to_make_the_secret_that_is_asked_for() -> None:
    guide = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    asked = [each for document in documents() for each in found_below(document, "secretKeyRef")]
    assert asked
    for each in asked:
        assert f"kubectl create secret generic {each['name']} " in guide
        assert f"--from-literal={each['key']}=" in guide


def passes(pod: str, peer: str, port: int, *, direction: str) -> bool:
    """Tell whether the policies on one workload's pod let a connection with another's through.

    Reads what the manifests use: selectors of labels, ports by number or name. Without any policy on a pod all passes;
    with one, only what some policy says.

    Args:
        port: of whichever of the two is connected to.
        direction: "Egress" where the peer is connected to, "Ingress" where the pod is.
    """
    pods = {workload["metadata"]["name"]: workload for workload in workloads()}
    side, target = ("to", peer) if direction == "Egress" else ("from", pod)
    ports = pod_of(pods[target])["containers"][0]["ports"]
    names = {port} | {each["name"] for each in ports if each["containerPort"] == port}
    policies = [
        policy["spec"]
        for policy in of_kind("NetworkPolicy")
        if policy["spec"]["podSelector"].get("matchLabels", {}).items() <= labels_of(pods[pod]).items()
        and direction in policy["spec"]["policyTypes"]
    ]
    rules = [rule for policy in policies for rule in policy.get(direction.lower(), ())]
    return not policies or any(
        any(each["port"] in names for each in rule["ports"])
        and any(
            selector.get("podSelector", {}).get("matchLabels", {}).items() <= labels_of(pods[peer]).items()
            and not selector.get("namespaceSelector", {}).get("matchLabels")
            for selector in rule[side]
        )
        for rule in rules
    )


def test_the_gateway_alone_reaches_backends_and_redis_and_each_side_sees_to_it() -> None:
    ports = {"gateway": 8080, "redis": 6379, "large": 8000, "mini": 8000}
    assert names_of("Deployment", "StatefulSet") == set(ports)
    pairs = [(source, target) for source in ports for target in ports]
    sent = {pair for pair in pairs if passes(*pair, ports[pair[1]], direction="Egress")}
    taken = {pair for pair in pairs if passes(*pair[::-1], ports[pair[1]], direction="Ingress")}
    wanted = {("gateway", "large"), ("gateway", "mini"), ("gateway", "redis")}
    assert sent == wanted
    assert taken == wanted | {(source, "gateway") for source in ports}
    assert not passes("redis", "gateway", 8000, direction="Ingress")
    assert not passes("gateway", "redis", 8000, direction="Egress")


def test_nothing_leaves_the_cluster() -> None:
    for policy in of_kind("NetworkPolicy"):
        for rule in policy["spec"].get("egress", ()):
            assert rule["to"], "a rule without peers allows all of them"
            assert not list(found_below(rule, "ipBlock"))
            for peer in rule["to"]:
                assert peer["podSelector"]["matchLabels"]


@pytest.mark.parametrize(("name", "cards"), [("large", 2), ("mini", 1)])
def test_a_backend_asks_for_as_many_cards_as_it_spreads_over(name: str, cards: int) -> None:
    (workload,) = [each for each in workloads() if each["metadata"]["name"] == name]
    (container,) = pod_of(workload)["containers"]
    assert int(container["resources"]["limits"]["nvidia.com/gpu"]) == cards
    parallel = [word.partition("=")[2] for word in container["args"] if word.startswith("--tensor-parallel-size")]
    assert int(parallel[0] if parallel else 1) == cards
    assert {"--enable-prefix-caching", "--enable-prompt-tokens-details"} <= set(container["args"])
    assert workload["spec"]["strategy"] == {"type": "Recreate"}
