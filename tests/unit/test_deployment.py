"""Dockerfile and compose files say nothing that the code does not hold."""

import importlib.util
import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sqlalchemy import make_url
from starlette.routing import Match

from core.settings import Settings
from core.version import __version__

ROOT = Path(__file__).parents[2]
FILES = ("Dockerfile", "docker-compose.yml", "docker-compose.gpu.yml", ".env.example")
TEXT = {name: (ROOT / name).read_text(encoding="utf-8") for name in FILES}
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT["docker-compose.yml"])
GPU: dict[str, Any] = yaml.safe_load(TEXT["docker-compose.gpu.yml"])
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = ("migrate", "api", "worker")


def stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions of the Dockerfile by stage, each as (name, rest), its FROM first."""
    lines = "\n".join(line for line in TEXT["Dockerfile"].splitlines() if not line.startswith("#"))
    found: dict[str, list[tuple[str, str]]] = {}
    for line in lines.replace("\\\n", " ").splitlines():
        if line.strip():
            name, rest = line.split(maxsplit=1)
            if name == "FROM":
                stage = rest.split(" AS ")[1]
                found[stage] = []
            found[stage].append((name, rest))
    return found


STAGES = stages()


def instructions(stage: str, name: str) -> list[str]:
    """Those of the stage and, before them, of the stages it is built from."""
    base = STAGES[stage][0][1].split()[0]
    inherited = instructions(base, name) if base in STAGES else []
    return inherited + [rest for found, rest in STAGES[stage] if found == name]


def interpolated(text: str, **values: str) -> str:
    """What compose makes of `${NAME:-default}` and `${NAME:?message}`."""

    def value(match: re.Match[str]) -> str:
        return values.get(match["name"]) or match["default"]

    return re.sub(r"\$\{(?P<name>\w+):(?:-(?P<default>[^}]*)|\?[^}]*)\}", value, text)


@pytest.mark.parametrize(
    "module", sorted(set(re.findall(r"-m\"?,?\s+\"?([a-z_.]+)", "\n".join(TEXT.values()))))
)
def test_every_module_that_is_run_exists(module: str) -> None:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    if spec.submodule_search_locations:
        assert importlib.util.find_spec(f"{module}.__main__") is not None


def test_the_search_for_modules_finds_each_of_them() -> None:
    found = set(re.findall(r"-m\"?,?\s+\"?([a-z_.]+)", "\n".join(TEXT.values())))
    assert found == {"api", "worker", "worker.health", "core.db.migrate", "core.admin"}


def test_every_variable_is_a_setting() -> None:
    named = set(re.findall(r"CONDENSERY_[A-Z_]+", "\n".join(TEXT.values())))
    assert named
    assert named <= {f"CONDENSERY_{field.upper()}" for field in Settings.model_fields}


@pytest.mark.parametrize("service", OURS)
def test_the_settings_of_each_service_are_valid_and_lead_to_the_others(
    service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # no .env of this checkout
    environment = {
        **SERVICES[service]["environment"],
        **GPU["services"].get(service, {}).get("environment", {}),
    }
    for name, text in environment.items():
        monkeypatch.setenv(name, interpolated(text, POSTGRES_PASSWORD="secret"))
    settings = Settings()
    database, broker = make_url(settings.database), make_url(settings.broker)
    account = SERVICES["postgres"]["environment"]
    assert (database.drivername, database.password) == ("postgresql+psycopg", "secret")
    assert (database.username, database.database) == (account["POSTGRES_USER"], account["POSTGRES_DB"])
    assert (database.host, database.port) == ("postgres", 5432)
    assert (broker.drivername, broker.host, broker.port) == ("redis", "redis", 6379)
    assert {database.host, broker.host} <= SERVICES.keys()
    assert settings.host == ("0.0.0.0" if service == "api" else "127.0.0.1")


def test_the_ports_agree() -> None:
    port = Settings.model_fields["port"].default
    assert instructions("api", "EXPOSE") == [str(port)]
    [healthcheck] = instructions("api", "HEALTHCHECK")
    assert f"http://127.0.0.1:{port}/" in healthcheck
    [published] = SERVICES["api"]["ports"]
    assert interpolated(published) == f"127.0.0.1:{port}:{port}"


def test_the_health_check_asks_for_a_route_of_the_app() -> None:
    from api.app import create_app

    [healthcheck] = instructions("api", "HEALTHCHECK")
    [path] = re.findall(r"http://127\.0\.0\.1:\d+(/\w+)'", healthcheck)
    routes = create_app().routes

    def served(path: str) -> bool:
        scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
        return any(route.matches(scope)[0] is Match.FULL for route in routes)

    assert served(path) and not served(f"{path}-absent")


def test_the_health_check_of_the_api_is_python_that_fails_without_a_server() -> None:
    [healthcheck] = instructions("api", "HEALTHCHECK")
    command = yaml.safe_load(healthcheck[healthcheck.index("CMD") + 3 :])
    assert command[:2] == ["python", "-c"]
    closed = command[2].replace(":8000/", ":9/")  # the discard port: nothing listens
    with pytest.raises(OSError, match="refused"):
        exec(closed, {})


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_copied_exists_and_is_not_ignored(stage: str) -> None:
    rules = (ROOT / ".dockerignore").read_text().split()
    assert "*" in rules
    for copied in instructions(stage, "COPY"):
        *sources, _target = [word for word in copied.split() if not word.startswith("--from=")]
        if "--from=" in copied:
            assert re.search(r"--from=(\S+)", copied)[1] in STAGES  # type: ignore[index]
            continue
        for source in sources:
            assert (ROOT / source).exists()
            assert f"!{source}" in rules


def test_no_secret_and_no_data_reach_the_build() -> None:
    rules = [rule for rule in (ROOT / ".dockerignore").read_text().splitlines() if not rule.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    assert not allowed & {".", ".env", ".git", "data", "tests", ".venv"}


@pytest.mark.parametrize("target", ["api", "worker"])
def test_each_image_runs_as_a_user_without_rights(target: str) -> None:
    assert instructions(target, "USER")[-1] == "10001:10001"
    created = " ".join(instructions(target, "RUN"))
    assert "--uid 10001" in created
    assert re.search(r"install --directory --owner 10001 --group 10001 --mode 0700 /data( |$)", created)
    assert instructions(target, "WORKDIR")[-1] == "/app"
    assert "PYTHONPATH=/app " in instructions(target, "ENV")[-1]


@pytest.mark.parametrize("target", ["api", "worker"])
def test_each_image_installs_its_group_at_locked_versions_and_hashes(target: str) -> None:
    assert any(
        copied.startswith(f"--from=build-{target} /opt/venv") for copied in instructions(target, "COPY")
    )
    install = instructions(f"build-{target}", "RUN")[-1]
    assert f"--group {target} --constraints requirements.lock --require-hashes" in install
    [uv] = re.findall(r"pip install --no-cache-dir uv==(\S+)", TEXT["Dockerfile"])
    assert f"\nuv=={uv} " in (ROOT / "requirements.lock").read_text()


def test_images_copy_the_rooms_that_they_run() -> None:
    assert {copied.split()[0] for copied in instructions("api", "COPY")} >= {"core", "migrations", "api"}
    assert {copied.split()[0] for copied in instructions("worker", "COPY")} >= {"core", "worker"}
    assert "worker" not in {copied.split()[0] for copied in instructions("api", "COPY")}


@pytest.mark.parametrize("target", ["api", "worker"])
def test_images_copy_the_licence(target: str) -> None:
    assert {"LICENSE", "NOTICE"} <= {
        word for copied in instructions(target, "COPY") for word in copied.split()
    }


def closure(group: str) -> set[str]:
    """Names of the distributions that a dependency group installs on this machine."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]

    def members(name: str) -> list[Requirement]:
        found: list[Requirement] = []
        for entry in groups[name]:
            found += members(entry["include-group"]) if isinstance(entry, dict) else [Requirement(entry)]
        return found

    names: set[str] = set()
    waiting = members(group)
    while waiting:
        requirement = waiting.pop()
        key = f"{canonicalize_name(requirement.name)}[{','.join(sorted(requirement.extras))}]"
        if key in names:
            continue
        names.add(key)
        try:
            needed = [Requirement(text) for text in requires(requirement.name) or []]
        except PackageNotFoundError:  # for another platform
            continue
        for extra in ("", *requirement.extras):
            waiting += [r for r in needed if r.marker is None or r.marker.evaluate({"extra": extra})]
    return {name.split("[")[0] for name in names}


