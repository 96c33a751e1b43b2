"""Speaks by a gateway whose address it is given, checks what comes back, and prints ok."""

import array
import json
import math
import socket
import sys
import threading
import time

import echocast


def tone(seconds, rate=24000):
    return array.array("h", (int(9000 * math.sin(i / 9)) for i in range(int(seconds * rate)))).tobytes()


def refused(call, status, word):
    try:
        call()
    except echocast.GatewayError as e:
        assert e.problem.get("status") == status and word in str(e), e.problem
    else:
        raise AssertionError(f"it is not refused: {word}")


def interrupt(conversation):
    """Interrupts an utterance, which may not have arrived yet."""
    while not conversation.interrupt():
        pass


gateway = echocast.Gateway(sys.argv[1] + "/")
refused(lambda: gateway.create(to="rehearsal", lead_seconds=-1), 422, "lead_seconds")
with gateway.create(to="rehearsal", label="test") as conversation:
    assert len(gateway.list()) == 1
    assert conversation.info()["label"] == "test"

    # A file, samples as they are made, and what is no audio.
    with open("../testdata/mp3/speech_24000hz_mono_cbr64.mp3", "rb") as speech:
        spoken = conversation.speak(speech, name="a file")
    assert spoken["receipt"]["outcome"] == "finished", spoken
    spoken = conversation.speak((tone(0.1, 16000) for _ in range(4)), format="s16le", rate=16000)
    assert spoken["receipt"]["samples"] == 9600, spoken
    refused(lambda: conversation.speak(b"hello, this is no audio"), 415, "")

    # A WebSocket: marks, receipts, an interrupt, a refusal.
    with conversation.connect(rate=24000) as stream:
        stream.start(name="a stream", text="one two")
        stream.write(tone(0.3))
        stream.mark("first")
        stream.write(tone(3))
        receipt = stream.end(timeout=60)
        assert receipt["outcome"] == "finished" and receipt["samples"] == 79200, receipt
        assert [(m["name"], m["seconds"], m["heard"]) for m in stream.marks] == [("first", 0.3, True)], stream.marks

        stream.write(tone(20))
        stopping = threading.Thread(target=interrupt, args=[conversation], daemon=True)
        stopping.start()
        receipt = stream.end(timeout=60)
        assert receipt["outcome"] == "interrupted", receipt
        stopping.join()

        # What is refused is not spoken, also where its audio follows.
        def speak_on():
            while True:
                stream.write(tone(0.1))
                conversation.info()

        stream.start(format="s99")
        refused(speak_on, 422, "format")
        refused(lambda: stream.end(timeout=60), 422, "format")
        stream.write(tone(0.1))
        receipt = stream.end(timeout=60)
        assert receipt["samples"] == 2400, receipt
    refused(lambda: echocast.Conversation(gateway, "none").connect(), 404, "conversation")

    # The user of a rehearsal speaks, and is heard.
    refused(lambda: next(conversation.listen()), 422, "hear")
    with gateway.create(to="rehearsal", hear="all") as heard:
        listening = heard.listen(from_="user", rate=16000)
        next(listening)  # silence: all that follows is heard
        speaking = threading.Thread(target=heard.speak_as_user, args=[tone(0.5)], kwargs={"format": "s16le"})
        speaking.start()
        loud = 0
        for samples in listening:
            loud += sum(abs(sample) > 1000 for sample in array.array("h", samples))
            if loud > 3000:
                break
        speaking.join()

        # The same by a WebSocket, while it speaks, and a bot hears it too.
        with heard.connect(rate=24000) as stream:
            enough, loud = threading.Event(), []

            def on_audio(pcm):
                assert len(pcm) <= 640, len(pcm)
                loud.extend(sample for sample in array.array("h", pcm) if abs(sample) > 1000)
                if len(loud) > 3000:
                    enough.set()

            refused(lambda: stream.listen(on_audio, timeout=60, rate=7), 422, "rate")
            begun = time.monotonic()
            heard_as = stream.listen(on_audio, timeout=60, from_="user", rate=16000)
            assert heard_as == {"from": "user", "format": "s16le", "rate": 16000, "channels": 1}, heard_as
            stream.write(tone(0.2))
            speaking = threading.Thread(target=heard.speak_as_user, args=[tone(0.5)], kwargs={"format": "s16le"})
            speaking.start()
            assert stream.end(timeout=60)["outcome"] == "finished"
            assert enough.wait(60)
            speaking.join()
            stream.unlisten()
            assert stream.lost <= time.monotonic() - begun, stream.lost

        refused(heard.hang_up_bot, 404, "bot")
        refused(lambda: conversation.call_bot(sys.argv[2]), 422, "hear")
        bot = heard.call_bot(sys.argv[2], carrier="vonage", rate=8000, on_hangup="keep")
        assert bot == {"carrier": "vonage", "state": "connected"}, bot
        refused(lambda: heard.call_bot(sys.argv[2]), 409, "hang it up")
        assert heard.hang_up_bot()["state"] == "stopped"
        assert heard.info()["state"] == "open"

    for event in conversation.events(after=1):
        if event["type"] == "receipt":
            break
    assert event["data"]["receipt"]["source"] == "a file", event
