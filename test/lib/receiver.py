#!/usr/bin/python3
"""A scripted HTTP/1.1 receiver on loopback that misbehaves on request.

The path of a request names the behaviour (/status/503, /stall-before, ...); see BEHAVIOURS at
the end.  Whatever arrives is recorded before it is answered, so that a test can ask what the
sender really did.  Only Debian's own Python is needed.

    receiver.py [--certificates DIR]

prints one line of JSON, the ports by name, then serves until its standard input ends:

    http     plain HTTP
    refused  nothing listens: connections are refused
    hole     a full backlog: connections are never answered
    silent   accepts connections, never says anything
    hangup   accepts connections, resets them at the first byte
    tls, expired, wronghost, unknown
             HTTPS with that certificate of mkca (tls: the good one)
    client, client12, nocipher
             HTTPS that ends with an alert during the handshake: no client certificate of ca.crt
             (client12: over TLS 1.2), no cipher in common

Of a request to /brief/... only path, key, connection and time are recorded.

What a test asks (never recorded):

    /_log?path=P            the requests whose path begins with P, oldest first
    /_count?path=P          {"requests", "keys", "most_per_key", "most_at_once", "connections"}
    /_keys?path=P           Idempotency-Key -> times of arrival
    /_switch?path=P&as=Q    from now on P behaves like Q (no Q: like itself again)
    /_release?path=P        answers what /held/... holds of P just now: {"released"}
"""

import argparse
import asyncio
import base64
import collections
import contextlib
import gzip
import hashlib
import json
import os
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse

HOST = "127.0.0.1"
FOREVER_S = 3600
DRIP_S = 0.05
HANDSHAKE_S = 5
HUGE_HEADER_BYTES = 400 * 1024
REASON_PHRASES = {200: "OK", 201: "Created", 204: "No Content", 404: "Not Found"}


class Request:
    """One request as it was read; the body may still be on its way."""

    def __init__(self, head, connection):
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = lines[0].split(" ", 2)
        self.headers = [tuple(line.split(":", 1)) for line in lines[1:] if line]
        self.headers = [(name.lower(), value.strip()) for name, value in self.headers]
        self.fields = dict(self.headers)
        self.path, _, query = self.target.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query))
        self.key = self.fields.get("idempotency-key")
        self.connection = connection
        self.at = time.time()
        self.answered_at = None
        self.behaviour = None
        self.body = b""

    def length(self):
        return int(self.fields.get("content-length", 0))

    def as_json(self):
        body = gzip.decompress(self.body) if self.fields.get("content-encoding") == "gzip" else self.body
        text = body[:65536].decode("utf-8", "replace")
        return {"at": self.at, "method": self.method, "path": self.path, "target": self.target,
                "behaviour": self.behaviour, "headers": self.fields, "header_names": [name for name, _ in self.headers],
                "key": self.key, "connection": self.connection, "body": text,
                "body_sha256": hashlib.sha256(self.body).hexdigest()}


class Trace:
    """What is left of a request where there are hundreds of thousands."""

    __slots__ = ("path", "key", "connection", "at", "answered_at")

    def __init__(self, request):
        self.path = sys.intern(request.path)
        self.key = request.key
        self.connection = request.connection
        self.at = request.at
        self.answered_at = None


def most_at_once(requests):
    """How many of them were under way together at most."""
    ends = [(request.at, 1) for request in requests]
    ends += [(request.answered_at, -1) for request in requests if request.answered_at]
    under_way = most = 0
    for _, step in sorted(ends):
        under_way += step
        most = max(most, under_way)
    return most


