"""A client of the web page without a browser: it sends what a browser would not."""

import http.client
import json
import secrets
from urllib.parse import urlsplit

FILE_DATA = {"_type": "gradio.FileData"}


class Client:
    """One visitor. With `cookie`, it is known by that; else by its address."""

    def __init__(self, url, cookie=None, timeout=60):
        self.address = urlsplit(url).netloc
        self.cookie = cookie
        self.timeout = timeout
        self.session = secrets.token_hex(6)

    def connection(self):
        """A new connection to the page."""
        return http.client.HTTPConnection(self.address, timeout=self.timeout)

    def request(self, method, path, body=None, **headers):
        """Returns status, headers and content of an answer."""
        connection = self.connection()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            headers["Cookie"] = f"s2f_visitor={self.cookie}"
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def upload(self, content, name="voice.wav"):
        """Returns status and content of an answer to an upload."""
        status, _, answer = self.request(
            "POST",
            "/gradio_api/upload",
            form(content, name),
            Content_Type="multipart/form-data; boundary=xyz",
        )
        return status, answer

    def key_of(self, content, name="voice.wav"):
        """Uploads; returns the key."""
        status, answer = self.upload(content, name)
        assert status == 200, answer
        return json.loads(answer)[0]

    def functions(self):
        """Number of each event of the page by its name; the first of equal names."""
        names = {}
        _, _, config = self.request("GET", "/config")
        for event in json.loads(config)["dependencies"]:
            names.setdefault(event["api_name"], event["id"])
        return names

    def join(self, number, data, **more):
        """Returns status and content of an answer to an event."""
        event = {"data": data, "fn_index": number, "session_hash": self.session, **more}
        status, _, answer = self.request(
            "POST",
            "/gradio_api/queue/join",
            json.dumps(event),
            Content_Type="application/json",
        )
        return status, answer.decode()

    def messages(self):
        """All messages about this session's events, until the last is done."""
        _, _, lines = self.request(
            "GET", f"/gradio_api/queue/data?session_hash={self.session}"
        )
        return [
            json.loads(line[5:])
            for line in lines.splitlines()
            if line.startswith(b"data:")
        ]

    def result(self):
        """The last message about this session's event."""
        return [m for m in self.messages() if m["msg"] == "process_completed"][-1]


def recording(path, **more):
    """A recording as a browser names it."""
    return {"path": path, "meta": FILE_DATA, **more}


def form(content, name="voice.wav"):
    """A form with one file."""
    head = '--xyz\r\nContent-Disposition: form-data; name="files"; '
    head += f'filename="{name}"\r\n\r\n'
    return head.encode() + content + b"\r\n--xyz--\r\n"