assert gateway.list() == []

# Each connection for events is cut after a few: all come, once, until the end.
ids = [event["id"] for event in conversation.events()]
assert len(ids) > 20 and ids == list(range(1, len(ids) + 1)), ids


class Early:
    """A WebSocket on which an utterance is over before it is accepted."""

    def __init__(self):
        self.started = threading.Event()

    def send(self, opcode, data):
        self.started.set()

    def messages(self):
        self.started.wait()
        yield True, b'{"type": "receipt", "data": {"utterance": "u", "receipt": {"outcome": "interrupted"}}}'
        yield True, b'{"type": "utterance", "data": {"id": "u", "phase": "over"}}'
        yield True, b'{"type": "accepted", "data": {"id": "u", "phase": "over"}}'
        self.started.clear()
        self.started.wait()

    code = 1000

    def shut(self):
        self.started.set()

    close = shut


with echocast.Stream(lambda after: Early()) as stream:
    stream.start()
    assert stream.end(timeout=60)["outcome"] == "interrupted"


class Loud(Early):
    """A WebSocket on which there is something to hear."""

    code = 1006

    def messages(self):
        self.started.wait()
        yield True, b'{"type": "listening", "data": {}}'
        yield False, bytes(2)
        self.started.clear()
        self.started.wait()


class Recorder:
    """A WebSocket that is lost after some orders."""

    code = 1006

    def __init__(self, most):
        self.most, self.orders, self.lost, self.sent = most, [], threading.Event(), threading.Event()

    def send(self, opcode, data):
        if opcode == 1:
            self.orders.append(json.loads(data))
        if len(self.orders) >= 2:
            self.sent.set()
        if len(self.orders) >= self.most:
            self.shut()

    def messages(self):
        self.lost.wait()
        yield from ()

    def shut(self):
        self.lost.set()

    close = shut


# An interrupt that is sent again names what was begun after it, which it does not stop.
first, second = Recorder(2), Recorder(3)
sockets = iter([first, second])
with echocast.Stream(lambda after: next(sockets)) as stream:
    stream.interrupt()
    stream.start()
    assert second.sent.wait(60)
    assert [order["type"] for order in second.orders] == ["interrupt", "start"], second.orders
    assert second.orders[0]["key"] == second.orders[1]["key"] == first.orders[1]["key"], second.orders

# What on_audio raises ends the stream: it is no lost connection, and nothing waits for ever.
for failure in OSError("the disk is full"), RuntimeError("a mistake"):

    def fail(pcm):
        raise failure

    with echocast.Stream(lambda after: Loud()) as stream:
        stream.listen(fail, timeout=60)
        try:
            stream.start()
            stream.end(timeout=60)
            raise AssertionError("it is not reported")
        except Exception as e:
            assert e is failure, e
# A node that takes a connection and does not answer is given up.
with socket.create_server(("127.0.0.1", 0)) as silent:
    echocast._CONNECT_TIMEOUT = 0.1
    url = f"http://127.0.0.1:{silent.getsockname()[1]}"
    try:
        echocast.Conversation(echocast.Gateway(url), "c").connect()
        raise AssertionError("it was not given up")
    except TimeoutError:
        pass
print("ok")
