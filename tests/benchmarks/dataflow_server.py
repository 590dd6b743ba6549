"""As much of Dataflow's REST API as a runner and its clients need, with jobs that have run before they were started."""

import json
import re
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PROJECT, REGION, JOB_ID = "my-project", "us-central1", "2026-11-21_03_50_00-42"
STARTED = "All workers have finished the startup processes and began to receive work requests."
STOPPING = "Stopping worker pool..."
START_S, END_S = 1_790_000_000.0, 1_790_000_600.0

_JOBS = re.compile(rf"/v1b3/projects/{PROJECT}/locations/{REGION}/jobs")
_JOB = re.compile(rf"{_JOBS.pattern}/([^/]+)(/messages|/metrics)?")
_STATES = ["UNKNOWN", "STOPPED", "RUNNING", "DONE", "FAILED", "CANCELLED", "UPDATED", "DRAINING", "DRAINED", "PENDING"]
_PAGE = 2


class DataflowServer:
    """One job.

    Attributes:
        states: How it is, each time that one asks; the last from then on.
        streaming: Whether it is a streaming job.
        environment: What it says of its environment.
        messages: What it says, as `(time_s, importance, text)`.
        metrics: What it has used, each time that one asks; the last from then on. A function is called.
        failures: What the next requests are answered with: a status, or `None` for the ordinary answer.
        requests: What was asked for, as `(method, path)`.
        submitted: The job as the runner sent it.
    """

    def __init__(self):
        self.states = ["DONE"]
        self.streaming = False
        self.environment = {}
        self.messages = [
            (START_S - 200, "JOB_MESSAGE_BASIC", "Worker configuration: n1-standard-2 in us-central1."),
            (START_S, "JOB_MESSAGE_DETAILED", STARTED),
            (START_S + 10, "JOB_MESSAGE_DEBUG", "Executing wait step start21"),
            (END_S, "JOB_MESSAGE_BASIC", STOPPING),
            (END_S + 90, "JOB_MESSAGE_DETAILED", "Worker pool stopped."),
        ]
        self.metrics = [job_metrics(USAGE)]
        self.failures = []
        self.requests = []
        self.submitted = None
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Else the second part of an answer waits for the client to acknowledge the first.
            disable_nagle_algorithm = True

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                url = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                with server._lock:
                    status, answer = server.answer(self.command, url.path, query, json.loads(body) if body else None)
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_POST = do_PUT = do_GET  # noqa: N815

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://localhost:{self._http.server_port}"

    def close(self):
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def count(self, method, ending):
        """How often something was asked for."""
        return sum(one == method and path.endswith(ending) for one, path in self.requests)

    def answer(self, method, path, query, body):
        self.requests.append((method, path))
        if self.failures and (status := self.failures.pop(0)) is not None:
            return error(status, "The caller does not have permission" if status == 403 else "not now")
        if method == "POST" and _JOBS.fullmatch(path):
            self.submitted = body
            return 200, self._job(self.states[0])
        found = _JOB.fullmatch(path)
        if found is None or found[1] != JOB_ID:
            return error(404, f"Information about job {path.rpartition('/')[2]} could not be found in our system.")
        if method == "PUT":
            assert _STATES[body["requestedState"]] == "CANCELLED"
            self.states = ["CANCELLED"]
            return 200, self._job("CANCELLED")
        if found[2] == "/messages":
            return 200, self._messages(query)
        if found[2] == "/metrics":
            return 200, next_of(self.metrics)
        return 200, self._job(next_of(self.states))

    def _job(self, state):
        return {
            "id": JOB_ID,
            "name": "my-job",
            "projectId": PROJECT,
            "location": REGION,
            "type": "JOB_TYPE_STREAMING" if self.streaming else "JOB_TYPE_BATCH",
            "currentState": f"JOB_STATE_{state}",
            "currentStateTime": stamp(END_S + 100),
            "environment": self.environment,
        }

    def _messages(self, query):
        assert query["minimumImportance"] == "1"  # All of them.
        start = int(query.get("pageToken", 0))
        page = self.messages[start : start + _PAGE]
        answer = {
            "jobMessages": [
                {"id": str(number), "time": stamp(time_s), "messageImportance": importance, "messageText": text}
                for number, (time_s, importance, text) in enumerate(page, start)
            ]
        }
        more = {"nextPageToken": str(start + _PAGE)} if start + _PAGE < len(self.messages) else {}
        return answer | more


# What a job with 10 workers of two cores used in 600 s.
USAGE = {
    "TotalVcpuTime": 12_000,
    "TotalMemoryUsage": 46_080_000,
    "TotalPdUsage": 150_000,
    "TotalSsdUsage": 0,
    "TotalShuffleDataProcessed": 8.0,
    "BillableShuffleDataProcessed": 2.0,
    "TotalStreamingDataProcessed": 0.0,
    "TotalGpuTime": 0,
}


def job_metrics(usage, elements=(), time_s=END_S + 200, others=()):
    """An answer to a request for metrics.

    Args:
        usage: Of the whole job, by name.
        elements: For each PCollection its name, elements, and bytes of one.
        time_s: Up to when this is so.
        others: Further metrics, such as those of steps.
    """
    metrics = [metric(name, value, {"original_name": f"Service-{name}"}) for name, value in usage.items()]
    for name, count, num_bytes in elements:
        metrics.append(metric("ElementCount", count, {"output_user_name": name}))
        metrics.append(metric("MeanByteCount", num_bytes, {"output_user_name": name}))
    return {"metricTime": stamp(time_s), "metrics": [*metrics, *others]}


def metric(name, value, context, tentative=True, origin="dataflow/v1b3"):
    """A metric, which the service tells with what was seen of it so far beside what is final."""
    return {
        "name": {"origin": origin, "name": name, "context": context | ({"tentative": "true"} if tentative else {})},
        "scalar": value,
    }


def stamp(seconds):
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def next_of(values):
    """The first of several, which goes, or the last one; called if it is a function."""
    value = values.pop(0) if len(values) > 1 else values[0]
    return value() if callable(value) else value


def error(status, message):
    names = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
    return status, {"error": {"code": status, "message": message, "status": names.get(status, "INTERNAL")}}
