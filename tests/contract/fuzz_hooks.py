"""What schemathesis, in a process of its own, must be told beyond its configuration."""

import os
from typing import Any

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import EnsureResourceAvailability, RejectedPositiveData
from schemathesis.transport.requests import REQUESTS_TRANSPORT
from schemathesis.transport.serialization import serialize_binary

#: Its id. Revoking it would turn every later answer into a 401, and the rest of the run into nothing.
OWN_KEY = os.environ.get("CONDENSERY_FUZZER_KEY", "")

#: Refusals of requests that are well formed: no schema can say what a data set, a server's folders or the
#: bytes of an upload allow. `invalid_request` is not among them: what that refuses, the schema must say.
RULES = {
    "ipc_too_large",
    "no_test_images",
    "network_too_deep",
    "network_repeated",
    "shape_mismatch",
    "classes_differ",
    "upload_complete",
    "digest_mismatch",
    "import_disabled",
    "idempotency_key_reused",
    "too_large",
    "webhook_url_refused",
    "classes_overlap",
    "facts_unknown",
    "form_differs",
    "normalisation_differs",
    "set_repeated",
}


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: Any) -> bool:
    return case.method != "DELETE" or OWN_KEY not in (case.path_parameters or {}).values()


@schemathesis.hook
def filter_failure(context: schemathesis.HookContext, failure: Any, case: Any, response: Any) -> bool:
    if isinstance(failure, RejectedPositiveData):
        problem = response.json()
        # What the document has a pattern for; the phase `coverage` makes values that do not match it.
        if problem.get("detail", "").startswith("Upload-Checksum: "):
            return False
        return problem.get("code") not in RULES
    # Who makes a key for another owner does not see it: it is that owner's.
    if isinstance(failure, EnsureResourceAvailability) and case.operation.path == "/v1/keys/{key_id}":
        return False
    # Headers that a server does not know it must ignore: proxies and clients add theirs.
    unknown_header = "in header - object with unexpected properties"
    return not (isinstance(failure, AcceptedNegativeData) and unknown_header in str(failure.message))


@REQUESTS_TRANSPORT.serializer("application/offset+octet-stream")
def piece(context: Any, value: Any) -> dict[str, Any]:
    return {"data": serialize_binary(value)}
