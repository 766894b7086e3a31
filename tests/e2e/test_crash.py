"""What is left when the service dies or is stopped. That jobs go on is tested by tests/faults."""

import subprocess
from pathlib import Path

from tests.faults.evidence import processes_of
from tests.support.service import Service, upload_dataset, wait_for_dataset, wait_for_event

JOB = {
    "ipc": 3,
    "iterations": 250,
    "batch_real": 64,
    "network": {"width": 16, "depth": 2},
    "evaluation": {"networks": 1, "epochs": 5, "baselines": ["random"]},
    "seed": 11,
}


def test_everything_started_is_gone_after_kill_9(own_service: Service, digits_zip: Path) -> None:
    own_service.start()
    with own_service.client() as client:
        dataset = upload_dataset(client, digits_zip)
        job_id = client.post("/v1/jobs", {"dataset_id": dataset["id"], **JOB, "iterations": 100_000})["id"]
        wait_for_event(client, job_id, "checkpoint")
    own_service.stop_api()
    own_service.kill_worker()
    own_service.wait_until(lambda: processes_of(own_service.data_dir) == [])


def test_a_wake_up_lost_with_the_broker_costs_no_job(own_service: Service, digits_zip: Path) -> None:
    own_service.start()
    own_service.stop_worker()
    with own_service.client() as client:
        upload = client.upload(digits_zip)
        dataset = client.post("/v1/datasets", {"upload_id": upload.id})
        own_service.lose_messages()
        own_service.start_worker()
        assert wait_for_dataset(client, dataset["id"])["state"] == "ready"


def test_ctrl_c_stops_both_processes_cleanly(tmp_path: Path) -> None:
    service = Service(tmp_path / "data")
    up = service.up()
    assert {"-m api", "-m worker"} <= {" ".join(line.split()[1:3]) for line in processes_of(service.data_dir)}
    up.interrupt()
    assert up.wait() == 0
    assert processes_of(service.data_dir) == []
    log = service.log.read_text()
    assert "condensery: stopped" in log
    assert "Traceback" not in log


def test_up_says_why_it_cannot_start(own_service: Service) -> None:
    own_service.migrate()
    own_service.start_api()
    second = subprocess.run(
        own_service.up_command, env=own_service.environment, capture_output=True, text=True, timeout=60
    )
    assert second.returncode != 0
    assert "address already in use" in second.stderr
