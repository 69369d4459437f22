"""An S3 server for tests: it speaks the protocol over HTTP, and landing reaches it as it would reach Amazon's."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
from airflow.sdk import ObjectStoragePath
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from tieout.core.storage import PathLike

CONN_ID = "landing_s3"
SECRET = "s3-secret-0123456789"
#: Colours stand around the line of an answer that is no success.
METHOD = re.compile(r"\b(GET|HEAD|PUT|POST|DELETE) (/[^ ?]*)")


@dataclass
class Requests(logging.Handler):
    """The requests that the server has answered: method, key and HTTP status."""

    seen: list[tuple[str, str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(logging.INFO)

    __hash__ = logging.Handler.__hash__

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line of the server's access log: its arguments are the request line, the status and the size."""
        if isinstance(record.args, tuple) and len(record.args) == 3:
            line, status, _ = (str(part) for part in record.args)
            found = METHOD.search(line)
            if found:
                self.seen.append((found[1], found[2], int(status)))

    def count(self) -> dict[str, int]:
        """Return how many there were of each method, and forget them."""
        found: dict[str, int] = {}
        for method, _, _ in self.seen:
            found[method] = found.get(method, 0) + 1
        self.seen.clear()
        return found


@dataclass
class Store:
    """One bucket on the server; ``base`` is a landing base in it."""

    url: str
    bucket: str
    requests: Requests

    @property
    def base(self) -> PathLike:
        path: PathLike = ObjectStoragePath(f"s3://{CONN_ID}@{self.bucket}/tieout")
        return path

    @property
    def client(self) -> Any:
        """Somebody else's client, without a part in what ours remembers."""
        return boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
        )

    def stored_keys(self) -> list[str]:
        """Return all keys of the bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return sorted(item["Key"] for page in pages for item in page.get("Contents", []))


@contextmanager
def serve_s3() -> Iterator[tuple[str, Requests]]:
    """Run the server; yields its URL and what it has answered. The connection ``landing_s3`` leads there meanwhile."""
    server, seen = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False), Requests()
    logger = logging.getLogger("werkzeug")
    level, propagate = logger.level, logger.propagate
    logger.addHandler(seen)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    connection = {
        "conn_type": "aws", "login": "access-key", "password": SECRET,
        "extra": {"endpoint_url": url, "region_name": "us-east-1"},
    }  # fmt: skip
    os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"] = json.dumps(connection)
    try:
        yield url, seen
    finally:
        server.stop()
        del os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"]
        logger.removeHandler(seen)
        logger.setLevel(level)
        logger.propagate = propagate
