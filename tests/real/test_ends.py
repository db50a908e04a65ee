"""Ends before the end: the client leaves, the gateway is killed. Either way the server's slot is free again."""

import http.client
import json
import unittest
import urllib.parse

from support import DIALECTS, ENDLESS, Case, Gateway, Server, Stream, at, until

CHAT = DIALECTS[0]
MODEL = "llama_cpp/tiny"


class Ends(Case):
    def setUp(self):
        self.server = Server("left")
        self.addCleanup(self.server.kill)
        self.gateway = Gateway(f"left-{self.id().split('.')[-1]}", {"llama_cpp": at(self.server)})
        self.addCleanup(self.gateway.kill)

    def output(self, call):
        """The text that is recorded of an answer."""
        record = self.gateway.record(call)
        return record["outcome"], json.dumps(record["output"], ensure_ascii=False)

    def test_the_client_leaves_a_stream(self):
        for dialect in DIALECTS:
            with self.subTest(dialect=dialect.name):
                stream = Stream(self.gateway, dialect, MODEL)
                stream.read(60)
                self.assertEqual(self.server.busy(), 1)
                stream.leave()
                self.server.wait_until_free()
                outcome, output = self.output(stream.call)
                self.assertEqual(outcome["state"], "client_gone")
                self.assertIn(json.dumps(stream.text, ensure_ascii=False)[1:-1], output, "less than what was seen")
                self.assertGreaterEqual(outcome["usage"]["output"], 10)
                self.assertGreater(outcome["bytes_sent"], len(stream.text))

    def test_the_client_leaves_before_a_whole_answer(self):
        """The server looks once a second whether somebody waits, and not at all while it is asked something else."""
        address = urllib.parse.urlsplit(self.gateway.url).netloc
        for dialect in DIALECTS:
            with self.subTest(dialect=dialect.name):
                connection = http.client.HTTPConnection(address)
                body = json.dumps(dialect.request(MODEL, most=ENDLESS, stream=False))
                connection.request("POST", dialect.path, body, {"content-type": "application/json"})
                until("the server works for it", lambda: self.server.busy() == 1)
                before = len(self.server.log)
                connection.close()
                until("the server stops", lambda: "cancel task" in "".join(self.server.log[before:]))
                self.server.wait_until_free()
                [newest] = self.gateway.api("/api/calls?limit=1")["data"]
                outcome = self.gateway.record(newest["id"])["outcome"]
                self.assertEqual(outcome["state"], "client_gone")

    def test_as_many_as_leave_come_in_again(self):
        """Two slots, and each is left ten times: one that was not free again would keep the next one waiting."""
        calls = []
        for _ in range(10):
            streams = [Stream(self.gateway, CHAT, MODEL) for _ in range(2)]
            for stream in streams:
                stream.read(20)
            for stream in streams:
                stream.leave()
                calls.append(stream.call)
        self.server.wait_until_free()
        for call in calls:
            self.assertEqual(self.gateway.record(call)["outcome"]["state"], "client_gone")

    def test_the_gateway_is_killed(self):
        streams = [Stream(self.gateway, dialect, MODEL) for dialect in DIALECTS[:2]]
        for stream in streams:
            stream.read(60)
        self.assertEqual(self.server.busy(), 2)
        self.gateway.kill()
        self.server.wait_until_free()
        for stream in streams:
            stream.leave()
        self.gateway.start()
        for stream in streams:
            outcome = self.gateway.record(stream.call)["outcome"]
            self.assertEqual(outcome["state"], "crash_recovered", stream.dialect.name)
        stream = Stream(self.gateway, CHAT, MODEL)
        stream.read(20)
        stream.leave()


if __name__ == "__main__":
    unittest.main(verbosity=2)
