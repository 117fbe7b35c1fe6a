#!/usr/bin/python3
"""A small order API that behaves like a real one, on loopback.

    sample_api.py [--port 8080] [--down NAME=SECONDS] [--limit NAME=N] [--hang NAME=N]

    POST /orders             accepts an order: {"sku": "TEA-1", "quantity": 2}
    PUT  /orders/ID          changes it
    GET  /orders             lists what it has
    PUT  /skus/SKU           adds to the catalogue; SKUs that begin with X- are unknown before

Orders need a sku, a quantity of at least 1 and, if there is an email, an @ in it; others are
refused with 422 in the form of RFC 9457.  A repeated Idempotency-Key gets its first answer again.
Each customer has paths of its own: /NAME/orders.  For a customer the API can be down for its
first SECONDS (503), take N requests a second (429 beyond that), or hang on every Nth order once.
"""

import argparse
import collections
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = "127.0.0.1"
HANG_S = 30
RETRY_AFTER_S = 2
MAINTENANCE = b"<html><head><title>Down for maintenance</title></head><body></body></html>"


class Shop:
    """The orders of one customer."""

    def __init__(self, name, options):
        self.name = name
        self.up_at = time.monotonic() + options.down.get(name, 0)
        self.limit = options.limit.get(name)
        self.hang_every = options.hang.get(name)
        self.orders = {}
        self.skus = set()
        self.answers = {}
        self.seen = set()
        self.second = collections.Counter()

    def is_down(self):
        return time.monotonic() < self.up_at

    def is_over_limit(self):
        if self.limit is None:
            return False
        now = int(time.monotonic())
        self.second[now] += 1
        return self.second[now] > self.limit

    def hangs_on(self, key):
        """Every Nth order, but not when it comes again."""
        if self.hang_every is None or key in self.seen:
            return False
        self.seen.add(key)
        return len(self.seen) % self.hang_every == 0

    def problems(self, order):
        if not isinstance(order, dict):
            return [("#", "must be an object")]
        found = []
        sku, quantity = order.get("sku"), order.get("quantity")
        if not isinstance(sku, str) or not sku:
            found.append(("#/sku", "is missing"))
        elif sku.startswith("X-") and sku not in self.skus:
            found.append(("#/sku", f"{sku} is not in the catalogue"))
        if not isinstance(quantity, int) or quantity < 1:
            found.append(("#/quantity", "must be at least 1"))
        if "@" not in str(order.get("email", "@")):
            found.append(("#/email", "is not an email address"))
        return found

    def accept(self, order):
        number = f"A-{1001 + len(self.orders)}"
        self.orders[number] = order
        return number


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    # Buffered, so that head and body leave together.
    wbufsize = 65536

    def answer(self, status, body, content_type="application/json", **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(data)

    def problem(self, status, title, errors=()):
        body = {"type": "about:blank", "title": title, "status": status,
                "errors": [{"pointer": pointer, "detail": detail} for pointer, detail in errors]}
        self.answer(status, body, "application/problem+json")

    def shop_and_words(self):
        words = self.path.partition("?")[0].strip("/").split("/")
        name = "" if words[0] in ("orders", "skus") else words.pop(0)
        return self.server.shop(name), words

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_GET(self):
        shop, words = self.shop_and_words()
        if words == ["orders"]:
            return self.answer(200, [{"id": key, **order} for key, order in shop.orders.items()])
        return self.problem(404, "There is nothing at this address")

    def do_HEAD(self):
        self.answer(200, b"")

    def do_POST(self):
        self.receive(["orders"])

    def do_PUT(self):
        shop, words = self.shop_and_words()
        if words[:1] == ["skus"] and len(words) == 2:
            self.body()
            shop.skus.add(words[1])
            return self.answer(200, {"sku": words[1]})
        return self.receive(words[:2] if words[:1] == ["orders"] else ["orders", "?"])

    def receive(self, expected):
        text = self.body()
        shop, words = self.shop_and_words()
        with self.server.lock:
            hangs = shop.hangs_on(self.headers.get("Idempotency-Key"))
        if hangs:
            time.sleep(HANG_S)
        with self.server.lock:
            self.judge(shop, words, expected, text)

    def judge(self, shop, words, expected, text):
        key = self.headers.get("Idempotency-Key")
        if words != expected:
            return self.problem(404, "There is nothing at this address")
        if shop.is_down():
            return self.answer(503, MAINTENANCE, "text/html")
        if shop.is_over_limit():
            return self.answer(429, {"message": f"at most {shop.limit} requests a second"},
                               Retry_After=RETRY_AFTER_S)
        if key in shop.answers:
            return self.answer(200, shop.answers[key], Idempotent_Replayed="true")
        return self.book(shop, words, key, text)

    def book(self, shop, words, key, text):
        try:
            order = json.loads(text)
        except ValueError:
            return self.problem(400, "The body is no JSON")
        problems = shop.problems(order)
        if problems:
            return self.problem(422, "The order is not valid", problems)
        if len(words) == 2:
            shop.orders[words[1]] = order
            return self.answer(200, {"id": words[1], "status": "changed"})
        body = {"id": shop.accept(order), "status": "accepted"}
        if key:
            shop.answers[key] = body
        return self.answer(201, body)

    def log_request(self, code="-", size="-"):
        print(f"{self.log_date_time_string()}  {code}  {self.command} {self.path}", flush=True)


class Server(ThreadingHTTPServer):
    """Keeps the shops."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, options):
        super().__init__((HOST, options.port), Handler)
        self.options = options
        self.lock = threading.RLock()
        self.shops = {}
        for name in {"", *options.down, *options.limit, *options.hang}:
            self.shop(name)

    def shop(self, name):
        with self.lock:
            if name not in self.shops:
                self.shops[name] = Shop(name, self.options)
            return self.shops[name]

    def handle_error(self, request, client_address):
        """A client that went away is no news."""


class NamedNumbers(argparse.Action):
    """NAME=N, which may be given more than once."""

    def __call__(self, parser, namespace, values, option_string=None):
        name, _, number = values.partition("=")
        if not number.isdigit():
            parser.error(f"{option_string} wants NAME=NUMBER, not {values}")
        getattr(namespace, self.dest)[name] = int(number)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--port", type=int, default=8080, help="0: any free one, which is printed")
    for name, what in (("down", "seconds at start"), ("limit", "requests a second"),
                       ("hang", "every Nth order")):
        parser.add_argument(f"--{name}", action=NamedNumbers, default={}, metavar="NAME=N", help=what)
    server = Server(parser.parse_args())
    print(f"listening on http://{HOST}:{server.server_port}/orders", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
