"""Object stores for tests: a real S3 server on this machine, and fsspec's in memory."""

import contextlib
import urllib.request

import pytest

from speech2face import buckets

BUCKET = "s3://tests"


@contextlib.contextmanager
def s3_server():
    """Starts moto's S3 server with the bucket `BUCKET`; yields its environment."""
    server_of = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    server = server_of.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        request = urllib.request.Request(f"{endpoint}/tests", method="PUT")
        urllib.request.urlopen(request).close()
        yield {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        server.stop()


@contextlib.contextmanager
def store_in_memory(monkeypatch):
    """Yields the URL of an empty store in this process's memory."""
    import fsspec

    monkeypatch.setitem(buckets.PACKAGES, "memory", "fsspec")
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pseudo_dirs[1:] = []  # folders, which a bucket has not; the first is its root
    yield "memory://tests"
    store.store.clear()
