"""Pages of condensed sets without a browser: the box for uploads, what is asked, what an answer makes."""

import re
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import Field
from starlette.testclient import TestClient

from api.schemas.condensed_sets import Statement
from api.web import condensed_questions
from core.db.models import CondensedSet
from core.db.session import Database
from tests.support.api import client_of, ingesting_dataset, ready_dataset, token_of, upload
from tests.support.pages import PAGE, part_of, text_of
from tests.support.sets import end_reading

pytestmark = pytest.mark.one_database

#: By the field that they name, codes of core/condensed/published.
CODES = {
    "dataset_id": "data_set_unstated", "space": "space_open", "mean": "means_far",
    "factor": "undecoded_collage", "experiment": "experiments", "labels": "soft_labels",
    "class_order": "class_order",
}  # fmt: skip
NOTE: dict[str, Any] = {"severity": "note", "code": "duplicates", "detail": "Two are the same."}


def ask(answer: str, code: str | None = None) -> dict[str, Any]:
    code = code or CODES.get(answer, answer)
    return {"severity": "ask", "code": code, "detail": f"What of <{answer}>?", "answer": answer}


def unclear(http: TestClient, database: Database, *findings: dict[str, Any], **body: Any) -> str:
    """The id of a set that a worker found unclear."""
    upload_id = upload(http, file_name="kip.npz")["id"]
    made = http.post("/v1/condensed-sets", json={"upload_id": upload_id, **body})
    assert made.status_code == 202, made.text
    problem = {"code": "condensed_set_unclear", "detail": "asked", "findings": [*findings, NOTE]}
    end_reading(database, made.json()["id"], "invalid", problem=problem)
    return str(made.json()["id"])


def shown(http: TestClient, made: str) -> httpx2.Response:
    page = http.get(f"/condensed-sets/{made}", headers=PAGE)
    assert page.status_code == 200
    return page


def fields_of(page: httpx2.Response) -> list[str]:
    return re.findall(
        r'<(?:input|select) [^>]*name="(\w+)"', part_of(page, '<form class="answers"', "</form>")
    )


def sent(http: TestClient, made: str, **answers: Any) -> httpx2.Response:
    return http.post(f"/condensed-sets/{made}", data=answers, headers=PAGE, follow_redirects=False)


def count(http: TestClient) -> int:
    return len(http.get("/v1/condensed-sets").json()["data"])


def made_by(http: TestClient, answer: httpx2.Response) -> dict[str, Any]:
    assert answer.status_code == 303, text_of(answer)
    found: dict[str, Any] = http.get(f"/v1{answer.headers['location']}").json()
    return found


