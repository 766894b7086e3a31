"""How much of the service its caller uses, and how much may be used."""

from fastapi import APIRouter

from api.deps import AppSettings, ReadSession
from api.problems import responses
from api.schemas.usage import UsageOut
from api.security import Reader
from core.catalogue.usage import usage_of

router = APIRouter(prefix="/v1/usage", tags=["usage"])


@router.get("", responses=responses())
def read_usage(caller: Reader, session: ReadSession, settings: AppSettings) -> UsageOut:
    """The caller's bytes and jobs beside their limits."""
    return UsageOut.of(usage_of(session, caller.owner), settings)
