"""As much of BigQuery's REST API as its client needs to stream rows into tables."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_TABLES = re.compile(r"/bigquery/v2/projects/([^/]+)/datasets/([^/]+)/tables")
_TABLE = re.compile(_TABLES.pattern + r"/([^/]+)")
_INSERT = re.compile(_TABLE.pattern + r"/insertAll")
_TYPES = {"STRING": str, "TIMESTAMP": str, "FLOAT": (int, float)}
_MOST_ROWS = 50_000
_LONGEST_ID = 128


class BigQueryServer:
    """Tables with their schema, rows that are checked against it, and row ids that are taken once.

    Attributes:
        datasets: Those that are there, as `(project, dataset)`.
        tables: Their schemas, by `(project, dataset, table)`.
        rows: Their rows.
        requests: What was asked for, as `(method, path)`.
        batches: How many rows each insert had.
        failures: What the next requests are answered with: a status, or `None` for the ordinary answer.
        row_error: Why all rows are refused for now.
    """

    def __init__(self, datasets=()):
        self.datasets = set(datasets)
        self.tables = {}
        self.rows = {}
        self.requests = []
        self.batches = []
        self.failures = []
        self.row_error = None
        self._ids = set()
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Else the second part of an answer waits for the client to acknowledge the first.
            disable_nagle_algorithm = True

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with server._lock:
                    status, answer = server.answer(self.command, self.path, json.loads(body) if body else None)
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def close(self):
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def answer(self, method, path, body):
        path = path.partition("?")[0]
        self.requests.append((method, path))
        if self.failures and (status := self.failures.pop(0)) is not None:
            return error(status, "not now")
        if method == "GET" and (found := _TABLE.fullmatch(path)):
            return self._get(*found.groups())
        if method == "POST" and (found := _TABLES.fullmatch(path)):
            return self._create(*found.groups(), body)
        if method == "POST" and (found := _INSERT.fullmatch(path)):
            return self._insert(*found.groups(), body)
        return error(404, f"there is no {method} {path}")

    def _get(self, *table):
        if table not in self.tables:
            return error(404, f"Not found: Table {table}")
        return 200, self.tables[table]

    def _create(self, project, dataset, body):
        if (project, dataset) not in self.datasets:
            return error(404, f"Not found: Dataset {project}:{dataset}")
        table = (project, dataset, body["tableReference"]["tableId"])
        if table in self.tables:
            return error(409, f"Already Exists: Table {table}")
        self.tables[table] = body
        self.rows[table] = []
        return 200, body

    def _insert(self, project, dataset, name, body):
        table = (project, dataset, name)
        if table not in self.tables:
            return error(404, f"Not found: Table {table}")
        rows = body["rows"]
        self.batches.append(len(rows))
        if not rows or len(rows) > _MOST_ROWS or any(len(row["insertId"]) > _LONGEST_ID for row in rows):
            return error(400, "invalid rows")
        found = {index: self._errors(table, row["json"]) for index, row in enumerate(rows)}
        errors = [{"index": index, "errors": errors} for index, errors in found.items() if errors]
        if not errors or body.get("skipInvalidRows"):
            for index, row in enumerate(rows):
                if not found[index] and (*table, row["insertId"]) not in self._ids:
                    self._ids.add((*table, row["insertId"]))
                    self.rows[table].append(row["json"])
        return 200, {"insertErrors": errors} if errors else {}

    def _errors(self, table, row):
        if self.row_error is not None:
            return [{"reason": self.row_error, "message": "try again"}]
        fields = {field["name"]: field for field in self.tables[table]["schema"]["fields"]}
        errors = [invalid(name, f"no such field: {name}.") for name in row.keys() - fields.keys()]
        for name, field in fields.items():
            value = row.get(name)
            if value is None and field["mode"] == "REQUIRED":
                errors.append(invalid(name, f"Missing required field: {name}."))
            elif value is not None and not isinstance(value, _TYPES[field["type"]]):
                errors.append(invalid(name, f"Cannot convert value to {field['type']}"))
        return sorted(errors, key=lambda one: one["location"])


def invalid(place, message):
    return {"reason": "invalid", "location": place, "debugInfo": "", "message": message}


def error(status, message):
    reasons = {400: "invalid", 401: "authError", 403: "accessDenied", 404: "notFound", 409: "duplicate"}
    reason = reasons.get(status, "backendError")
    details = [{"message": message, "domain": "global", "reason": reason}]
    return status, {"error": {"code": status, "message": message, "errors": details}}
