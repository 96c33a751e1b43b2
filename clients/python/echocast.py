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
import io
import json
import os
import random
import socket
import ssl
import struct
import threading
import time
import urllib.parse
from typing import Any, BinaryIO, Callable, Deque, Iterable, Iterator, Optional, Sequence, Union

__all__ = ["Gateway", "Conversation", "Stream", "GatewayError"]

Audio = Union[bytes, bytearray, memoryview, BinaryIO, Iterable[bytes]]

_BLOCK = 64 * 1024
_FROM_NOW_ON = 2**53 - 1  # an id of an event that is never reached
_CONNECT_TIMEOUT = 10.0  # seconds
_LOST_TIMEOUT = 30.0  # seconds without any node that answers
_LOST_PAUSE = 0.2
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0  # between attempts of a stream to connect
_ON_THE_WAY = 1 << 20  # bytes that the gateway may not have received before write waits
# Codes of closed connections that would be closed again: the conversation has ended, or a
# message is wrong.
_FINAL_CODES = (1000, 1002, 1003, 1007, 1008, 1009)


class GatewayError(Exception):
    """The gateway refused a request. `problem` is its answer (RFC 9457)."""

    def __init__(self, problem: dict[str, Any]):
        super().__init__(problem.get("detail") or problem.get("title") or "the gateway refuses")
        self.problem = problem


class Gateway:
    """A gateway. `token` is a bearer token, if the gateway needs one.

    If it has several nodes, give all their addresses: when one is lost, the next is asked.
    """

    def __init__(self, url: Union[str, Sequence[str]] = "http://127.0.0.1:8880", token: str = ""):
        self._urls = [urllib.parse.urlsplit(one) for one in ([url] if isinstance(url, str) else url)]
        for one in self._urls:
            if one.scheme not in ("http", "https") or not one.hostname:
                raise ValueError(f"{one.geturl()!r} is no http:// or https:// address")
        self._at = 0  # the node that is asked
        self.token = token

    @property
    def _url(self) -> urllib.parse.SplitResult:
        return self._urls[self._at % len(self._urls)]

    def _next(self) -> None:
        """Asks the next node after one was lost."""
        self._at += 1

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
            # read1 returns what has arrived, so a pipe's samples are sent at once.
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
        except BaseException as e:
            connection.close()
            if isinstance(e, (OSError, http.client.HTTPException)):
                self._next()
            raise

    def _connect(self, plain: Any, secure: Any) -> Any:
        kind = secure if self._url.scheme == "https" else plain
        return kind(self._url.hostname, self._url.port)

    def _dial(self) -> tuple[socket.socket, str]:
        """Connects; until the caller lifts it, _CONNECT_TIMEOUT applies."""
        secure = self._url.scheme == "https"
        port = self._url.port or (443 if secure else 80)
        host = self._url.hostname or ""
        connection = socket.create_connection((host, port), _CONNECT_TIMEOUT)
        if secure:
            connection = ssl.create_default_context().wrap_socket(connection, server_hostname=host)
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
    """Ignores errors of a lost connection, and of a node that holds no conversation yet."""
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
        after = options.pop("after", _FROM_NOW_ON)

        def dial(seen: int) -> _WebSocket:
            path = f"{self._path}/socket{_query({'format': format, 'after': seen, **options})}"
            for _ in self.gateway._urls[1:]:
                try:
                    return _WebSocket(self.gateway, path, self.token)
                except OSError:
                    self.gateway._next()
            return _WebSocket(self.gateway, path, self.token)

        return Stream(dial, after)


def _query(options: dict[str, Any]) -> str:
    given = {name: value for name, value in options.items() if value is not None}
    return "?" + urllib.parse.urlencode(given) if given else ""


