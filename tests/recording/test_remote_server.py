"""Check the S3 server of the remote tests: it holds what it gets, and can vanish and come back."""

import pytest
from botocore.exceptions import EndpointConnectionError

from tests.helpers import s3

pytestmark = [pytest.mark.dvc, pytest.mark.skipif(s3.available() is not None, reason=str(s3.available()))]


def test_the_server_keeps_its_objects_while_its_gateway_is_away(tmp_path):
    with s3.S3Server(tmp_path / "s3") as server:
        assert server.object_names() == []
        server.write("a/b", b"content")
        server.kill_gateway()
        with pytest.raises(EndpointConnectionError):
            server.read("a/b")
        server.start_gateway()
        assert server.read("a/b") == b"content"
        assert server.object_names() == ["a/b"]
    with pytest.raises(EndpointConnectionError):
        server.object_names()