def test_the_api_image_has_no_torch_and_the_worker_has() -> None:
    api, worker = closure("api"), closure("worker")
    assert {"fastapi", "uvicorn", "sqlalchemy", "psycopg", "celery", "redis"} <= api
    assert not api & {"torch", "torchvision", "numpy", "pillow", "triton"}
    assert {"torch", "torchvision", "numpy", "pillow", "safetensors", "sqlalchemy", "redis"} <= worker


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened_and_pinned(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True and service["init"] is True
    assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
    assert any(mount.startswith("/tmp:") for mount in service["tmpfs"])
    assert "privileged" not in service and "network_mode" not in service
    tag = service["image"].partition(":")[2]
    assert tag and "latest" not in tag
    if name in OURS:
        assert tag == __version__
        assert service["build"] == {"context": ".", "target": service["image"].split(":")[0].split("-")[1]}
        assert service["build"]["target"] in STAGES
    else:
        assert service["user"] == name


def test_base_images_are_pinned() -> None:
    bases = {STAGES[stage][0][1].split()[0] for stage in STAGES} - STAGES.keys()
    assert bases == {"python:3.13-slim-bookworm"}


def test_only_the_api_is_published_and_only_on_loopback() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["api"]
    assert not any("ports" in service for service in GPU["services"].values())


def test_services_wait_for_what_can_be_waited_for() -> None:
    for name in OURS:
        for needed, how in SERVICES[name]["depends_on"].items():
            condition = how["condition"]
            assert condition == (
                "service_completed_successfully" if needed == "migrate" else "service_healthy"
            )
            assert needed == "migrate" or "test" in SERVICES[needed]["healthcheck"]
    assert SERVICES["migrate"]["restart"] == "no"
    assert (
        set(SERVICES["api"]["depends_on"])
        == set(SERVICES["worker"]["depends_on"])
        == {"postgres", "redis", "migrate"}
    )


def test_redis_keeps_every_message() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes" in command and "--maxmemory-policy noeviction" in command


def test_volumes_are_declared_and_data_is_shared() -> None:
    mounts = {name: dict(v.split(":") for v in service["volumes"]) for name, service in SERVICES.items()}
    assert {volume for found in mounts.values() for volume in found} == set(COMPOSE["volumes"])
    for name in OURS:
        assert mounts[name] == {"data": SERVICES[name]["environment"]["CONDENSERY_DATA_DIR"]}
    assert "CONDENSERY_DATA_DIR=/data" in instructions("worker", "ENV")[-1]
    assert mounts["api"]["data"] == "/data"


def test_a_stopped_worker_has_time_to_write_its_checkpoint() -> None:
    grace = SERVICES["worker"]["stop_grace_period"]
    assert grace.endswith("s") and float(grace[:-1]) > Settings.model_fields["stop_grace_seconds"].default


def test_the_password_is_asked_for_and_never_given() -> None:
    uses = re.findall(r"\$\{POSTGRES_PASSWORD[^}]*\}", TEXT["docker-compose.yml"])
    assert len(uses) == 2 and all(use.startswith("${POSTGRES_PASSWORD:?") for use in uses)
    example = dict(
        line.split("=") for line in TEXT[".env.example"].splitlines() if "=" in line and line[0] != "#"
    )
    assert example.keys() == set(re.findall(r"\$\{(\w+)", TEXT["docker-compose.yml"]))
    assert example["POSTGRES_PASSWORD"] == ""


def test_the_gpu_override_gives_the_worker_one_gpu_and_changes_nothing_else() -> None:
    assert GPU.keys() == {"services"} and GPU["services"].keys() == {"worker"}
    worker = GPU["services"]["worker"]
    assert worker.keys() == {"environment", "deploy"}
    [device] = worker["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert worker["environment"]["CONDENSERY_DEVICE"] == "cuda"