class _Speech:
    """An utterance that is not over."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.key = os.urandom(16).hex()  # the gateway begins an utterance with the same key once
        self.options = options
        self.id = ""  # once it is accepted
        self.receipt: Optional[dict[str, Any]] = None
        self.error: Optional[Exception] = None
        self.over = threading.Event()
        self.has_ended = False  # no more audio follows
        # Audio and names of marks that the gateway may not have received.
        self.sent: Deque[Union[bytes, str]] = collections.deque()
        self.size = 0  # bytes of them
        self.bytes = self.marks = 0  # what was received before them
        # Of the current connection:
        self.socket: Optional[_WebSocket] = None
        self.accepted: Optional[dict[str, Any]] = None
        self.position = 0  # in sent
        self.end_was_sent = False

    def add(self, part: Union[bytes, str]) -> None:
        if self.over.is_set():
            return
        self.sent.append(part)
        if not isinstance(part, str):
            self.size += len(part)

    def received(self, count: int, marks: int = 0) -> None:
        """Forgets what the gateway has received."""
        while self.sent:
            part = self.sent[0]
            if isinstance(part, str):
                # A mark before audio that was received was received too.
                if self.bytes >= count and self.marks >= marks:
                    return
                self.marks += 1
            else:
                n = min(len(part), count - self.bytes)
                if n <= 0:
                    return
                self.bytes += n
                self.size -= n
                if n < len(part):
                    self.sent[0] = part[n:]
                    return
            self.sent.popleft()
            self.position = max(self.position - 1, 0)

    def finish(self, error: Optional[Exception] = None) -> None:
        self.error = error
        self.sent.clear()
        self.size = 0
        self.over.set()

    def order(self) -> tuple[int, bytes]:
        """What begins it, or continues it on another connection."""
        if self.id:
            return _order("continue", utterance=self.id)
        return _order("start", key=self.key, **self.options)

    def next(self) -> Optional[tuple[int, bytes]]:
        """The next message that was not sent on this connection."""
        if self.position < len(self.sent):
            part = self.sent[self.position]
            self.position += 1
            return _order("mark", name=part) if isinstance(part, str) else (2, part)
        if self.has_ended and not self.end_was_sent:
            self.end_was_sent = True
            return _order("end")
        return None


class _Interrupt:
    """An interrupt that is not answered yet."""

    socket: Optional[_WebSocket] = None  # on which it was sent


class _Hearing:
    """A command to listen."""

    def __init__(self, on_audio: Callable[[bytes], Any], options: dict[str, Any]) -> None:
        self.on_audio, self.options = on_audio, options
        self.begun: Optional[dict[str, Any]] = None
        self.heard_at = 0.0  # when the last audio came; 0: it has not begun
        self.error: Optional[Exception] = None
        self.over = threading.Event()

    def finish(self, error: Optional[Exception] = None) -> None:
        self.error = error
        self.over.set()


def _order(kind: str, **fields: Any) -> tuple[int, bytes]:
    return 1, json.dumps({"type": kind, **fields}).encode()


class Stream:
    """A WebSocket of a conversation, for audio that is spoken while you make it. `with` closes it.

    One thread writes. `marks` holds the marks that were passed so far, in order, and
    `lost` how many seconds of what was listened to were lost.

    When the connection is lost, it connects again, to the next address of the gateway if
    there are several, and continues: events by their ids, audio from the byte that the
    gateway has, so that nothing is lost or said twice. What a lost node may have said twice
    is in "takeovers" of the receipt. After 30 s without a connection, what is open fails.
    """

    def __init__(self, dial: Callable[[int], _WebSocket], after: int = _FROM_NOW_ON):
        self.marks: list[dict[str, Any]] = []
        self.lost = 0.0
        self._dial, self._seen = dial, after  # the last event
        self._lock = threading.Condition()  # guards what follows
        self._speech: Optional[_Speech] = None  # that takes audio
        self._entries: list[Union[_Speech, _Interrupt]] = []  # that are not over, in order
        self._asked: Deque[Union[_Speech, _Hearing]] = collections.deque()  # not answered on this connection
        self._orders: Deque[tuple[int, bytes]] = collections.deque()  # besides the entries
        self._open: dict[str, _Speech] = {}
        self._early: list[tuple[str, dict[str, Any]]] = []  # of utterances that may be accepted yet
        self._hearing: Optional[_Hearing] = None  # that gets audio
        self._wanted: Optional[_Hearing] = None  # that was asked for last
        self._pausing = ""  # the last of pause and resume, until something later is answered
        self._is_idle = False  # everything was sent
        self._is_leaving = False
        self._closed: Optional[Exception] = None
        self._lost_at = 0.0  # when the connection was lost without progress since; 0: it was not
        self._pause = _FIRST_PAUSE
        self._socket: Optional[_WebSocket] = dial(after)
        self._opened_at = time.monotonic()
        self._threads = [
            threading.Thread(target=run, name="echocast stream", daemon=True) for run in (self._listen, self._send)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def start(self, **options: Any) -> None:
        """Begins an utterance, with name=, text= and queue=. Without it, the first audio begins one."""
        with self._lock:
            self._check()
            self._leave()
            self._speech = _Speech(options)
            self._entries.append(self._speech)
            self._wake()

    def write(self, audio: Union[bytes, bytearray, memoryview]) -> None:
        """Sends audio; waits while there is no room for more."""
        if self._speech is None:
            self.start()
        speech = self._speech
        assert speech is not None
        view = memoryview(audio).cast("B")
        for at in range(0, len(view), _BLOCK):
            with self._lock:
                self._check(speech)
                speech.add(bytes(view[at : at + _BLOCK]))
                self._wake()
                self._lock.wait_for(lambda: speech.size <= _ON_THE_WAY or self._closed)
        self._check(speech)

    def mark(self, name: str) -> None:
        """Marks the end of the audio so far."""
        with self._lock:
            self._check()
            if self._speech is None:
                raise ValueError("a mark comes after audio")
            self._speech.add(name)
            self._wake()

    def end(self, timeout: Optional[float] = None) -> dict[str, Any]:
        """Ends the utterance, and returns its receipt when the replica has said it.

        If nodes were lost meanwhile, "takeovers" of the receipt name what may have been heard twice.
        """
        with self._lock:
            speech = self._speech
            if speech is None:
                raise ValueError("there is no utterance to end")
            self._leave()
            self._wake()
        if not speech.over.wait(timeout):
            raise TimeoutError("the replica has not said it in time")
        if speech.error or speech.receipt is None:
            raise speech.error or ConnectionError("the utterance ended without a receipt")
        return speech.receipt

    def interrupt(self) -> None:
        """Stops the replica, and drops what waits. If the connection is lost before the answer, it is sent again."""
        with self._lock:
            self._check()
            self._leave()
            self._entries.append(_Interrupt())
            self._wake()

    def listen(self, on_audio: Callable[[bytes], Any], timeout: Optional[float] = None, **options: Any) -> dict[str, Any]:
        """Hears what is said in the room, and returns what it hears, such as the rate, once that has begun.

        on_audio is called in a thread of the stream with signed 16-bit little-endian mono
        samples: of the user, the replica or all (from_=), at rate= (24000). The conversation
        has to be created with hear=. What was listened to before ends. If on_audio raises, the
        stream ends with that error.
        """
        hearing = _Hearing(on_audio, {name.rstrip("_"): value for name, value in options.items()})
        with self._lock:
            self._check()
            self._wanted = hearing
            if self._socket:
                self._hear(hearing)
        if not hearing.over.wait(timeout):
            raise TimeoutError("the gateway has not answered in time")
        if hearing.error or hearing.begun is None:
            raise hearing.error or ConnectionError("the connection ended")
        return hearing.begun

    def unlisten(self) -> None:
        """Ends the listening."""
        with self._lock:
            self._wanted = self._hearing = None
            if self._socket:
                self._orders.append(_order("unlisten"))
                self._wake()

    def close(self) -> None:
        """Closes the connection. An utterance that was not ended is cut off."""
        with self._lock:
            self._lock.wait_for(lambda: self._is_idle or not self._socket or self._closed, _CONNECT_TIMEOUT)
            self._is_leaving = True
            socket = self._socket
            self._wake()
        if socket:
            socket.close()
        for thread in self._threads:
            thread.join(_CONNECT_TIMEOUT)

    # The lock is held from here to _forget.

    def _check(self, speech: Optional[_Speech] = None) -> None:
        error = (speech and speech.error) or self._closed
        if error:
            raise error

    def _wake(self) -> None:
        self._is_idle = False
        self._lock.notify_all()

    def _leave(self) -> None:
        if self._speech:
            self._speech.has_ended = True
            self._forget(self._speech)
        self._speech = None

    def _hear(self, hearing: _Hearing) -> None:
        self._asked.append(hearing)
        self._orders.append(_order("listen", **hearing.options))
        self._wake()

    def _forget(self, speech: _Speech) -> None:
        """Forgets an utterance that is over, and whose end was sent if it was refused."""
        if speech.over.is_set() and speech.has_ended and (speech.end_was_sent or not speech.error):
            self._open.pop(speech.id, None)
            if speech in self._entries:
                self._entries.remove(speech)

    def _send(self) -> None:
        """Sends what there is, on one connection after the other."""
        while True:
            with self._lock:
                message = None
                while not message:
                    if self._closed or self._is_leaving:
                        return
                    socket = self._socket
                    message = self._next(socket) if socket else None
                    if not message:
                        self._is_idle = self._socket is not None
                        self._lock.notify_all()
                        self._lock.wait()
            try:
                socket.send(*message)
            except OSError:
                socket.shut()  # the other thread connects again

    def _next(self, socket: _WebSocket) -> Optional[tuple[int, bytes]]:
        """The next message of those that were not sent on this connection, if it may be sent yet."""
        if self._orders:
            return self._orders.popleft()
        for at, entry in enumerate(list(self._entries)):
            if isinstance(entry, _Interrupt):
                if entry.socket is not socket:
                    entry.socket = socket
                    # The gateway has obeyed it if it has begun the utterance after it.
                    keys = [later.key for later in self._entries[at:] if isinstance(later, _Speech)]
                    return _order("interrupt", key=keys[0] if keys else "")
                continue
            if entry.socket is not socket:
                is_new = entry.socket is None
                entry.socket, entry.position, entry.end_was_sent = socket, 0, False
                entry.accepted = {"open": True} if is_new else None
                if entry.error:  # this connection knows nothing of it
                    entry.end_was_sent = True
                    self._forget(entry)
                    continue
                self._asked.append(entry)
                return entry.order()
            if entry.accepted is None and not entry.error:
                return None  # what the gateway has is not known yet
            if message := entry.next():
                self._forget(entry)
                return message
        return None

    def _listen(self) -> None:
        """Reads what comes, on one connection after the other."""
        while socket := self._socket:
            error: Exception = ConnectionError("the connection ended")
            try:
                for is_text, data in socket.messages():
                    if is_text:
                        message = json.loads(data)
                        with self._lock:
                            self._told(message.get("id", 0), message["type"], message["data"])
                            self._lock.notify_all()
                    elif failed := self._heard(data):
                        socket.shut()
                        return self._end(failed)
            except (OSError, ValueError) as e:
                error = e
            socket.shut()
            with self._lock:
                self._socket = None
                self._asked.clear()
                self._orders.clear()
                if time.monotonic() - self._opened_at > _LOST_TIMEOUT:
                    self._progress()
                is_over = self._is_leaving or socket.code in _FINAL_CODES
                self._wake()
            if is_over:
                return self._end(error)
            self._connect(error)

    def _connect(self, error: Exception) -> None:
        """Connects again. If that fails for long, or is refused, the stream ends."""
        self._lost_at = self._lost_at or time.monotonic()
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._is_leaving, self._pause * random.uniform(0.5, 1.5))
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            if self._is_leaving or time.monotonic() - self._lost_at > _LOST_TIMEOUT:
                return self._end(error)
            try:
                socket = self._dial(self._seen)
                break
            except (OSError, http.client.HTTPException, GatewayError) as e:
                if isinstance(e, GatewayError) and e.problem.get("status", 0) < 500:
                    return self._end(e)
        with self._lock:
            self._socket, self._opened_at = socket, time.monotonic()
            if self._pausing:
                self._orders.append(_order(self._pausing))
            if self._wanted:
                self._hear(self._wanted)
            self._wake()
            is_leaving = self._is_leaving
        if is_leaving:
            socket.close()

    def _end(self, error: Exception) -> None:
        with self._lock:
            self._closed = error
            for entry in self._entries:
                if isinstance(entry, _Speech) and not entry.over.is_set():
                    entry.finish(error)
            if self._wanted and not self._wanted.over.is_set():
                self._wanted.finish(error)
            self._wake()

    def _heard(self, data: bytes) -> Optional[Exception]:
        """Passes audio on, and returns what on_audio raised."""
        if hearing := self._hearing:
            hearing.heard_at = time.monotonic()
            try:
                hearing.on_audio(data)
            except Exception as e:
                return e
        return None

    # The lock is held in all that follow.

    def _progress(self) -> None:
        """The connection is of use: the next loss is another one."""
        self._lost_at, self._pause = 0.0, _FIRST_PAUSE

    def _told(self, id: int, kind: str, data: dict[str, Any]) -> None:
        if id:
            if id <= self._seen < _FROM_NOW_ON:
                return
            self._seen = id
            self._progress()
        if kind == "connected":
            self._seen = min(self._seen, data["after"])
        elif kind == "received":
            self._progress()
            if data["utterance"] in self._open:
                self._open[data["utterance"]].received(data["bytes"])
        elif kind == "interrupted":
            self._interrupted()
        elif kind in ("accepted", "listening", "error") and self._asked:
            self._answered(self._asked.popleft(), kind, data)
        elif kind == "mark":
            self.marks.append(data)
        elif kind == "lost":
            self.lost += data["seconds"]
        elif kind in ("receipt", "utterance"):
            self._happened(kind, data)

    def _interrupted(self) -> None:
        self._pausing = ""
        for entry in self._entries:
            if isinstance(entry, _Interrupt):
                self._entries.remove(entry)
                return

    def _answered(self, asked: Union[_Speech, _Hearing], kind: str, data: dict[str, Any]) -> None:
        if kind == "error":
            asked.finish(GatewayError(data))
            if asked is self._wanted:
                self._wanted = self._hearing
        elif isinstance(asked, _Hearing):
            now = time.monotonic()
            if asked.heard_at:
                self.lost += now - asked.heard_at
            asked.heard_at, asked.begun, self._hearing = now, data, asked
            asked.finish()
        else:
            self._accepted(asked, data)

    def _accepted(self, speech: _Speech, data: dict[str, Any]) -> None:
        self._pausing = ""
        speech.id, speech.accepted = data["id"], data
        self._open[speech.id] = speech
        size = speech.size
        speech.received(data.get("bytes", 0), data.get("marks", 0))
        if speech.size < size:
            self._progress()
        if not data.get("open"):
            speech.sent.clear()
            speech.size, speech.end_was_sent = 0, True
        early, self._early = self._early, []
        for happened in early:
            self._happened(*happened)
        if data["phase"] == "over" and "receipt" in data and not speech.over.is_set():
            speech.receipt = data["receipt"]  # its events are not kept any more
            self._happened("utterance", data)

    def _happened(self, kind: str, data: dict[str, Any]) -> None:
        speech = self._open.get(data["id"] if kind == "utterance" else data["utterance"])
        if not speech:
            if any(isinstance(entry, _Speech) and not entry.id for entry in self._entries):
                self._early.append((kind, data))
        elif kind == "receipt":
            speech.receipt = data["receipt"]
        elif data["phase"] == "over":
            if speech.receipt and "takeovers" in data:
                speech.receipt = {**speech.receipt, "takeovers": data["takeovers"]}
            speech.finish()
            self._forget(speech)


class _WebSocket:
    """The client's side of RFC 6455, without extensions."""

    def __init__(self, gateway: Gateway, path: str, token: str):
        self._socket, host = gateway._dial()
        self._read = self._socket.makefile("rb")
        self._sending = threading.Lock()
        self.code = 1006  # with which the other side has closed it
        try:
            self._upgrade(gateway, host, path, token or gateway.token)
            self._socket.settimeout(None)
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
        head = [self._read.readline()]
        while head[-1].strip():
            head.append(self._read.readline())
        if not head[-1]:
            raise ConnectionError("the connection ended before the WebSocket was open")
        status = head[0].split(None, 2)
        headers = http.client.parse_headers(io.BytesIO(b"".join(head[1:])))
        if len(status) < 2 or status[1] != b"101":
            text = self._read.read(int(headers.get("Content-Length") or 0))
            try:
                raise GatewayError(json.loads(text))
            except ValueError:
                line = b" ".join(status[1:]).decode(errors="replace").strip()
                code = int(status[1]) if len(status) > 1 and status[1].isdigit() else 0
                raise GatewayError({"status": code, "detail": f"no WebSocket: {line}"})
        accept = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        if headers.get("Sec-WebSocket-Accept") != base64.b64encode(accept).decode():
            raise GatewayError({"detail": "the answer is not that of a WebSocket"})

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
                self.code = struct.unpack("!H", data[:2])[0] if len(data) > 1 else 1005
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

    def shut(self) -> None:
        """Ends the connection without a word: both threads notice."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is closed already

    def close(self) -> None:
        try:
            self.send(8, struct.pack("!H", 1000))
        except OSError:
            pass  # it is closed already
        self.shut()
        self._socket.close()
