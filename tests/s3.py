"""An S3-compatible store that speaks HTTP, for tests: moto's server in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import boto3
import pytest

from tests.faults import eventually

BUCKET = "ectopy"


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A process of its own: what it does with threads and warnings is its own business."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=log,
            stderr=log,
        )
        try:
            eventually(lambda: answers(port), within_s=60)
            url = f"http://127.0.0.1:{port}"
            client = boto3.client(
                "s3",
                endpoint_url=url,
                region_name="us-east-1",
                aws_access_key_id="key",
                aws_secret_access_key="secret",
            )
            client.create_bucket(Bucket=BUCKET)
            client.close()
            yield url
        finally:
            process.terminate()
            process.wait(10)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
