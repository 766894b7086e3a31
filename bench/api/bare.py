"""The least that FastAPI and SQLAlchemy need to answer with a job: no keys, owners, log or checks.

`python -m bench.api.bare PORT`. One process of uvicorn, as the API is served; one read by primary key in a
plain function, the row as JSON through a response model. Everything is left at its default.
"""

import os
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from core.db.models import Job

engine = create_engine(os.environ["CONDENSERY_DATABASE_URL"])
app = FastAPI()


def get_session() -> Iterator[Session]:
    """A session for one request, as FastAPI's tutorial makes it."""
    with Session(engine) as session:
        yield session


class JobOut(BaseModel):
    """A job's columns."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str | None
    dataset_id: str | None
    data_hash: str
    state: str
    phase: str
    iteration: int
    progress: dict[str, Any] | None
    resumes: int
    spec: dict[str, Any]
    result: dict[str, Any] | None
    problem: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@app.get("/jobs/{job_id}", response_model=JobOut)
def read_job(job_id: str, session: Annotated[Session, Depends(get_session)]) -> Job:
    """One indexed read."""
    job = session.get(Job, job_id)
    if job is None:
        raise HTTPException(404)
    return job


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), http="h11", access_log=False, log_level="warning")
