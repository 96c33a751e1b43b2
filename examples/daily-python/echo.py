#!/usr/bin/env python3
"""Says in a Daily room what `echocast encode` writes:

    echocast encode --pace lead --conversation c123 speech.wav | python3 echo.py https://tavus.daily.co/c123

Waits for the replica, sends each line when it comes, prints every event once, as
a line of JSON, and leaves when the replica has said it all. Ctrl-C interrupts
the replica. Needs daily-python (pip install daily-python).
"""

import argparse
import base64
import json
import queue
import re
import sys
import threading
import time

from daily import CallClient, Daily, EventHandler

MARK = "tavus-replica"  # in the user id of Tavus' replica
TWIN_TIME = 2.0  # seconds within which the same event is a twin
ANSWER_TIME = 10.0  # seconds that daily-python may take for a call


class Replica(EventHandler):
    """What is known of the replica, by the events of the room."""

    def __init__(self):
        super().__init__()
        self.changed = threading.Condition()
        self.session = None  # its id while it is in the room
        self.spoken = 0.0  # seconds that it reports
        self.stopped = False  # it has stopped, and did not report how much it said
        self.seen = {}  # when events were seen

    def meet(self, participant):
        if MARK in (participant["info"].get("userId") or ""):
            self.arrive(participant["id"])

    def arrive(self, session):
        with self.changed:
            self.session = self.session or session
            self.changed.notify_all()

    def on_participant_joined(self, participant):
        self.meet(participant)

    def on_participant_left(self, participant, reason):
        with self.changed:
            if participant["id"] == self.session:
                self.session = None
                self.changed.notify_all()

    def on_app_message(self, message, sender):
        kind = message.get("event_type", "") if isinstance(message, dict) else ""
        if re.fullmatch(r"system\.(replica|pal)_(joined|present)", kind):
            self.arrive(sender)
        if not kind or not self.is_news(message):
            return
        print(json.dumps(message), flush=True)
        if kind.endswith("stopped_speaking") and speaker(message) == "pal":
            self.hear(message.get("properties") or {})

    def hear(self, properties):
        with self.changed:
            self.spoken += properties.get("duration") or 0.0
            self.stopped = properties.get("duration") is None or properties.get("interrupted", False)
            self.changed.notify_all()

    def is_news(self, message):
        """An event about the replica comes twice or more: as the pal's, as the
        replica's, and under older names."""
        kind = re.sub(r"^conversation\.(replica|user)\.", "conversation.", message["event_type"])
        properties = message.get("properties") or {}
        key = (
            kind.replace("system.replica_", "system.pal_"), speaker(message), message.get("inference_id"), message.get("turn_idx"),
            properties.get("content_index"), properties.get("attempt"), properties.get("tool_call_id"),
        )
        now = time.monotonic()
        self.seen = {old: when for old, when in self.seen.items() if now - when < TWIN_TIME}
        return self.seen.setdefault(key, now) == now

    def wait(self, condition, timeout):
        with self.changed:
            return self.changed.wait_for(condition, timeout)


def speaker(message):
    """Who an event is about: the pal, which is the replica, or the user."""
    older = re.match(r"conversation\.(replica|user)\.", message["event_type"])
    role = older[1] if older else (message.get("properties") or {}).get("role")
    return "pal" if role == "replica" else role


def call(function, *arguments):
    """Calls a function of daily-python and waits for its completion."""
    answers = queue.SimpleQueue()
    function(*arguments, completion=lambda *answer: answers.put(answer))
    try:
        *_, error = answers.get(timeout=ANSWER_TIME)
    except queue.Empty:
        error = "daily-python does not answer"
    if error:
        raise RuntimeError(error)


class Speech:
    """Lines on their way to the replica."""

    def __init__(self, client, replica, limit):
        self.client, self.replica, self.limit = client, replica, limit
        self.conversation = None
        self.open = False  # an utterance was begun, and neither ended nor interrupted
        self.seconds = 0.0  # sent

    def send(self, message):
        session = self.replica.session
        if session is None:
            raise RuntimeError("the replica has left")
        call(self.client.send_app_message, message, session)

    def pass_on(self, line):
        if len(line) > self.limit:
            raise RuntimeError(f"a message of {len(line)} bytes is over the limit; give encode --max-message {self.limit}")
        message = json.loads(line)
        self.send(message)
        self.conversation = message["conversation_id"]
        self.open = message["event_type"] == "conversation.echo" and not message["properties"]["done"]
        if message["event_type"] == "conversation.echo":
            properties = message["properties"]
            self.seconds += len(base64.b64decode(properties["audio"])) / 2 / properties["sample_rate"]

    def interrupt(self):
        """Silences the replica, and waits a little for its word. Nothing of the
        utterance follows."""
        self.open = False
        if self.conversation is None or self.replica.session is None:
            return
        self.replica.stopped = False
        self.send({
            "message_type": "conversation", "event_type": "conversation.interrupt", "conversation_id": self.conversation,
        })
        self.replica.wait(lambda: self.replica.stopped or self.replica.session is None, 2)

    def all(self, lines):
        for line in lines:
            self.pass_on(line.rstrip("\n"))
        if self.open:
            raise RuntimeError("the speech broke off")
        # Leaving while the replica speaks can end the call in mid-sentence.
        done = lambda: self.replica.stopped or self.replica.session is None or self.replica.spoken > self.seconds - 0.25
        if self.conversation and not self.replica.wait(done, self.seconds + 5):
            raise RuntimeError("sent, but not confirmed as heard")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="of the room, such as Tavus' conversation_url")
    parser.add_argument("--token", help="of a private room")
    parser.add_argument("--max-message", type=int, default=4096, help="no message has more bytes than this")
    options = parser.parse_args()

    Daily.init()
    replica = Replica()
    client = CallClient(event_handler=replica)
    client.set_user_name("echocast")
    speech = Speech(client, replica, options.max_message)
    try:
        # No camera and no microphone, and nobody is looked at or listened to.
        client.update_subscription_profiles({"base": {"camera": "unsubscribed", "microphone": "unsubscribed"}})
        call(client.join, options.url, options.token, {"inputs": {"camera": False, "microphone": False}})
        for participant in client.participants().values():
            replica.meet(participant)
        if not replica.wait(lambda: replica.session is not None, 30):
            sys.exit("echo.py: the replica did not join within 30 s")
        speech.all(sys.stdin)
    except KeyboardInterrupt:
        speech.interrupt()
        sys.exit(130)
    except (RuntimeError, ValueError, KeyError) as error:
        if speech.open:
            speech.interrupt()  # a broken input must not end with done
        sys.exit(f"echo.py: {error}")
    finally:
        call(client.leave)
        client.release()


if __name__ == "__main__":
    main()