class Receiver:
    """What arrived, and which paths behave like others just now."""

    def __init__(self):
        self.log = []
        self.switches = {}
        self.connections = 0
        self.held = []
        self.tries = collections.Counter()

    def arrived(self, path):
        return [request for request in self.log if request.path.startswith(path)]

    def count(self, path):
        requests = self.arrived(path)
        keys = collections.Counter(request.key for request in requests)
        return {"requests": len(requests), "keys": len(keys),
                "most_per_key": max(keys.values(), default=0),
                "most_at_once": most_at_once(requests),
                "connections": len({request.connection for request in requests})}

    def keys(self, path):
        times = collections.defaultdict(list)
        for request in self.arrived(path):
            times[request.key].append(request.at)
        return times

    def switch(self, path, replacement):
        if replacement:
            self.switches[path] = replacement
        else:
            self.switches.pop(path, None)
        return {"switched": path}

    def release(self, path):
        released = [gate for held, gate in self.held if held.startswith(path)]
        self.held = [(held, gate) for held, gate in self.held if not held.startswith(path)]
        for gate in released:
            gate.set()
        return {"released": len(released)}

    def answer_test(self, request):
        path = request.query.get("path", "/")
        if request.path == "/_log":
            return [entry.as_json() for entry in self.arrived(path)]
        if request.path == "/_count":
            return self.count(path)
        if request.path == "/_keys":
            return self.keys(path)
        if request.path == "/_release":
            return self.release(path)
        return self.switch(path, request.query.get("as"))

    async def serve(self, reader, writer):
        self.connections += 1
        connection = self.connections
        try:
            while await self.serve_request(reader, writer, connection):
                pass
        except (OSError, EOFError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def serve_request(self, reader, writer, connection):
        request = Request(await reader.readuntil(b"\r\n\r\n"), connection)
        if request.path.startswith("/_"):
            send(writer, 200, json.dumps(self.answer_test(request)).encode())
            await writer.drain()
            return True
        words, query = self.behaviour_of(request)
        name = words[0] if words[0] in BEHAVIOURS else "unknown"
        if name != "stall-send":
            request.body = await reader.readexactly(request.length())
        request.behaviour = name
        entry = Trace(request) if name == "brief" else request
        self.log.append(entry)
        keep = await BEHAVIOURS[name](Call(self, request, words[1:], query, writer))
        entry.answered_at = time.time()
        await writer.drain()
        return keep is not False and request.fields.get("connection", "").lower() != "close"

    def behaviour_of(self, request):
        target = self.switches.get(request.path, request.target)
        path, _, query = target.partition("?")
        return path.strip("/").split("/"), dict(urllib.parse.parse_qsl(query))


class Call:
    """What a behaviour works with."""

    def __init__(self, receiver, request, words, query, writer):
        self.receiver = receiver
        self.request = request
        self.words = words
        self.query = query
        self.writer = writer

    def status(self, default=200):
        return int(self.words[0]) if self.words else default


def head(status, headers):
    phrase = REASON_PHRASES.get(status, "Status")
    lines = [f"HTTP/1.1 {status} {phrase}"] + [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def send(writer, status, body=b"", content_type="application/json", headers=()):
    fields = [("Content-Type", content_type), ("Content-Length", len(body)), *headers]
    writer.write(head(status, fields) + body)


def reset(writer):
    """End the connection with RST in place of FIN."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def ok(call):
    send(call.writer, 200, b'{"ok": true}')


async def unknown(call):
    send(call.writer, 404, b'{"message": "no such path at this receiver"}')


async def status(call):
    """/status/N?retry_after=S&remaining=R&limit=F&policy=F&location=L&deprecation=D&sunset=S&version=V&body=B&type=T"""
    names = {"retry_after": "Retry-After", "remaining": "X-RateLimit-Remaining",
             "limit": "RateLimit", "policy": "RateLimit-Policy", "location": "Location",
             "deprecation": "Deprecation", "sunset": "Sunset", "version": "API-Version"}
    headers = [(names[key], value) for key, value in call.query.items() if key in names]
    body = call.query.get("body", "").encode()
    kind = call.query.get("type", "application/json")
    send(call.writer, call.status(), body, kind, headers)


async def reflect(call):
    """/reflect/N: says back what it was sent, in headers, in the body, cut off at the end of it."""
    fields = call.request.fields
    sent = [fields[name] for name in ("authorization", "x-api-key") if name in fields]
    clear = [base64.b64decode(value[6:]).decode() for value in sent if value.startswith("Basic ")]
    body = json.dumps({"headers": fields, "clear": clear, "quoted": [urllib.parse.quote(v) for v in sent]})
    headers = [("X-Echo", value) for value in sent + clear]
    # one of them: libcurl refuses an answer with two
    headers += [("Location", "https://example.com/?key=" + urllib.parse.quote(value, "")) for value in sent[-1:]]
    send(call.writer, call.status(), body.encode(), headers=headers)


async def create(call):
    """/create/X: 201 with an id of the receiver's own."""
    body = {"id": f"R-{call.words[-1]}", "created": True}
    send(call.writer, 201, json.dumps(body).encode())


async def success_false(call):
    send(call.writer, 200, b'{"success": false, "message": "the order is locked"}')


async def conflict_exists(call):
    send(call.writer, 409, b'{"code": "already_exists", "message": "order exists"}')


async def problem(call):
    body = {"type": "about:blank", "title": "Your order is not valid", "status": 422,
            "detail": "1 field is wrong",
            "errors": [{"pointer": "#/quantity", "detail": "must be at least 1"}]}
    send(call.writer, 422, json.dumps(body).encode(), "application/problem+json")


async def not_utf8(call):
    send(call.writer, call.status(500), b"caf\xe9 \x00 \xff\xfe end", "text/plain")


async def flaky(call):
    """/flaky?fail=N&status=S: the first N requests of each Idempotency-Key fail."""
    tries = call.receiver.tries
    tries[call.request.key] += 1
    if tries[call.request.key] <= int(call.query.get("fail", 1)):
        send(call.writer, int(call.query.get("status", 503)), b'{"message": "not yet"}')
    else:
        send(call.writer, 200, b'{"ok": true}')


async def slow(call):
    """/slow?seconds=S: good, but late."""
    await asyncio.sleep(float(call.query.get("seconds", 1)))
    send(call.writer, 200, b'{"ok": true}')


async def held(call):
    """/held/X?status=N: that status, else 200, as soon as the test says so."""
    gate = asyncio.Event()
    call.receiver.held.append((call.request.path, gate))
    await gate.wait()
    send(call.writer, int(call.query.get("status", 200)), b'{"ok": true}')


async def stall(call):
    """Says nothing; stall-send doesn't even read the body."""
    await asyncio.sleep(FOREVER_S)
    return False


async def stall_after_headers(call):
    call.writer.write(head(call.status(), [("Content-Length", 100)]) + b"0123456789")
    await asyncio.sleep(FOREVER_S)
    return False


async def drip(call):
    """Header lines without end, a byte at a time."""
    call.writer.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    while True:
        call.writer.write(b"x")
        await call.writer.drain()
        await asyncio.sleep(DRIP_S)


async def drip_body(call):
    call.writer.write(head(call.status(), [("Content-Length", 1000000)]))
    while True:
        call.writer.write(b"x")
        await call.writer.drain()
        await asyncio.sleep(DRIP_S)


async def hints_only(call):
    call.writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n")
    await asyncio.sleep(FOREVER_S)
    return False


async def early_hints(call):
    call.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    call.writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n")
    send(call.writer, 200, b'{"ok": true}')


async def close(call):
    return False


async def close_kept(call):
    """A connection is good for one request; whoever keeps it learns that from the next one."""
    earlier = call.receiver.log[:-1]
    if any(entry.connection == call.request.connection for entry in earlier):
        return False
    return await ok(call)


async def reset_before(call):
    reset(call.writer)
    return False


async def reset_mid_body(call):
    call.writer.write(head(call.status(), [("Content-Length", 1000)]) + b"0123456789")
    await call.writer.drain()
    # The head must have been read first: a reset overtakes what still waits in the socket.
    await asyncio.sleep(DRIP_S)
    reset(call.writer)
    return False


async def truncate(call):
    call.writer.write(head(call.status(), [("Content-Length", 1000)]) + b"0123456789")
    return False


async def garbage(call):
    call.writer.write(b"\x01\x02\x03 this is not HTTP\r\n\r\n")
    return False


async def huge_headers(call):
    line = b"X-Padding: " + b"x" * 1000 + b"\r\n"
    lines = line * (HUGE_HEADER_BYTES // len(line))
    call.writer.write(b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 0\r\n\r\n")


async def endless(call):
    call.writer.write(head(call.status(), [("Transfer-Encoding", "chunked")]))
    chunk = b"10000\r\n" + b"y" * 65536 + b"\r\n"
    while True:
        call.writer.write(chunk)
        await call.writer.drain()


BEHAVIOURS = {
    "ok": ok, "brief": ok, "unknown": unknown, "status": status, "create": create, "slow": slow, "reflect": reflect,
    "held": held,
    "success-false": success_false, "conflict-exists": conflict_exists, "problem": problem,
    "not-utf8": not_utf8, "flaky": flaky, "stall-before": stall, "stall-send": stall,
    "stall-after-headers": stall_after_headers, "drip": drip, "drip-body": drip_body,
    "hints-only": hints_only, "early-hints": early_hints, "close": close, "close-kept": close_kept,
    "reset-before": reset_before, "reset-mid-body": reset_mid_body, "truncate": truncate,
    "garbage": garbage, "huge-headers": huge_headers, "endless": endless,
}


async def be_silent(reader, writer):
    await asyncio.sleep(FOREVER_S)


async def hang_up(reader, writer):
    # Not before the other side has noticed that it is connected.
    await reader.read(1)
    reset(writer)


def refused_socket():
    """A port that is ours, so that nobody else answers there, on which nothing listens."""
    taken = socket.socket()
    taken.bind((HOST, 0))
    return [taken]


def hole_socket():
    """A listener whose backlog is full: the system drops every further SYN."""
    listener = socket.socket()
    listener.bind((HOST, 0))
    listener.listen(0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    return [listener, *fillers]


def tls_context(directory, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    file = os.path.join(directory, certificate)
    context.load_cert_chain(file + ".crt", file + ".key")
    return context


def tls_contexts(directory):
    files = {"tls": "server", "expired": "expired", "wronghost": "wronghost",
             "unknown": "unknown"}
    return {name: tls_context(directory, file) for name, file in files.items()}


def refusing_contexts(directory):
    client, client12 = tls_context(directory, "server"), tls_context(directory, "server")
    for context in client, client12:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(os.path.join(directory, "ca.crt"))
    client12.maximum_version = ssl.TLSVersion.TLSv1_2
    nocipher = tls_context(directory, "server")
    nocipher.maximum_version = ssl.TLSVersion.TLSv1_2
    nocipher.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")  # its key is no RSA key
    return {"client": client, "client12": client12, "nocipher": nocipher}


def refuse_handshake(context, connection):
    options = {"server_side": True, "do_handshake_on_connect": False}
    with context.wrap_socket(connection, **options) as refused:
        try:
            refused.do_handshake()
        except ssl.SSLError:
            # Closing with something unread would reset, which may overtake the alert.
            refused.shutdown(socket.SHUT_WR)
            while refused.recv(65536):
                pass


def refuse_handshakes(context, listener):
    while True:
        connection, _ = listener.accept()
        connection.settimeout(HANDSHAKE_S)
        with contextlib.suppress(OSError):
            refuse_handshake(context, connection)


def refusing_listener(context):
    """asyncio resets a failed handshake and keeps the alert to itself, so a thread does it."""
    listener = socket.create_server((HOST, 0), backlog=128)
    threading.Thread(target=refuse_handshakes, args=(context, listener), daemon=True).start()
    return listener.getsockname()[1]


async def listen(handler, **options):
    server = await asyncio.start_server(handler, HOST, 0, backlog=1024, **options)
    return server.sockets[0].getsockname()[1]


async def until_input_ends():
    """The test that started us holds the other end: when it dies, so do we."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    await reader.read()


async def run(certificates):
    receiver = Receiver()
    refused, hole = refused_socket(), hole_socket()
    ports = {
        "http": await listen(receiver.serve), "silent": await listen(be_silent),
        "hangup": await listen(hang_up),
        "refused": refused[0].getsockname()[1], "hole": hole[0].getsockname()[1],
    }
    if certificates:
        for name, context in tls_contexts(certificates).items():
            ports[name] = await listen(receiver.serve, ssl=context)
        for name, context in refusing_contexts(certificates).items():
            ports[name] = refusing_listener(context)
    print(json.dumps(ports), flush=True)
    await until_input_ends()
    # At once, without waiting for those who stall.
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--certificates", help="a directory that mkca filled")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.certificates))


if __name__ == "__main__":
    main()
