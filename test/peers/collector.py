#!/usr/bin/python3
"""An OTLP collector that keeps what the official decoder has read.

    PYTHONPATH=... collector.py DIRECTORY

Prints its port.  DIRECTORY/traces, metrics and logs get a line of JSON for each batch, DIRECTORY/problems
one for each that the decoder refuses or reads otherwise than it was written: receivers ignore
what they don't know, so a misspelt field is only seen by comparing.  All other paths are the APIs
of a test: /in takes everything, /bad nothing, /flaky most, and what it refuses at the second attempt.
"""
import collections
import gzip
import http.server
import json
import pathlib
import sys
import threading

from opentelemetry.proto_json.collector.logs.v1.logs_service import ExportLogsServiceRequest
from opentelemetry.proto_json.collector.metrics.v1.metrics_service import ExportMetricsServiceRequest
from opentelemetry.proto_json.collector.trace.v1.trace_service import ExportTraceServiceRequest

DECODERS = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest,
            "/v1/logs": ExportLogsServiceRequest}
DIRECTORY = pathlib.Path(sys.argv[1])
LOCK = threading.Lock()
TRIES = collections.Counter()


def without_defaults(value):
    """As the decoder writes it: a member that has its default is left out."""
    if isinstance(value, dict):
        members = {name: without_defaults(member) for name, member in value.items()}
        return {name: member for name, member in members.items() if member not in ("", "0", 0, None, [])}
    if isinstance(value, list):
        return [without_defaults(member) for member in value]
    return value


def problem_of(path, headers, body):
    if headers.get("Content-Type", "").split(";")[0] != "application/json":
        return f"its type is {headers.get('Content-Type')}"
    if headers.get("Content-Encoding") != "gzip":
        return "it is not compressed"
    try:
        read = DECODERS[path].from_json(body).to_dict()
    except Exception as problem:  # whatever the decoder thinks of it
        return repr(problem)
    if without_defaults(read) != without_defaults(json.loads(body)):
        return "it is read otherwise: " + body[:2000].decode()
    return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def keep(self, body):
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        problem = problem_of(self.path, self.headers, body)
        with LOCK, open(DIRECTORY / self.path.rsplit("/", 1)[1], "ab") as signal, open(DIRECTORY / "problems", "a") as problems:
            signal.write(body.replace(b"\n", b" ") + b"\n")
            if problem:
                problems.write(f"{self.path} {problem}\n")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path in DECODERS:
            self.keep(body)
            return self.answer(200)
        key = self.headers.get("Idempotency-Key")
        with LOCK:
            TRIES[key] += 1
            fails = TRIES[key] == 1 and len(TRIES) % 4 == 0
        if self.path.startswith("/bad"):
            return self.answer(422)
        return self.answer(503 if self.path.startswith("/flaky") and fails else 200)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
