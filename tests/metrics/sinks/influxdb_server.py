"""A real InfluxDB 1.x, with a folder and a port of its own."""

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.request
import uuid
from urllib.parse import urlencode

PROGRAM = shutil.which("influxd")

_CONFIGURATION = """
reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
[monitor]
store-enabled = false
[http]
bind-address = "127.0.0.1:{port}"
auth-enabled = {authentication}
"""


class InfluxDBServer:
    """Stopped and started again it has the same port and data.

    With `admin`, a password, it asks for credentials.
    """

    def __init__(self, folder, admin=None):
        self._folder = folder
        self._admin = admin
        self._process = None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        authentication = "false" if admin is None else "true"
        configuration = _CONFIGURATION.format(folder=folder, port=self.port, authentication=authentication)
        (folder / "influxdb.conf").write_text(configuration)
        self.start()
        if admin is not None:
            self.query(f"CREATE USER admin WITH PASSWORD '{admin}' WITH ALL PRIVILEGES")

    def start(self):
        with open(self._folder / "log", "ab") as log:
            command = [PROGRAM, "run", "-config", str(self._folder / "influxdb.conf")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < until, "influxd does not answer"
            time.sleep(0.02)

    def stop(self):
        self._process.terminate()
        self._process.wait(60)

    def create_database(self):
        name = f"metrics {uuid.uuid4().hex}"
        self.query(f'CREATE DATABASE "{name}"')
        return name

    def query(self, text, db=""):
        """The rows of the answer, as dictionaries; their time is in nanoseconds."""
        answer = json.loads(self._post("/query", urlencode({"q": text, "db": db, "epoch": "ns"})))
        (result,) = answer["results"]
        assert "error" not in result, result
        series = result.get("series", [])
        return [dict(zip(one["columns"], row, strict=True)) for one in series for row in one["values"]]

    def write(self, lines, db):
        self._post(f"/write?{urlencode({'db': db})}", lines)

    def _post(self, path, data):
        request = urllib.request.Request(self.url + path, data.encode())
        if self._admin is not None:
            request.add_header("Authorization", "Basic " + base64.b64encode(f"admin:{self._admin}".encode()).decode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def _answers(self):
        try:
            with urllib.request.urlopen(f"{self.url}/ping", timeout=5) as answer:
                return answer.status == 204
        except OSError:
            return False


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
