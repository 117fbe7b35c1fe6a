#!/usr/bin/python3
"""An OAuth 2.0 server on loopback, with the API that its tokens open.

    token_server.py

prints one line of JSON, the port, then serves until its standard input ends:

    POST /token      a token for client credentials, by Basic or in the body
    /api/...         200 with a token that is valid, else 401; the answer echoes what it was shown
    /denied/...      401 whatever it is shown

What a test sets and asks:

    /_set?name=value      secret, former (another one that is good), life_s ("" leaves it out), delay_s,
                          hold (not "": the token endpoint answers when it is again), status and body
                          (what it answers in place of tokens; "": tokens again), retry_after
    /_revoke              no token is good any more
    /_log?path=P          what arrived whose path begins with P, oldest first
"""

import base64
import http.server
import json
import secrets
import sys
import threading
import time
import urllib.parse

CLIENT_ID = "the client: 1"
settings = {"secret": "", "former": "", "life_s": "3600", "delay_s": "0", "hold": "", "status": "", "body": "",
            "retry_after": ""}
tokens = {}
log = []
lock = threading.Lock()


def client_of(headers, form):
    """Who asks, with what secret."""
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme == "Basic":
        parts = base64.b64decode(encoded).decode().split(":")
        return tuple(urllib.parse.unquote_plus(part) for part in parts)
    return form.get("client_id"), form.get("client_secret")


def grant(headers, body):
    """Status and answer of the token endpoint."""
    form = dict(urllib.parse.parse_qsl(body))
    client, secret = client_of(headers, form)
    time.sleep(float(settings["delay_s"]))
    while settings["hold"]:
        time.sleep(0.02)
    if settings["status"]:
        return int(settings["status"]), settings["body"].replace("{secret}", secret or "")
    if client != CLIENT_ID or secret not in (settings["secret"], settings["former"]):
        return 401, json.dumps({"error": "invalid_client", "error_description": f"no client has {secret}"})
    if form.get("grant_type") != "client_credentials":
        return 400, json.dumps({"error": "unsupported_grant_type"})
    token = secrets.token_urlsafe(24)
    answer = {"nested": {"access_token": [None]}, "access_token": token, "token_type": "bearer"}
    life_s = float(settings["life_s"] or 3600)
    if settings["life_s"]:
        answer["expires_in"] = life_s
    with lock:
        tokens[token] = time.time() + life_s
    return 200, json.dumps(answer)


def serve_api(path, headers):
    shown = headers.get("authorization", "")
    with lock:
        ends_at = tokens.get(shown.removeprefix("Bearer "), 0)
    if path.startswith("/denied") or ends_at < time.time():
        return 401, json.dumps({"error": "invalid_token", "shown": shown})
    return 200, json.dumps({"shown": shown})


def control(path, query):
    parameters = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    with lock:
        if path == "/_set":
            settings.update(parameters)
        elif path == "/_revoke":
            tokens.clear()
        return 200, json.dumps([entry for entry in log if entry["path"].startswith(parameters.get("path", "/"))]
                               if path == "/_log" else {})


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0))).decode()
        if path.startswith("/_"):
            status, said = control(path, query)
        else:
            entry = {"path": path, "headers": headers, "body": body, "at": time.time()}
            with lock:
                log.append(entry)
            status, said = grant(headers, body) if path == "/token" else serve_api(path, headers)
            entry["status"] = status
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said.encode())))
        if path == "/token" and status != 200 and settings["retry_after"]:
            self.send_header("Retry-After", settings["retry_after"])
        self.end_headers()
        self.wfile.write(said.encode())

    do_GET = do_POST = do_HEAD = answer

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request, client_address):
        """Whoever asked may be gone by now."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps({"http": server.server_address[1]}), flush=True)
sys.stdin.read()
