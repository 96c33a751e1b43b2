"""Speaks audio through a live video replica, with a gateway (echocast serve).

It needs Python 3.9 or later and nothing else: copy this file beside your program.

    import echocast

    gateway = echocast.Gateway("http://127.0.0.1:8880")
    with gateway.create(to="rehearsal") as conversation:
        with open("speech.mp3", "rb") as speech:
            print(conversation.speak(speech)["receipt"]["outcome"])

        with conversation.connect(rate=16000) as stream:  # samples, while you make them
            stream.write(pcm)
            stream.mark("first sentence")
            print(stream.end()["outcome"])
"""

from __future__ import annotations

import base64
import collections
import hashlib
import http.client
import json
import os
import socket
import ssl
import struct
import threading
import time
import urllib.parse
from typing import Any, BinaryIO, Callable, Iterable, Iterator, Optional, Union

__all__ = ["Gateway", "Conversation", "Stream", "GatewayError"]

Audio = Union[bytes, bytearray, memoryview, BinaryIO, Iterable[bytes]]

_BLOCK = 64 * 1024
_FROM_NOW_ON = 2**53 - 1  # an id of an event that is never reached
_CONNECT_TIMEOUT = 10.0  # seconds
_LOST_TIMEOUT = 30.0  # seconds without any node that answers
_LOST_PAUSE = 0.2


class GatewayError(Exception):
    """The gateway refused a request. `problem` is its answer (RFC 9457)."""

    def __init__(self, problem: dict[str, Any]):
        super().__init__(problem.get("detail") or problem.get("title") or "the gateway refuses")
        self.problem = problem


class Gateway:
    """A gateway. `token` is a bearer token, if the gateway needs one."""

    def __init__(self, url: str = "http://127.0.0.1:8880", token: str = ""):
        self._url = urllib.parse.urlsplit(url)
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise ValueError(f"{url!r} is no http:// or https:// address")
        self.token = token

    def create(self, **spec: Any) -> Conversation:
        """Creates a conversation, such as create(to="rehearsal"), and waits until it has joined its room."""
        info = self.request("POST", "/v1/conversations", json.dumps(spec).encode())
        return Conversation(self, info["id"], info["token"])

    def list(self) -> list[dict[str, Any]]:
        """Lists the conversations that have not ended."""
        return self.request("GET", "/v1/conversations")["conversations"]

    def request(self, method: str, path: str, body: Optional[Audio] = None, token: str = "") -> Any:
        """Sends a request, and returns the decoded answer. An iterable body is sent piece by piece."""
        with self._open(method, path, body, token) as response:
            text = response.read()
            return json.loads(text) if text else None

    def _open(self, method: str, path: str, body: Optional[Audio], token: str) -> http.client.HTTPResponse:
        connection = self._connect(http.client.HTTPConnection, http.client.HTTPSConnection)
        chunked = body is not None and not isinstance(body, (bytes, bytearray, memoryview))
        headers = {"Transfer-Encoding": "chunked"} if chunked else {}
        if token or self.token:
            headers["Authorization"] = "Bearer " + (token or self.token)
        if hasattr(body, "read"):
            # read1 returns what is there: a pipe's samples are sent as they come.
            read = getattr(body, "read1", body.read)
            body = iter(lambda: read(_BLOCK), b"")
        try:
            try:
                connection.request(method, self._path(path), body, headers, encode_chunked=chunked)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it was refused before its end: the answer says why
            response = connection.getresponse()
            if response.status >= 400:
                raise GatewayError(_problem(response))
            return response
        except BaseException:
            connection.close()
            raise

    def _connect(self, plain: Any, secure: Any) -> Any:
        kind = secure if self._url.scheme == "https" else plain
        return kind(self._url.hostname, self._url.port)

    def _dial(self) -> tuple[socket.socket, str]:
        secure = self._url.scheme == "https"
        port = self._url.port or (443 if secure else 80)
        host = self._url.hostname or ""
        connection = socket.create_connection((host, port), _CONNECT_TIMEOUT)
        if secure:
            connection = ssl.create_default_context().wrap_socket(connection, server_hostname=host)
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, self._url.netloc.rpartition("@")[2]

    def _path(self, path: str) -> str:
        return self._url.path.rstrip("/") + path


def _problem(response: http.client.HTTPResponse) -> dict[str, Any]:
    text = response.read()
    try:
        problem = json.loads(text)
    except ValueError:
        problem = None
    if isinstance(problem, dict):
        return problem
    return {"status": response.status, "title": response.reason, "detail": text[:200].decode(errors="replace")}