def test_an_upload_may_stand_for_a_data_set_of_ones_own_that_is_ready(
    app: FastAPI, http: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client_of(app, token_of(database, "another")) as another:
        ready_dataset(another, database)
    with client_of(app, token_of(database, "owner")) as owner:
        first, newest = ready_dataset(owner, database), ready_dataset(owner, database)
        ingesting_dataset(owner)
        page = owner.get("/condensed-sets", headers=PAGE)
        box = part_of(page, '<section class="upload"', "</section>")
        assert re.findall(r'<option value="([^"]*)"', box) == ["", newest, first]
        assert 'data-makes="/v1/condensed-sets" data-shows="/condensed-sets"' in box
        assert "2 classes, 32 px" in box and "These are the newest" not in box
        assert "1.05 MB" in text_of(box), "at most"
        assert 'id="file"' not in owner.get("/condensed-sets?after=cs_z", headers=PAGE).text
        monkeypatch.setattr(condensed_questions, "_OFFERED", 1)
        box = part_of(owner.get("/condensed-sets", headers=PAGE), '<section class="upload"', "</section>")
        assert re.findall(r'<option value="([^"]*)"', box) == ["", newest]
        assert "These are the newest 1:" in box
    with client_of(app, token_of(database, "owner", "read")) as reader:
        assert "upload" not in reader.get("/condensed-sets", headers=PAGE).text


STATISTICS = ask("mean", "statistics_unstated")
ASKED = [
    ([ask("space")], ["space"]),
    ([ask("dataset_id")], ["dataset_id"]),
    ([STATISTICS, ask("space")], ["of_data_set", "mean", "std", "space"]),
    # The data set's own are in doubt: to name them without numbers would only be asked about again.
    ([STATISTICS, ask("mean")], ["mean", "std"]),
    ([ask("class_order"), ask("factor"), ask("labels")], ["class_order", "factor", "labels"]),
]


def test_what_is_asked_is_what_the_findings_name(http: TestClient, database: Database) -> None:
    for asked, fields in ASKED:
        page = shown(http, unclear(http, database, *asked))
        assert fields_of(page) == ["once", *fields]
        for one in asked:
            assert f"{one['code'].replace('_', ' ')}: {one['detail']}" in text_of(page)
        assert NOTE["detail"] not in text_of(page)


def test_fields_are_those_of_the_schema(
    http: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wider(Statement):
        gamma: float | None = Field(None, ge=1, le=3, description="Of the screen.")

    monkeypatch.setattr(condensed_questions, "Statement", Wider)
    made = unclear(http, database, *map(ask, [*CODES, "gamma", "unheard_of"]))
    page = shown(http, made)
    assert fields_of(page) == [
        "once",
        *(one for name in CODES for one in [name] + ["std"] * (name == "mean")),
        "gamma",
    ]
    for name in CODES:
        if name in Wider.model_fields:
            assert str(Wider.model_fields[name].description).replace("`", "") in text_of(page)
    assert "Of the screen. 1 to 3." in text_of(page)
    assert re.findall(r"<option>([a-z-]+)</option>", page.text) == [
        "normalised", "unit", "bytes", "whitened", "class-major", "argmax",
    ]  # fmt: skip
    alone = unclear(http, database, ask("gamma"))
    assert sent(http, alone, gamma="4").status_code == 422
    assert made_by(http, sent(http, alone, gamma="2.2"))["stated"] == {"gamma": 2.2}


def test_answers_make_the_set_anew_once(http: TestClient, database: Database) -> None:
    dataset = ready_dataset(http, database)
    earlier = {"experiment": 4, "of_data_set": True}
    made = unclear(
        http, database, ask("space"), ask("mean"), ask("class_order"),
        dataset_id=dataset, license="mit", name="theirs", stated=earlier,
    )  # fmt: skip
    before = http.get(f"/v1/condensed-sets/{made}").json()
    once = re.findall(r'name="once" value="(\w+)"', shown(http, made).text)[0]
    answers = {"once": once, "space": "normalised", "mean": "[0.5]", "std": "0.25", "class_order": "1, 0"}
    first, again = sent(http, made, **answers), sent(http, made, **answers)
    assert first.headers["location"] == again.headers["location"], "pressed twice"
    fresh = made_by(http, first)
    assert fresh["id"] != made and fresh["state"] == "reading"
    for name in ("upload_id", "name", "license", "dataset_id"):
        assert fresh[name] == before[name], name
    # of_data_set would contradict the numbers.
    stated = {"experiment": 4, "space": "normalised", "mean": [0.5], "std": [0.25], "class_order": [1, 0]}
    assert fresh["stated"] == stated
    assert count(http) == 2
    other = sent(http, made, **answers | {"space": "unit"})
    assert other.headers["location"] != first.headers["location"], "gone back to, and changed"


def test_of_data_set_is_an_answer_in_place_of_numbers(http: TestClient, database: Database) -> None:
    made = unclear(http, database, ask("mean", "statistics_unstated"), stated={"factor": 2})
    fresh = made_by(http, sent(http, made, of_data_set="true", mean="", std=""))
    assert fresh["stated"] == {"factor": 2, "of_data_set": True}
    fresh = made_by(http, sent(http, made, mean="0.1 0.2,0.3", std="1;1;1"))
    assert fresh["stated"] == {"factor": 2, "mean": [0.1, 0.2, 0.3], "std": [1, 1, 1]}


def test_the_data_set_is_chosen_among_ones_own(app: FastAPI, http: TestClient, database: Database) -> None:
    with client_of(app, token_of(database, "another")) as another:
        theirs = ready_dataset(another, database)
    with client_of(app, token_of(database, "owner")) as owner:
        made = unclear(owner, database, ask("dataset_id"))
        assert "There is none yet that is ready." in text_of(shown(owner, made))
        mine = ready_dataset(owner, database)
        assert re.findall(r'<option value="(\w+)"', shown(owner, made).text) == [mine]
        assert sent(owner, made, dataset_id=theirs).status_code == 404
        assert count(owner) == 1
        assert made_by(owner, sent(owner, made, dataset_id=mine))["dataset_id"] == mine
        # Not asked, not taken.
        other = unclear(owner, database, ask("space"))
        assert made_by(owner, sent(owner, other, space="unit", dataset_id=mine))["dataset_id"] is None


FAULTS: list[tuple[dict[str, Any], dict[str, str], str, str]] = [
    (ask("space"), {}, "space", "This has to be stated."),
    (ask("dataset_id"), {}, "dataset_id", "This has to be stated."),
    (ask("space"), {"space": "rgb"}, "space", "should be 'normalised', 'unit', 'bytes' or 'whitened'"),
    (ask("factor"), {"factor": "9"}, "factor", "less than or equal to 8"),
    (ask("experiment"), {"experiment": "1.5"}, "experiment", "valid integer"),
    (ask("experiment"), {"experiment": "4294967296"}, "experiment", "less than 2147483648"),
    (ask("class_order"), {"class_order": "0, one"}, "class_order", "one: Input should be a valid integer"),
    (ask("class_order"), {"class_order": "[]"}, "class_order", "at least 1 item"),
    (ask("mean"), {"mean": "0.5", "std": ""}, "std", "This has to be stated."),
    (ask("mean"), {"mean": "0.5", "std": "1e999"}, "std", "finite number"),
    (STATISTICS, {}, "mean", "Fill this in, or tick “of data set”."),
    (STATISTICS, {"mean": "0.5"}, "std", "Fill this in, or tick “of data set”."),
    (STATISTICS, {"mean": "0.5", "of_data_set": "true"}, "of_data_set", "mean and std: not both."),
]


def test_a_fault_stands_beside_its_field_and_what_was_typed_stays(
    http: TestClient, database: Database
) -> None:
    for asked, answers, field, said in FAULTS:
        made = unclear(http, database, asked, ask("labels"))
        answer = sent(http, made, labels="argmax", once="a1", **answers)
        assert answer.status_code == 422, answers
        assert said in text_of(part_of(answer, f'id="set-{field}-fault"', "</p>"))
        assert f'href="#set-{field}"' in part_of(answer, 'id="faults"', "</div>")
        [tag] = re.findall(f'<(?:input|select)(?= )[^>]* id="set-{field}"[^>]*>', answer.text)
        assert "aria-invalid=true" in tag and f"set-{field}-fault" in tag
        assert "<option selected>argmax</option>" in answer.text
        assert 'name="once" value="a1"' in answer.text
        for name, value in answers.items():
            if name not in ("space", "of_data_set"):
                assert f'name="{name}" value="{value}"' in answer.text
        assert ("checked" in answer.text) == ("of_data_set" in answers)
    assert count(http) == len(FAULTS)


def test_who_may_only_read_sees_what_is_asked(app: FastAPI, database: Database) -> None:
    with client_of(app, token_of(database, "owner")) as owner:
        made = unclear(owner, database, ask("space"))
    with client_of(app, token_of(database, "owner", "read")) as reader:
        page = shown(reader, made)
        assert "What of <space>?" in text_of(page)
        assert "<form class" not in page.text and "condensery sets add" not in page.text
        assert sent(reader, made, space="unit").status_code == 403


def test_without_its_upload_the_file_must_be_sent_again(http: TestClient, database: Database) -> None:
    made = unclear(
        http, database, ask("space"), license="cc by", stated={"experiment": 4, "labels": "argmax"}
    )
    line = (
        "condensery sets add {} --name kip.npz --license 'cc by' --state experiment=4 --state labels=argmax"
    )
    upload_id = http.get(f"/v1/condensed-sets/{made}").json()["upload_id"]
    assert f"{line.format(upload_id)} --state space=…" in text_of(shown(http, made))
    assert http.delete(f"/v1/uploads/{upload_id}").status_code == 204
    page = shown(http, made)
    assert "send the file again" in text_of(page) and "need not be sent again" not in text_of(page)
    assert '<form class="answers"' not in page.text
    assert f"{line.format('FILE')} --state space=…" in text_of(page)
    refused = sent(http, made, space="")
    assert refused.status_code == 409 and "send the file again" in text_of(refused)


def test_only_an_unclear_set_is_answered(http: TestClient, database: Database) -> None:
    made = http.post("/v1/condensed-sets", json={"upload_id": upload(http)["id"]}).json()["id"]
    assert sent(http, made, space="unit").status_code == 409
    problem = {"code": "whitened", "detail": "They are.", "findings": [ask("space")]}
    end_reading(database, made, "invalid", problem=problem)
    assert "It cannot be used: They are." in text_of(shown(http, made))
    assert sent(http, made, space="unit").status_code == 409
    with database.reading() as session:
        assert session.query(CondensedSet).count() == 1
