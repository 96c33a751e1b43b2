"""Says standard input, as it arrives, in a conversation of a gateway with several nodes, of which one
is killed meanwhile: speaks_on.py CONVERSATION URL... Prints what it was told."""

import json
import sys

import echocast


class Stream(echocast.Stream):
    """Notes the ids of events."""

    def _told(self, id, kind, data):
        ids.append(id)
        super()._told(id, kind, data)


ids = []
echocast.Stream = Stream
conversation = echocast.Conversation(echocast.Gateway(sys.argv[2:]), sys.argv[1])
with conversation.connect(rate=24000, after=0) as stream:
    stream.start()
    written = 0
    while samples := sys.stdin.buffer.read(4800):
        stream.write(samples)
        written += len(samples)
        if written == 91200:
            stream.mark("before the kill")
    stream.mark("end")
    receipt = stream.end(timeout=120)
    print(json.dumps({
        "ids": [id for id in ids if id],
        "outcome": receipt["outcome"],
        "takeovers": receipt.get("takeovers", []),
        "heard": [mark["name"] for mark in stream.marks if mark["heard"]],
    }))