def _check_lost(error: Exception) -> None:
    """Passes over a connection that was lost, and a node that holds no conversation yet."""
    if isinstance(error, GatewayError) and error.problem.get("status", 0) < 500:
        raise error


class Conversation:
    """A room with a replica. `with` ends the conversation."""

    def __init__(self, gateway: Gateway, id: str, token: str = ""):
        self.gateway, self.id, self.token = gateway, id, token
        self._path = "/v1/conversations/" + urllib.parse.quote(id, safe="")

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: Any) -> None:
        self.end()

    def _request(self, method: str, what: str, body: Optional[Audio] = None) -> Any:
        return self.gateway.request(method, self._path + what, body, self.token)

    def info(self) -> dict[str, Any]:
        """The state of the conversation."""
        return self._request("GET", "")

    def speak(self, audio: Audio, **options: Any) -> dict[str, Any]:
        """Speaks bytes, a file or an iterable of bytes, and returns the utterance with its receipt.

        Without format= the audio is what its first bytes say; samples without a header
        need format="s16le", rate= and channels=. Others are name=, text= and
        queue="queue", "replace" or "reject".
        """
        return self._request("POST", "/speech" + _query(options), audio)

    def say(self, text: str, queue: str = "queue") -> dict[str, Any]:
        """Lets the replica say a text in its own voice."""
        return self._request("POST", "/say", json.dumps({"text": text, "queue": queue}).encode())

    def interrupt(self) -> list[dict[str, Any]]:
        """Stops the replica, drops the waiting utterances, and returns the receipts."""
        return self._request("POST", "/interrupt")["receipts"]

    def pause(self) -> dict[str, Any]:
        return self._request("POST", "/pause")

    def resume(self) -> dict[str, Any]:
        """Continues from where the replica was last heard."""
        return self._request("POST", "/resume")

    def send(self, message: dict[str, Any]) -> None:
        """Sends another message of the Interactions Protocol."""
        self._request("POST", "/messages", json.dumps(message).encode())

    def end(self) -> None:
        """Interrupts what is spoken, leaves the room, and ends what was created for the conversation."""
        self._request("DELETE", "")

    def events(self, after: int = 0) -> Iterator[dict[str, Any]]:
        """Yields the events after an id, each with id, type and data, until the conversation ends.

        When the connection is lost, it connects again and continues after the last event, so
        none is lost or repeated.
        """
        has_ended = False
        while True:
            before = after
            try:
                for event in self._events(after):
                    after = max(after, event["id"])
                    yield event
            except (OSError, http.client.HTTPException, GatewayError) as e:
                _check_lost(e)
            if has_ended and after == before:
                return
            if after == before:
                time.sleep(_LOST_PAUSE)
            has_ended = has_ended or self._has_ended()

    def _has_ended(self) -> bool:
        give_up = time.monotonic() + _LOST_TIMEOUT
        while True:
            try:
                return self.info()["state"] == "ended"
            except (OSError, http.client.HTTPException, GatewayError) as e:
                _check_lost(e)
                if time.monotonic() > give_up:
                    raise
            time.sleep(_LOST_PAUSE)

    def _events(self, after: int) -> Iterator[dict[str, Any]]:
        path = f"{self._path}/events?after={after}"
        with self.gateway._open("GET", path, None, self.token) as response:
            fields: dict[str, str] = {}
            for line in response:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                    continue
                if "data" in fields:
                    yield {"id": int(fields.get("id", 0)), "type": fields["event"], "data": json.loads(fields["data"])}
                fields = {}

    def listen(self, **options: Any) -> Iterator[bytes]:
        """Yields what is said in the room, in real time, until the conversation ends.

        It yields signed 16-bit little-endian mono samples: of the user, the replica or all
        (from_=), at rate= (24000). The conversation has to be created with hear=.
        """
        options = {name.rstrip("_"): value for name, value in options.items()}
        path = f"{self._path}/listen{_query({**options, 'format': 's16le'})}"
        with self.gateway._open("GET", path, None, self.token) as response:
            odd = b""  # half a sample
            while block := response.read1(_BLOCK):
                block = odd + block
                whole = len(block) // 2 * 2
                odd = block[whole:]
                if whole:
                    yield block[:whole]

    def speak_as_user(self, audio: Audio, **options: Any) -> float:
        """In a rehearsal: lets the user say audio (as for speak), and returns its seconds when they have finished."""
        return self._request("POST", "/user" + _query(options), audio)["seconds"]

    def call_bot(self, url: str, **options: Any) -> dict[str, Any]:
        """Calls a voice bot made for the telephone, and returns when it was reached.

        Options are carrier="twilio" or "vonage", rate=, parameters= and on_hangup="end" or
        "keep". The conversation has to be created with hear="user" or "all". It needs the
        token of the gateway, not that of the conversation.
        """
        return self.gateway.request("POST", self._path + "/bot", json.dumps({"url": url, **options}).encode())

    def hang_up_bot(self) -> dict[str, Any]:
        """Ends the call of the bot; the conversation continues."""
        return self._request("DELETE", "/bot")

    def connect(self, format: str = "s16le", **options: Any) -> Stream:
        """Opens a WebSocket for audio in pieces, marks, interrupts, and the sound of the room."""
        options = {"format": format, "after": _FROM_NOW_ON, **options}
        return Stream(_WebSocket(self.gateway, f"{self._path}/socket{_query(options)}", self.token))


