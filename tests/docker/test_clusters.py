"""The files for servers and clusters, against the programs that read them, as far as these are here."""

import os
import re
import shlex
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from simeval.config.evaluation import EvalConfig, from_mapping
from simeval.config.options import flag, load_yaml
from simeval.doctor.installed import read_lock

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
LOCK = read_lock(ROOT / "requirements.lock")
DOCKERFILE = (DOCKER / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def ray_options() -> dict[str, set[str]]:
    """Options of the Ray commands that the files use."""
    from ray.scripts.scripts import cli

    return {
        name: {option for parameter in cli.commands[name].params for option in parameter.opts}
        for name in ("start", "health-check", "symmetric-run")
    }


def options_in(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if word.startswith("--")}


def check_simeval(words: list[str]) -> None:
    """That a command line is one of ours, and its recipe a valid one."""
    assert words[:2] == ["simeval", "run"], words
    assert options_in(words) <= {flag(item.name) for item in fields(EvalConfig)} | {"--config"}, words
    values = dict(zip(words[2::2], words[3::2], strict=True))
    if "--config" in values:
        from_mapping(load_yaml(str(ROOT / values["--config"])))


# -- Compose -----------------------------------------------------------------------------------------------------


def compose(**env: str) -> dict[str, Any]:
    """The Compose file with its variables filled in, as Compose would."""

    def fill(match: re.Match[str]) -> str:
        name, operator, rest = match.groups()
        if operator == ":?" and not env.get(name):
            raise LookupError(f"{name} {rest}")
        return env.get(name) or (rest if operator == ":-" else "")

    text = (DOCKER / "compose.yaml").read_text()
    return yaml.safe_load(re.sub(r"\$\{(\w+)(:-|:\?)([^}]*)\}", fill, text))


def test_compose_asks_for_the_callers_ids_rather_than_guessing():
    with pytest.raises(LookupError, match="UID is not set"):
        compose(GID="5")
    services = compose(UID="1234", GID="5678")["services"]
    assert {service["user"] for service in services.values()} == {"1234:5678"}


def test_every_user_of_a_server_has_a_cache_of_their_own():
    """What one user id has written there, another could not add to."""
    names = {compose(UID=uid, GID="5")["volumes"]["cache"]["name"] for uid in ("1000", "1001")}
    assert names == {"simeval_cache_1000", "simeval_cache_1001"}
    manual = re.findall(r'-v "?([^:]*):/home/simeval/.cache', (DOCKER / "README.md").read_text())
    assert manual == ["simeval_cache_$(id -u)"]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return compose(UID="1", GID="1", RAY_WORKERS="3", RAY_WORKER_CPUS="7")["services"]


def test_the_plain_service_runs_without_a_profile_and_has_the_gpu(services):
    assert [name for name, service in services.items() if "profiles" not in service] == ["simeval"]
    (device,) = services["simeval"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert "deploy" not in services["cpu"]
    assert services["cpu"]["build"]["args"] == {"VARIANT": "cpu"}
    assert "entrypoint" not in services["simeval"]


def test_mounts_end_where_the_image_expects_them(services):
    for service in services.values():
        mounts = {mount["target"]: mount for mount in service["volumes"]}
        assert set(mounts) == {"/simeval/results", "/home/simeval/.cache"}
        assert all(target in DOCKERFILE for target in mounts)
        assert (DOCKER / mounts["/simeval/results"]["source"]).resolve() == ROOT / "results"
        assert mounts["/simeval/results"]["bind"]["create_host_path"] is False
        assert (DOCKER / service["build"]["context"]).resolve() == ROOT
        assert (ROOT / service["build"]["dockerfile"]).is_file()


def test_the_cluster_profile_starts_ray_as_ray_wants_it(services, ray_options):
    head, worker = services["head"], services["worker"]
    assert head["profiles"] == worker["profiles"] == ["ray"]
    for service in (head, worker):
        assert service["entrypoint"][-1] == "ray"
        assert service["command"][0] == "start"
        assert options_in(service["command"]) <= ray_options["start"]
        assert "--block" in service["command"]
        words = service["healthcheck"]["test"]
        assert words[:3] == ["CMD", "ray", "health-check"]
        assert options_in(words) <= ray_options["health-check"]
    assert "--head" in head["command"]
    assert f"--address={head['hostname']}:6379" in worker["command"]
    assert "--port=6379" in head["command"]
    assert int(worker["scale"]) == 3
    assert "--num-cpus=7" in worker["command"]
    assert "--num-gpus=0" in worker["command"], "one GPU, seen in several containers, is still one"
    assert worker["depends_on"] == {"head": {"condition": "service_healthy"}}


def test_nothing_is_privileged_or_reachable_from_outside(services):
    for service in services.values():
        assert not {"privileged", "cap_add", "ports", "network_mode"} & service.keys()


# -- Slurm -------------------------------------------------------------------------------------------------------

SBATCH_OPTIONS = {
    *("job-name", "nodes", "ntasks-per-node", "cpus-per-task", "gpus-per-node", "mem", "exclusive", "time", "requeue"),
    *("open-mode", "output", "no-kill"),
}
"""Those we use. Source: sbatch's manual page."""


def run_sbatch(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the script with stand-ins for Slurm's programs; the last `srun` prints its arguments and environment."""
    stand_ins = {
        "scontrol": '[ "$*" = "show hostnames node[7-8]" ] && printf "node7\\nnode8\\n"',
        "hostname": 'echo "10.1.0.7 172.17.0.1"',
        "srun": 'case "$*" in *hostname*) shift 3; exec "$@";; *) printf "%s\\n" "$@"; env >&2;; esac',
    }
    for name, body in stand_ins.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    slurm = {"SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_ID": "123456",
             "SLURM_CPUS_PER_TASK": "16"}  # fmt: skip
    values = {"PATH": f"{folder}:{os.environ['PATH']}", **slurm, **env}
    script = ["bash", str(DOCKER / "slurm.sbatch"), *arguments]
    return subprocess.run(script, capture_output=True, text=True, env=values, cwd=folder, check=False)


def test_the_head_of_the_slurm_script_is_understood():
    lines = [line for line in (DOCKER / "slurm.sbatch").read_text().splitlines() if line.startswith("#SBATCH")]
    found = [re.fullmatch(r"#SBATCH --([a-z-]+)(=\S+)?", line) for line in lines]
    assert all(found)
    assert {match[1] for match in found if match} == SBATCH_OPTIONS
    body = (DOCKER / "slurm.sbatch").read_text().split("set -euo")[1]
    assert "#SBATCH" not in body, "sbatch stops reading at the first command"


def test_slurm_starts_ray_on_every_node_and_the_run_on_the_first(tmp_path, ray_options):
    done = run_sbatch(tmp_path, "--suite", "libero_spatial", "--out", "results/a b")
    assert done.returncode == 0, done.stderr
    words = done.stdout.splitlines()
    at, split = words.index("ray"), words.index("--")
    assert {"--nodes=2", "--ntasks=2", "--kill-on-bad-exit=0"} <= set(words[:at])
    ray = words[at:split]
    assert ray[1:4] == ["symmetric-run", "--address", "10.1.0.7:23456"]
    assert options_in(ray) <= ray_options["symmetric-run"] | ray_options["start"]
    assert ray[ray.index("--min-nodes") + 1] == "2"
    assert ray[ray.index("--num-cpus") + 1] == "16"
    ours = words[split + 1 :]
    check_simeval(ours)
    assert ours[2:6] == ["--ray-address", "auto", "--workers", "32"]
    assert ours[-4:] == ["--suite", "libero_spatial", "--out", "results/a b"]
    env = dict(line.split("=", 1) for line in done.stderr.splitlines() if "=" in line)
    assert env["RAY_AUTH_MODE"] == "token"
    assert re.fullmatch("[0-9a-f]{64}", env["RAY_AUTH_TOKEN"])


def test_slurm_can_run_the_image(tmp_path):
    done = run_sbatch(tmp_path, "--suite", "toy", SIMEVAL_SIF="/shared/simeval.sif", SIMEVAL_HEAD_ADDRESS="10.9.9.9")
    words = done.stdout.splitlines()
    at = words.index("apptainer")
    assert words[at : at + 3] == ["apptainer", "exec", "--nv"]
    assert words[words.index("ray") - 1] == "/shared/simeval.sif"
    assert "10.9.9.9:23456" in words


def test_slurm_without_arguments_says_what_is_missing(tmp_path):
    done = run_sbatch(tmp_path)
    assert (done.returncode, "say what to run" in done.stderr) == (2, True)


# -- Kubernetes --------------------------------------------------------------------------------------------------

FIELDS = {
    "RayJob": {"entrypoint", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "backoffLimit", "rayClusterSpec"},
    "RayCluster": {"rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs"},
    "head": {"rayStartParams", "template"},
    "worker": {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"},
}
"""Names that we use of each kind. Source: KubeRay's API reference, ray.io/v1."""


@pytest.fixture(scope="module")
def manifest() -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for document in yaml.safe_load_all((DOCKER / "kuberay.yaml").read_text()):
        found.setdefault(document["kind"], []).append(document)
    return found


def test_the_job_has_fields_that_kuberay_knows(manifest, ray_options):
    (job,) = manifest["RayJob"]
    assert job["apiVersion"] == "ray.io/v1"
    assert set(job["spec"]) <= FIELDS["RayJob"]
    cluster = job["spec"]["rayClusterSpec"]
    assert set(cluster) <= FIELDS["RayCluster"]
    assert set(cluster["headGroupSpec"]) <= FIELDS["head"]
    assert cluster["authOptions"] == {"mode": "token"}
    for group in cluster["workerGroupSpecs"]:
        assert set(group) <= FIELDS["worker"]
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        parameters = group["rayStartParams"]
        assert {f"--{name}" for name in parameters} <= ray_options["start"]
        assert all(isinstance(value, str) for value in parameters.values())


def test_ray_is_the_version_that_the_image_has(manifest):
    assert str(manifest["RayJob"][0]["spec"]["rayClusterSpec"]["rayVersion"]) == LOCK["ray"]


def test_the_entry_point_is_a_valid_command(manifest):
    spec = manifest["RayJob"][0]["spec"]
    words = shlex.split(spec["entrypoint"])
    check_simeval(words)
    assert words[2:4] == ["--ray-address", "auto"]
    cluster = spec["rayClusterSpec"]
    cpus = sum(
        group["replicas"] * int(group["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"])
        for group in cluster["workerGroupSpecs"]
    )
    assert int(words[words.index("--workers") + 1]) == cpus


def test_pods_run_as_the_image_does_and_mount_what_is_claimed(manifest):
    cluster = manifest["RayJob"][0]["spec"]["rayClusterSpec"]
    claims = {claim["metadata"]["name"] for claim in manifest["PersistentVolumeClaim"]}
    user = int(re.findall(r"^USER (\d+):", DOCKERFILE, re.M)[-1])
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == user
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert {volume["persistentVolumeClaim"]["claimName"] for volume in volumes.values()} <= claims
        (container,) = pod["containers"]
        assert container["resources"]["limits"] == container["resources"]["requests"]
        for mount in container["volumeMounts"]:
            assert mount["name"] in volumes
            assert mount["mountPath"] in DOCKERFILE


# -- The manual --------------------------------------------------------------------------------------------------


def test_the_commands_in_the_manual_are_valid(services):
    text = re.sub(r"\\\n\s*", " ", (DOCKER / "README.md").read_text())
    runs = re.findall(r"(simeval run [^\n`#]*)", text)
    assert len(runs) >= 3
    for run in runs:
        check_simeval(shlex.split(run.replace("...", "").rstrip(" )")))
    for name in re.findall(r"compose\S* (?:-f \S+ )?(?:--profile \w+ )?(?:run --rm|exec) (\w+)", text):
        assert name in services, name
    for path in re.findall(r"\bdocker/[\w.-]+\w", text):
        assert path == "docker/.env" or (ROOT / path).exists(), path
