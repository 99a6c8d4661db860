"""A TCP relay on loopback that keeps what passes, so that a test can look at handshakes as a third party does."""

import socket
import socketserver
import threading

from wire import split_address


class Relay:
    """In front of `address`. `connections`: of each that has ended, the bytes (from the client, from the server)."""

    def __init__(self, address):
        relay = self
        self.connections, self._open, self._ended = [], 0, threading.Condition()

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with relay._ended:
                    relay._open += 1
                with socket.create_connection(split_address(address)) as server:
                    back = bytearray()
                    returning = threading.Thread(target=pass_on, args=(server, self.request, back))
                    returning.start()
                    forth = pass_on(self.request, server, bytearray())
                    returning.join()
                with relay._ended:
                    relay.connections.append((bytes(forth), bytes(back)))
                    relay._open -= 1
                    relay._ended.notify_all()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = "127.0.0.1:%d" % self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def forget(self):
        """What has passed until now. A command may end before its connection has ended here."""
        with self._ended:
            if not self._ended.wait_for(lambda: self._open == 0, 40):
                raise AssertionError("a connection does not end")
            self.connections.clear()

    def take(self):
        """The bytes of the only connection since the last call, once it has ended."""
        with self._ended:
            if not self._ended.wait_for(lambda: self.connections, 40):
                raise AssertionError("no connection has ended")
            [both] = self.connections
            self.connections.clear()
            return both


def pass_on(source, sink, kept):
    try:
        while data := source.recv(65536):
            kept += data
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other direction ends too
    return kept


def client_hello_extensions(data):
    """Types of the extensions in the ClientHello that these bytes begin with (RFC 8446, section 4.1.2)."""
    position = 5 + 4 + 2 + 32  # record and message header, version, random
    position += 1 + data[position]  # session id
    position += 2 + int.from_bytes(data[position:position + 2], "big")  # cipher suites
    position += 1 + data[position]  # compression
    end = position + 2 + int.from_bytes(data[position:position + 2], "big")
    position += 2
    types = []
    while position < end:
        types.append(int.from_bytes(data[position:position + 2], "big"))
        position += 4 + int.from_bytes(data[position + 2:position + 4], "big")
    return types