def _query(options: dict[str, Any]) -> str:
    given = {name: value for name, value in options.items() if value is not None}
    return "?" + urllib.parse.urlencode(given) if given else ""


class _Speech:
    """An utterance that is not over."""

    def __init__(self) -> None:
        self.receipt: Optional[dict[str, Any]] = None
        self.error: Optional[Exception] = None
        self.over = threading.Event()


class _Hearing:
    """A command to listen that is not answered yet."""

    def __init__(self, on_audio: Callable[[bytes], Any]) -> None:
        self.on_audio = on_audio
        self.begun: Optional[dict[str, Any]] = None
        self.error: Optional[Exception] = None
        self.over = threading.Event()


class Stream:
    """A WebSocket of a conversation, for audio that is spoken while you make it. `with` closes it.

    One thread writes. `marks` holds the marks that were passed so far, in order, and
    `lost` how many seconds of what was listened to were lost.
    """

    def __init__(self, socket: _WebSocket):
        self.marks: list[dict[str, Any]] = []
        self.lost = 0.0
        self._on_audio: Optional[Callable[[bytes], Any]] = None
        self._socket = socket
        self._speech: Optional[_Speech] = None  # that takes audio
        self._asked: collections.deque[Union[_Speech, _Hearing]] = collections.deque()  # not answered yet
        self._open: dict[str, _Speech] = {}
        self._early: list[tuple[str, dict[str, Any]]] = []  # of utterances that may be accepted yet
        self._listening = threading.Thread(target=self._listen, name="echocast stream", daemon=True)
        self._listening.start()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def start(self, **options: Any) -> None:
        """Begins an utterance, with name=, text= and queue=. Without it, the first audio begins one."""
        self._begin()
        self._order("start", **options)

    def write(self, audio: Union[bytes, bytearray, memoryview]) -> None:
        """Sends audio; waits while there is no room for more."""
        if self._speech is None:
            self._begin()
        if self._speech and self._speech.error:
            raise self._speech.error
        view = memoryview(audio).cast("B")
        for at in range(0, len(view), _BLOCK):
            self._socket.send(2, view[at : at + _BLOCK])

    def mark(self, name: str) -> None:
        """Marks the end of the audio so far."""
        self._order("mark", name=name)

    def end(self, timeout: Optional[float] = None) -> dict[str, Any]:
        """Ends the utterance, and returns its receipt when the replica has said it."""
        speech, self._speech = self._speech, None
        if speech is None:
            raise ValueError("there is no utterance to end")
        self._order("end")
        if not speech.over.wait(timeout):
            raise TimeoutError("the replica has not said it in time")
        if speech.error or speech.receipt is None:
            raise speech.error or ConnectionError("the utterance ended without a receipt")
        return speech.receipt

    def interrupt(self) -> None:
        """Stops the replica, and drops what waits."""
        self._speech = None
        self._order("interrupt")

    def listen(self, on_audio: Callable[[bytes], Any], timeout: Optional[float] = None, **options: Any) -> dict[str, Any]:
        """Hears what is said in the room, and returns what it hears, such as the rate, once that has begun.

        on_audio is called in a thread of the stream with signed 16-bit little-endian mono
        samples: of the user, the replica or all (from_=), at rate= (24000). The conversation
        has to be created with hear=. What was listened to before ends.
        """
        hearing = _Hearing(on_audio)
        self._asked.append(hearing)
        self._order("listen", **{name.rstrip("_"): value for name, value in options.items()})
        if not hearing.over.wait(timeout):
            raise TimeoutError("the gateway has not answered in time")
        if hearing.error or hearing.begun is None:
            raise hearing.error or ConnectionError("the connection ended")
        return hearing.begun

    def unlisten(self) -> None:
        """Ends the listening."""
        self._on_audio = None
        self._order("unlisten")

    def close(self) -> None:
        """Closes the connection. An utterance that was not ended is cut off."""
        self._socket.close()
        self._listening.join(_CONNECT_TIMEOUT)

    def _begin(self) -> None:
        self._speech = _Speech()
        self._asked.append(self._speech)

    def _order(self, kind: str, **fields: Any) -> None:
        self._socket.send(1, json.dumps({"type": kind, **fields}).encode())

    def _listen(self) -> None:
        error: Exception = ConnectionError("the connection ended")
        try:
            for is_text, data in self._socket.messages():
                if is_text:
                    message = json.loads(data)
                    self._told(message["type"], message["data"])
                elif self._on_audio:
                    self._on_audio(data)
        except (OSError, ValueError) as e:
            error = e
        for waiting in [*self._asked, *self._open.values()]:
            waiting.error = error
            waiting.over.set()

    def _told(self, kind: str, data: dict[str, Any]) -> None:
        if kind in ("accepted", "listening", "error") and self._asked:
            self._answered(self._asked.popleft(), kind, data)
        elif kind == "mark":
            self.marks.append(data)
        elif kind == "lost":
            self.lost += data["seconds"]
        elif kind in ("receipt", "utterance"):
            self._happened(kind, data)

    def _answered(self, asked: Union[_Speech, _Hearing], kind: str, data: dict[str, Any]) -> None:
        if kind == "error":
            asked.error = GatewayError(data)
            asked.over.set()
        elif isinstance(asked, _Hearing):
            self._on_audio, asked.begun = asked.on_audio, data
            asked.over.set()
        else:
            self._open[data["id"]] = asked
            early, self._early = self._early, []
            for happened in early:
                self._told(*happened)

    def _happened(self, kind: str, data: dict[str, Any]) -> None:
        id = data["id"] if kind == "utterance" else data["utterance"]
        if id not in self._open:
            if any(isinstance(asked, _Speech) for asked in list(self._asked)):
                self._early.append((kind, data))
        elif kind == "receipt":
            self._open[id].receipt = data["receipt"]
        elif data["phase"] == "over":
            self._open.pop(id).over.set()


