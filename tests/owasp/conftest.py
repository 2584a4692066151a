"""The house, once for the whole package."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from florin.kernel.embedded import EmbeddedServer
from tests.conftest import all_urls, create_database, drop_database
from tests.owasp.house import House, open_house


@pytest.fixture(scope="package")
def house(postgres: EmbeddedServer, template_database: str) -> Iterator[House]:
    """Furnished; the worker does not run, so nothing moves but what a test sends."""
    name, directory = f"owasp_{uuid4().hex}", Path(tempfile.mkdtemp(prefix="florin-owasp-"))
    create_database(postgres, name, template=template_database)
    urls = all_urls(postgres, name)
    yield from open_house(directory, urls.app, urls.root)
    drop_database(postgres, name)
    shutil.rmtree(directory)
