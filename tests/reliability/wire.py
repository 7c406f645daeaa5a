"""Proxies that cut the wire: one between psycopg and PostgreSQL, one between boto3 and the store."""

import contextlib
import http.client
import socket
import struct
import threading
from collections import defaultdict
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close by RST
_WRITES = (b"INSERT INTO userimages", b"UPDATE userimages", b"DELETE FROM userimages")


def cut(connection: socket.socket) -> None:
    """Break a connection, so that both sides notice at once."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


class DatabaseProxy:
    """A TCP port in front of PostgreSQL's socket, which cuts the connection around chosen commits.

    A commit is a COMMIT, or a statement that writes outside of a transaction. ``plan`` says for each one to come:
    None, ``"before"`` (the server never sees it), ``"at"`` (it is sent, and the connection is cut at once) or
    ``"after"`` (it is done, and the answer is lost).
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.plan: list[str | None] = []
        self.cuts = 0
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)

    def close(self) -> None:
        """Close everything and wait for it."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            cut(each)
        for thread in self._threads:
            thread.join()

    def _start(self, target: Any, *args: Any) -> None:
        thread = threading.Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._path)
                self._sockets += [client, server]
                answers = {"pass": True, "in transaction": False}
                self._start(self._forward_questions, client, server, answers)
                self._start(self._forward_answers, client, server, answers)

    def _forward_questions(self, client: socket.socket, server: socket.socket, answers: dict[str, bool]) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                how = self.plan.pop(0) if _commits(data, answers) and self.plan else None
                self.cuts += how is not None
                if how == "before":
                    break
                answers["pass"] = how != "after"
                server.sendall(data)
                if how == "at":
                    break
        cut(client)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_WR)

    def _forward_answers(self, client: socket.socket, server: socket.socket, answers: dict[str, bool]) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if not answers["pass"]:
                    break
                client.sendall(data)
        cut(client)
        cut(server)


def _commits(data: bytes, state: dict[str, bool]) -> bool:
    """Tell whether *data* makes something durable, and keep in *state* whether a transaction is open."""
    if b"BEGIN" in data:
        state["in transaction"] = True
    elif b"COMMIT\0" in data or b"ROLLBACK\0" in data:
        state["in transaction"] = False
        return b"COMMIT\0" in data
    return not state["in transaction"] and any(verb in data for verb in _WRITES)


class StoreProxy:
    """An HTTP port in front of an S3 server, which treats chosen requests badly.

    ``plan[method]`` says for each request of that method to come: None, ``"cut before"``, ``"cut in the middle"`` of
    its body, ``"cut after"`` (it is done, and the answer is lost), ``"cut the answer"`` after half of it, or a status
    that is answered in the store's place.
    """

    def __init__(self, endpoint: str) -> None:
        self.upstream = endpoint.removeprefix("http://")
        self.plan: dict[str, list[str | None]] = defaultdict(list)
        self.faults = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Forward, self))
        self._server.daemon_threads = False
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=partial(self._server.serve_forever, poll_interval=0.01))
        self._thread.start()

    def next_fault(self, method: str) -> str | None:
        """Take the next entry of the plan."""
        fault = self.plan[method].pop(0) if self.plan[method] else None
        self.faults += fault is not None
        return fault

    def close(self) -> None:
        """Stop, and wait for what is under way."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Forward(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5

    def __init__(self, proxy: StoreProxy, *args: Any) -> None:
        self._proxy = proxy
        super().__init__(*args)

    def do_any(self) -> None:
        """Forward one request, or do what the plan says."""
        self.close_connection = True
        fault = self._proxy.next_fault(self.command)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault == "cut before":
            return cut(self.connection)
        if fault and fault.isdigit():
            return self._answer(int(fault), {}, b"")
        upstream = http.client.HTTPConnection(self._proxy.upstream, timeout=10)
        with contextlib.closing(upstream):
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders()
            if fault == "cut in the middle":
                upstream.send(body[: len(body) // 2])
                return cut(self.connection)
            upstream.send(body)
            answer = upstream.getresponse()
            content = answer.read()
            if fault == "cut after":
                return cut(self.connection)
            return self._answer(answer.status, dict(answer.getheaders()), content, half=fault == "cut the answer")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_any  # noqa: N815

    def _answer(self, status: int, headers: dict[str, str], content: bytes, *, half: bool = False) -> None:
        self.send_response_only(status)
        length = headers.pop("Content-Length", str(len(content)))
        hop_by_hop = {"Connection", "Transfer-Encoding", "Keep-Alive"}
        for name, value in headers.items():
            if name not in hop_by_hop:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.send_header("Connection", "close")
        self.end_headers()
        if half:
            self.wfile.write(content[: len(content) // 2])
            return cut(self.connection)
        self.wfile.write(content)
        return None

    def log_message(self, *_: object) -> None:
        """Say nothing."""