class _WebSocket:
    """The client's side of RFC 6455, without extensions."""

    def __init__(self, gateway: Gateway, path: str, token: str):
        self._socket, host = gateway._dial()
        self._read = self._socket.makefile("rb")
        self._sending = threading.Lock()
        try:
            self._upgrade(gateway, host, path, token or gateway.token)
        except BaseException:
            self._socket.close()
            raise

    def _upgrade(self, gateway: Gateway, host: str, path: str, token: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {gateway._path(path)} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: echocast.v1",
        ]
        if token:
            lines.append(f"Authorization: Bearer {token}")
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        status = self._read.readline().split(None, 2)
        headers = http.client.parse_headers(self._read)
        if len(status) < 2 or status[1] != b"101":
            text = self._read.read(int(headers.get("Content-Length") or 0))
            try:
                raise GatewayError(json.loads(text))
            except ValueError:
                raise GatewayError({"detail": f"no WebSocket: {b' '.join(status[1:]).decode(errors='replace').strip()}"})
        accept = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        if headers.get("Sec-WebSocket-Accept") != base64.b64encode(accept).decode():
            raise GatewayError({"detail": "what answers is no WebSocket"})

    def send(self, opcode: int, data: Union[bytes, memoryview]) -> None:
        size = len(data)
        head = bytearray([0x80 | opcode])
        if size < 126:
            head += struct.pack("!B", 0x80 | size)
        elif size < 1 << 16:
            head += struct.pack("!BH", 0x80 | 126, size)
        else:
            head += struct.pack("!BQ", 0x80 | 127, size)
        key = os.urandom(4)
        mask = int.from_bytes((key * (size // 4 + 1))[:size], "big")
        masked = (int.from_bytes(data, "big") ^ mask).to_bytes(size, "big")
        with self._sending:
            self._socket.sendall(bytes(head) + key + masked)

    def messages(self) -> Iterator[tuple[bool, bytes]]:
        """The messages that come, and whether each is text, until the other side closes."""
        message, is_text = b"", True
        while True:
            first, second = self._bytes(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", self._bytes(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self._bytes(8))
            data = self._bytes(size)
            opcode = first & 0x0F
            if opcode == 8:
                return
            if opcode == 9:
                self.send(10, data)
            elif opcode in (0, 1, 2):
                message, is_text = message + data, is_text if opcode == 0 else opcode == 1
                if first & 0x80:
                    yield is_text, message
                    message = b""

    def _bytes(self, n: int) -> bytes:
        data = self._read.read(n)
        if len(data) < n:
            raise ConnectionError("the connection ended")
        return data

    def close(self) -> None:
        try:
            self.send(8, struct.pack("!H", 1000))
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is closed already
        self._socket.close()
