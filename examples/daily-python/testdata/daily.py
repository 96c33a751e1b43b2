"""A stand-in for daily-python, for the test of echo.py: the same calls, over a
socket to the test at $DAILY_TEST, in lines of JSON. A call that daily-python
does not have fails here too."""

import contextlib
import json
import os
import socket
import threading


class Daily:
    @staticmethod
    def init(worker_threads=2):
        pass


class EventHandler:
    def on_participant_joined(self, participant):
        pass

    def on_participant_left(self, participant, reason):
        pass

    def on_app_message(self, message, sender):
        pass


class CallClient:
    def __init__(self, event_handler=None):
        self.handler = event_handler or EventHandler()
        self.name = ""
        self.people = {}
        self.joined = None

    def set_user_name(self, user_name):
        self.name = user_name

    def update_subscription_profiles(self, profile_settings, completion=None):
        assert profile_settings == {"base": {"camera": "unsubscribed", "microphone": "unsubscribed"}}

    def join(self, meeting_url, meeting_token=None, client_settings=None, completion=None):
        assert client_settings == {"inputs": {"camera": False, "microphone": False}}
        host, port = os.environ["DAILY_TEST"].rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)))
        self.joined = completion
        self.tell({"url": meeting_url, "token": meeting_token or "", "name": self.name})
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def participants(self):
        local = {"id": "me", "info": {"userId": "me", "userName": self.name, "isLocal": True}}
        return {"local": local, **self.people}

    def send_app_message(self, message, participant=None, completion=None):
        error = None if participant in self.people else "no such participant"
        if error is None:
            self.tell({"data": message, "to": participant})
        if completion:
            completion(error)

    def leave(self, completion=None):
        if self.joined is not None:
            self.socket.shutdown(socket.SHUT_RDWR)
            self.reader.join()
        if completion:
            completion(None)

    def release(self):
        pass

    def tell(self, what):
        self.socket.sendall(json.dumps(what, separators=(",", ":")).encode() + b"\n")

    def read(self):
        with contextlib.suppress(ConnectionResetError), self.socket.makefile() as lines:  # the room may go first
            for line in lines:
                self.hear(json.loads(line))

    def hear(self, what):
        if "people" in what:
            self.meet({p["session_id"]: p for p in what["people"]})
            if self.joined:
                joined, self.joined = self.joined, lambda *_: None
                joined({"participants": self.participants()}, None)
        else:
            self.handler.on_app_message(what["data"], what["from"])

    def meet(self, people):
        before = self.people
        self.people = {
            i: {"id": i, "info": {"userId": p["user_id"], "userName": p["user_name"], "isLocal": False}} for i, p in people.items()
        }
        for i in self.people.keys() - before.keys():
            self.handler.on_participant_joined(self.people[i])
        for i in before.keys() - self.people.keys():
            self.handler.on_participant_left(before[i], "leftCall")
