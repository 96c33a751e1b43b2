"""Speaks by a gateway whose WebSockets are cut again and again, checks that all is said once and
told once, and prints ok."""

import array
import math
import sys
import time

import echocast

RATE = 48000


def tone(seconds):
    return array.array("h", (int(9000 * math.sin(i / 9)) for i in range(int(seconds * RATE)))).tobytes()


class Stream(echocast.Stream):
    """Notes the ids of events."""

    def _told(self, id, kind, data):
        before = self._seen
        super()._told(id, kind, data)
        if id and self._seen != before:
            ids.append(id)


ids = []
echocast.Stream = Stream
gateway = echocast.Gateway(["http://127.0.0.1:1", sys.argv[1]])  # nobody is at the first address
try:
    gateway.create(to="rehearsal")
except OSError:
    pass
conversation = gateway.create(to="rehearsal", hear="user")
stream = conversation.connect(rate=RATE, after=0)
stream.listen(lambda pcm: None, timeout=60, rate=8000)
tenth, marks = tone(0.1), []
for n in range(4):
    stream.start(name=f"utterance {n}")
    for piece in range(12):
        stream.write(tenth)
        if piece % 5 == 0:
            stream.mark(f"{n}.{piece}")
            marks.append((f"{n}.{piece}", piece + 1, True))
    receipt = stream.end(timeout=60)
    assert (receipt["outcome"], receipt["samples"]) == ("finished", 28800), receipt
assert [(m["name"], round(10 * m["seconds"]), m["heard"]) for m in stream.marks] == marks, stream.marks

# More than may be on the way, and an interrupt.
stream.write(tone(20))
speech = stream._speech
stream.interrupt()
assert speech.over.wait(60) and speech.receipt["outcome"] == "interrupted", speech.receipt
utterances = gateway.request("GET", f"/v1/conversations/{conversation.id}/utterances")["utterances"]
assert len(utterances) == 5, utterances
assert stream.lost > 0
conversation.end()
for _ in range(1200):  # until the connection has ended for good
    if stream._closed:
        break
    time.sleep(0.05)
try:
    stream.write(tenth)
except ConnectionError:
    pass
else:
    raise AssertionError("a stream of a conversation that has ended takes audio")
stream.close()
assert ids == list(range(1, len(ids) + 1)), ids
print("ok")
