"""24 kHz s16le mono on stdin, one JSON message per 100 ms on stdout: the loop of a Python agent."""
import base64
import json
import sys

CHUNK = 24000 * 2 // 10


def message(pcm, done):
    return json.dumps({
        "message_type": "conversation",
        "event_type": "conversation.echo",
        "conversation_id": "c0ffee1234567890a",
        "properties": {
            "modality": "audio",
            "audio": base64.b64encode(pcm).decode(),
            "sample_rate": 24000,
            "inference_id": "0b9c2f4e-8d3a-4c56-9e1f-7a2b3c4d5e6f",
            "done": done,
        },
    })


held = sys.stdin.buffer.read(CHUNK)
while held:
    coming = sys.stdin.buffer.read(CHUNK)
    sys.stdout.write(message(held, not coming) + "\n")
    held = coming
