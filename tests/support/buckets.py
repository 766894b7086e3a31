"""Buckets of a test's own, and the environment in which they are found."""

import uuid

import httpx2


def new_bucket(address: str) -> str:
    """A `storage_url` in an empty bucket of a server."""
    name = f"test-{uuid.uuid4().hex}"
    httpx2.put(f"{address}/{name}").raise_for_status()
    return f"s3://{name}/some/prefix"


def aws_environment(address: str) -> dict[str, str]:
    """What an operator sets for a server that is not Amazon's."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
