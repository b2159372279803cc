"""A gateway before somebody's server, as a team would have one: it asks for a password if it was told to, counts what
passes, and can be made to fail or to lie.

SPDX-License-Identifier: Apache-2.0
"""
import http.client
import http.server
import threading


class Gateway:
    """Passes everything on. Set between requests: authorization (the header that is demanded), fail (path -> a status
    or None), lie (path, bytes -> bytes), after (called with the number of requests so far)."""

    def __init__(self, port):
        gateway = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                status, kind, data = gateway.answer(self)
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:  # whoever asked was killed meanwhile
                    self.close_connection = True

            do_GET = do_POST = pass_on

            def log_message(self, *_):
                pass

        self.port = port
        self.paths = []
        self.reset()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def reset(self):
        self.authorization = None
        self.fail = lambda path: None
        self.lie = lambda path, data: data
        self.after = lambda count: None

    def answer(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length", "0")))
        self.paths.append(request.path)
        self.after(len(self.paths))
        if self.authorization and request.headers.get("Authorization") != self.authorization:
            return 401, "text/html", b"<h1>Who are you?</h1>"
        status = self.fail(request.path)
        if status:
            return status, "text/html", b"<h1>Out of order</h1>"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(request.command, request.path, body, {"Content-Type": "application/json"})
            came = connection.getresponse()
            return came.status, came.headers.get("Content-Type", "text/plain"), self.lie(request.path, came.read())
        finally:
            connection.close()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
