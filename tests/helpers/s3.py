"""Start a real S3 server for a test: Ceph's gateway, one monitor and one object store in memory.

It writes to one folder only. Each server has its own ports and cluster id, so several can run at
once. The daemons end with the process that started them, however that ends.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import socket
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from pathlib import Path

from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

BINARIES = ["ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin", "setpriv"]
DEADLINE_SECONDS = 180

# Data has one copy, in few groups and in memory. There are no admin sockets, as their paths may
# have at most 107 bytes. Without keys (cephx) the gateway does not reach the store. By default the
# monitor takes one change per second, which makes the start ten times slower.
CONF = """
[global]
fsid = {fsid}
mon host = {monitor}
public network = 127.0.0.0/8
public addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = {folder}/keyring
mon data = {folder}/mon
osd data = {folder}/osd
rgw data = {folder}/rgw
crash dir = {folder}/crash
run dir = {folder}
pid file =
admin socket =
log file = {folder}/$name.log
log to stderr = false
mon cluster log file = {folder}/cluster.log
mon cluster log to stderr = false
mon allow pool size one = true
mon max pg per osd = 1000
paxos propose interval = 0.05
osd objectstore = memstore
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
rgw rados pool pg num min = 4
rgw frontends = beast endpoint=127.0.0.1:{port}
"""


def available() -> str | None:
    """Return None if a server can start here, or the reason why it cannot."""
    missing = [name for name in BINARIES if not shutil.which(name)]
    return f"{', '.join(missing)} not installed: apt-get install ceph-mon ceph-osd radosgw ceph-common" if missing else None


class S3Server:
    """An S3 endpoint at ``url`` with one bucket and one user, for a ``with`` statement."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.bucket, self.key, self.secret = "bucket", secrets.token_hex(10), secrets.token_hex(20)
        self._monitor_port, self._port = _free_ports(2)
        self.url = f"http://127.0.0.1:{self._port}"
        self._daemons: dict[str, subprocess.Popen] = {}
        # The kernel takes a thread for the parent of a program, and the caller's thread may end.
        self._starter = ThreadPoolExecutor(1)

    def __enter__(self) -> S3Server:
        try:
            self._set_up()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Kill every daemon and delete the data."""
        for name in list(self._daemons):
            self._kill(name)
        self._starter.shutdown()
        shutil.rmtree(self.folder / "mon", ignore_errors=True)  # 40 MB

    def kill_gateway(self) -> None:
        """Kill the gateway: connections are refused, and the data stay."""
        self._kill("gateway")

    def start_gateway(self) -> None:
        self._deadline = time.monotonic() + DEADLINE_SECONDS
        self._start("gateway", "radosgw", "-n", "client.admin")
        self._wait_for_gateway()

    def object_names(self) -> list[str]:
        with self._client() as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
            return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def read(self, name: str) -> bytes:
        with self._client() as client:
            return client.get_object(Bucket=self.bucket, Key=name)["Body"].read()

    def write(self, name: str, content: bytes) -> None:
        with self._client() as client:
            client.put_object(Bucket=self.bucket, Key=name, Body=content)

    def _client(self) -> AbstractContextManager[BaseClient]:
        # No retries and no proxy, so that a dead server shows at once.
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=10, proxies={})
        keys = {"aws_access_key_id": self.key, "aws_secret_access_key": self.secret, "region_name": "us-east-1"}
        return closing(Session().create_client("s3", endpoint_url=self.url, config=config, **keys))

    def _set_up(self) -> None:
        self._deadline = time.monotonic() + DEADLINE_SECONDS
        self._make_monitor()
        self._start("mon", "ceph-mon", "-i", "a")
        # The monitor refuses a store with any other id.
        store = str(uuid.uuid4())
        self._run("ceph", "osd", "new", store)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", store)
        self._start("osd", "ceph-osd", "-i", "0")
        keys = ["--access-key", self.key, "--secret-key", self.secret]
        self._run("radosgw-admin", "user", "create", "--uid", "tester", "--display-name", "tester", *keys)
        self.start_gateway()
        with self._client() as client:
            client.create_bucket(Bucket=self.bucket)

    def _make_monitor(self) -> None:
        fsid, monitor = str(uuid.uuid4()), f"[v2:127.0.0.1:{self._monitor_port}]"
        conf = CONF.format(fsid=fsid, monitor=monitor, folder=self.folder, port=self._port)
        (self.folder / "ceph.conf").write_text(conf)
        for name in ["osd", "crash"]:
            (self.folder / name).mkdir()
        keyring, monmap = str(self.folder / "keyring"), str(self.folder / "monmap")
        admin = ["--cap", "mon", "allow *", "--cap", "osd", "allow *"]
        store = ["--cap", "mon", "allow profile osd", "--cap", "osd", "allow *"]
        self._run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        self._run("ceph-authtool", keyring, "--gen-key", "-n", "client.admin", *admin)
        self._run("ceph-authtool", keyring, "--gen-key", "-n", "osd.0", *store)
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", monitor, monmap)
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", keyring)

    def _popen(self, output: str, *command: str) -> subprocess.Popen:
        # The kernel ends the program with its parent, also if that is killed.
        args = ["setpriv", "--pdeathsig", "KILL", command[0], "--conf", str(self.folder / "ceph.conf"), *command[1:]]
        # The caller's CEPH_* and PYTHON* would change what these programs do.
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
        with (self.folder / f"{output}.out").open("ab") as out:
            streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out}
            return self._starter.submit(subprocess.Popen, args, env=env, cwd=self.folder, **streams).result()

    def _run(self, *command: str) -> None:
        process = self._popen(command[0], *command)
        try:
            while process.poll() is None:
                self._check(command[0])
                time.sleep(0.02)
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            self._fail(f"{' '.join(command)} ended with {process.returncode}")

    def _start(self, name: str, *command: str) -> None:
        self._daemons[name] = self._popen(name, *command, "--foreground")

    def _kill(self, name: str) -> None:
        daemon = self._daemons.pop(name)
        daemon.kill()
        daemon.wait()

    def _wait_for_gateway(self) -> None:
        with self._client() as client:
            while True:
                self._check("the gateway")
                try:
                    client.list_buckets()
                    return
                except (BotoCoreError, ClientError):
                    time.sleep(0.05)

    def _check(self, waiting_for: str) -> None:
        """Raise if a daemon has ended or the time is up."""
        for name, daemon in self._daemons.items():
            if daemon.poll() is not None:
                self._fail(f"{name} ended with {daemon.returncode}, while waiting for {waiting_for}")
        if time.monotonic() > self._deadline:
            self._fail(f"waited in vain for {waiting_for}")

    def _fail(self, what: str) -> None:
        logs = sorted([*self.folder.glob("*.log"), *self.folder.glob("*.out")])
        tails = [f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:]) for path in logs]
        raise RuntimeError("\n".join([what, *tails]))


def _free_ports(n: int) -> list[int]:
    """Return free ports below the range that the kernel gives to clients."""
    ports = []
    # A test may have seeded Python's generator, which would send two servers to the same ports.
    for port in random.SystemRandom().sample(range(15_000, 32_000), 1000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == n:
            return ports
    raise OSError("no free port")
