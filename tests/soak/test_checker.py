"""The checker finds what it is made to find, and accepts what the contract allows."""

import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from checker import Checker, compare_retained  # noqa: E402
from history import Delivered, Heard, History, Life, Link, Run, Sent, StreamLink, Version  # noqa: E402
from wire import Packets, event_numbers, is_version5, read_publish, unchunk  # noqa: E402

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = b"".join(b'data: {"job_id": "a", "status": "queued", "e": %d}\n\n' % e for e in (1, 2, 3))


class Story:
    """A history in the making; time goes on by a second with each record."""

    def __init__(self):
        self.history = History()
        self.history.runs.append(Run(1, 0.0))
        self.history.lives.append(Life(0.0))
        self.time = 0.0
        self.link = self.connect()
        self.packet = 0

    def connect(self):
        self.time += 1
        self.link = Link(next(self.history.link_numbers), len(self.history.runs), self.time)
        return self.link

    def lose(self, after=0.1):
        self.link.closed = self.time + after
        self.link.ended_by = "cut"
        self.connect()

    def restart(self):
        self.history.runs[-1].ending = self.history.runs[-1].ended = self.time
        self.history.runs.append(Run(len(self.history.runs) + 1, self.time))
        self.connect()

    def was(self, n, status, event=0, job="a"):
        self.history.versions.append(
            Version(self.time, job, n, status, f"m{n} {status}", event))

    def send(self, leaf, content, job="a", acked=True, heard=True):
        self.time += 1
        self.packet += 1
        payload = json.dumps(content).encode() if content is not None else b""
        sent = Sent(next(self.history.positions), self.time, self.link, f"aiva/jobs/{job}/{leaf}",
                    payload, self.packet, self.time if acked else 0.0)
        self.history.sent.append(sent)
        if heard:
            self.history.heard.append(Heard(self.time, sent.topic, payload))
        return sent

    def state(self, n, status, e=None, at=None, **more):
        members = {"job_id": "a", "status": status, "n": n, "observed_at": at or self.time}
        if e:
            members["e"] = e
        return self.send("state", members, **more)

    def event(self, previous, kind, at=None, **more):
        return self.send("event", {"job_id": "a", "previous": previous, "event_type": kind,
                                   "observed_at": at or self.time}, **more)

    def stream(self, body=EVENTS, ended_by=""):
        answer = HEAD + b"%x\r\n" % len(body) + body + b"\r\n"
        link = Link(next(self.history.link_numbers), len(self.history.runs), self.time)
        if ended_by:
            link.closed, link.ended_by = self.time, ended_by
        self.history.streams.append(StreamLink(link, bytearray(answer)))

    def rules(self):
        """The rules that were broken."""
        return [violation.rule for violation in Checker(self.history).check()]


class StatesAndEvents(unittest.TestCase):
    def setUp(self):
        self.story = Story()
        for n, status in enumerate(("queued", "processing", "processing", "completed"), 1):
            self.story.was(n, status, event=n)

    def good(self):
        self.story.state(1, "queued", 1)
        self.story.event(None, "queued")
        self.story.state(2, "processing", 2)
        self.story.event("queued", "processing")

    def test_a_good_history(self):
        self.good()
        self.assertEqual(self.story.rules(), [])

    def test_a_state_that_never_was(self):
        self.story.state(2, "completed", 2)
        self.assertEqual(self.story.rules(), ["version"])

    def test_a_message_of_another_status(self):
        self.story.send("state", {"job_id": "a", "status": "processing", "n": 2, "e": 2,
                                  "message": "m1 queued"})
        self.assertEqual(self.story.rules(), ["version"])

    def test_a_list_that_goes_back(self):
        self.story.state(3, "processing", 2)
        self.story.state(2, "processing", 2)
        self.assertEqual(self.story.rules(), ["version", "order"])

    def test_an_event_of_the_stream_may_be_older_than_a_list(self):
        self.story.state(3, "processing")
        self.story.state(2, "processing", 2)
        self.assertEqual(self.story.rules(), [])

    def test_events_of_the_stream_out_of_order(self):
        self.story.state(3, "processing", 3)
        self.story.state(2, "processing", 2)
        self.assertEqual(self.story.rules(), ["order"])

    def test_a_change_without_an_event(self):
        self.story.state(1, "queued", 1)
        self.story.state(2, "processing", 2)
        self.story.state(3, "processing", 3)
        self.assertEqual(self.story.rules(), ["chain"])

    def test_a_last_change_without_an_event(self):
        self.story.state(1, "queued", 1)
        self.story.state(2, "processing", 2)
        self.assertEqual(self.story.rules(), ["chain"])

    def test_an_event_without_a_change(self):
        self.good()
        self.story.state(3, "processing", 3)
        self.story.event("processing", "completed")
        self.assertEqual(self.story.rules(), ["chain"])

    def test_an_event_twice(self):
        self.good()
        self.story.event("queued", "processing", at=99)
        self.assertEqual(self.story.rules(), ["chain"])

    def test_a_wrong_previous(self):
        self.story.state(1, "queued", 1)
        self.story.event(None, "queued")
        self.story.state(2, "processing", 2)
        self.story.event("completed", "processing")
        self.assertEqual(self.story.rules(), ["chain"])

    def test_a_crash_between_a_state_and_its_event(self):
        self.story.state(1, "queued", 1)
        self.story.state(2, "processing", 2)
        self.story.restart()
        self.story.state(4, "completed", 2)
        self.assertEqual(self.story.rules(), [])

    def test_deleted(self):
        self.good()
        self.story.history.gone.append((self.story.time, "a"))
        self.story.event("processing", "deleted")
        self.story.send("state", None)
        self.assertEqual(self.story.rules(), [])

    def test_deleted_and_not_cleared(self):
        self.good()
        self.story.history.gone.append((self.story.time, "a"))
        self.story.event("processing", "deleted")
        self.assertEqual(self.story.rules(), ["chain"])

    def test_deleted_although_it_is_there(self):
        self.good()
        self.story.event("processing", "deleted")
        self.story.send("state", None)
        self.assertEqual(self.story.rules(), ["deleted"])

    def test_cleared_without_a_word(self):
        self.good()
        self.story.send("state", None)
        self.assertEqual(self.story.rules(), ["chain"])


class Repeats(unittest.TestCase):
    def setUp(self):
        self.story = Story()
        self.story.was(1, "queued", event=1)
        self.story.was(2, "processing", event=2)

    def say_all(self, **more):
        self.story.state(1, "queued", 1, at=1, **more)
        self.story.event(None, "queued", at=1, **more)
        self.story.state(2, "processing", 2, at=2, **more)
        self.story.event("queued", "processing", at=2, **more)

    def test_again_after_a_loss(self):
        self.say_all(acked=False)
        self.story.lose()
        self.say_all()
        self.assertEqual(self.story.rules(), [])

    def test_again_behind_a_state_whose_event_is_yet_to_come(self):
        """The connection was lost between a state and its event: the event before comes first."""
        self.story.state(1, "queued", 1, at=1)
        self.story.event(None, "queued", at=1, acked=False)
        self.story.state(2, "processing", 2, at=2, acked=False)
        self.story.lose()
        self.story.event(None, "queued", at=1)
        self.story.state(2, "processing", 2, at=2)
        self.story.event("queued", "processing", at=2)
        self.assertEqual(self.story.rules(), [])

    def test_a_deleted_again_behind_the_job_that_came_back(self):
        self.story.state(1, "queued", 1, at=1)
        self.story.event(None, "queued", at=1)
        self.story.history.gone.append((self.story.time, "a"))
        self.story.event("queued", "deleted", at=2, acked=False)
        self.story.send("state", None, acked=False)
        self.story.state(2, "processing", 2, at=3, acked=False)
        self.story.lose()
        self.story.event("queued", "deleted", at=2)
        self.story.send("state", None)
        self.story.state(2, "processing", 2, at=3)
        self.story.event(None, "processing", at=3)
        self.assertEqual(self.story.rules(), [])

    def test_an_event_in_the_same_words_as_one_before(self):
        """Within one millisecond the job went there, back, and there again."""
        self.story.was(3, "queued", event=3)
        self.story.was(4, "processing", event=4)
        self.say_all()
        self.story.state(3, "queued", 3, at=2)
        self.story.event("processing", "queued", at=2)
        self.story.state(4, "processing", 4, at=2)
        self.story.event("queued", "processing", at=2)
        self.assertEqual(self.story.rules(), [])

    def test_an_old_event_in_place_of_the_right_one(self):
        self.say_all()
        self.story.was(3, "queued", event=3)
        self.story.state(3, "queued", 3, at=3)
        self.story.lose(after=60)
        self.story.event("queued", "processing", at=2)
        self.assertEqual(self.story.rules(), ["repeat", "chain"])

    def test_again_without_a_loss(self):
        self.say_all()
        self.say_all()
        self.assertEqual(self.story.rules(), ["repeat"] * 3)

    def test_again_long_after_the_acknowledgement(self):
        self.say_all()
        self.story.lose(after=60)
        self.story.event("queued", "processing", at=2)
        self.assertEqual(self.story.rules(), ["repeat"])

    def test_the_newest_state_at_any_time(self):
        self.say_all()
        self.story.lose(after=60)
        self.story.state(2, "processing", 2, at=2)
        self.assertEqual(self.story.rules(), [])

    def test_the_same_event_of_the_stream_taken_in_twice(self):
        self.say_all()
        self.story.state(2, "processing", 2, at=3)
        self.story.state(3, "processing", 3, at=4)
        self.assertEqual(self.story.rules()[:1], ["repeat"])

    def test_a_refresh_of_what_has_not_changed(self):
        self.say_all()
        self.story.state(2, "processing", 2, at=3)
        self.story.send("result", {"command": "refresh", "ok": True, "id": "c1"})
        self.assertNotIn("repeat", self.story.rules())


class Stream(unittest.TestCase):
    def setUp(self):
        self.story = Story()
        for n in (1, 2, 3):
            self.story.was(n, "queued", event=n)

    def test_a_gap(self):
        self.story.stream(ended_by="cut")
        self.story.state(1, "queued", 1)
        self.story.state(3, "queued", 3)
        self.assertEqual(self.story.rules(), ["lost"])

    def test_the_end_may_be_unread(self):
        self.story.stream(ended_by="cut")
        self.story.state(1, "queued", 1)
        self.assertEqual(self.story.rules(), [])

    def test_an_orderly_end_was_read(self):
        self.story.stream(ended_by="far")
        self.story.state(1, "queued", 1)
        self.assertEqual(self.story.rules(), ["lost", "lost"])

    def test_an_orderly_end_at_the_end_of_the_bridge(self):
        self.story.stream(ended_by="far")
        self.story.state(1, "queued", 1)
        self.story.restart()
        self.assertEqual(self.story.rules(), [])


class Commands(unittest.TestCase):
    def setUp(self):
        self.story = Story()

    def ask(self, acked=True):
        story = self.story
        story.time += 1
        story.history.delivered.append(Delivered(
            story.time, story.link, "aiva/jobs/a/command/cancel", b'{"id": "c1"}', 1,
            story.time if acked else 0.0))

    def answer(self, ms=5):
        self.story.send("result", {"id": "c1", "ok": True, "duration_ms": ms})

    def test_answered(self):
        self.ask()
        self.answer()
        self.assertEqual(self.story.rules(), [])

    def test_not_answered(self):
        self.ask()
        self.assertEqual(self.story.rules(), ["command"])

    def test_answered_twice(self):
        self.ask()
        self.answer(5)
        self.answer(6)
        self.assertEqual(self.story.rules(), ["command"])

    def test_answered_without_a_question(self):
        self.answer()
        self.assertEqual(self.story.rules(), ["command"])

    def test_not_acknowledged_and_not_answered(self):
        self.ask(acked=False)
        self.assertEqual(self.story.rules(), [])

    def test_the_bridge_was_ended_meanwhile(self):
        self.ask()
        self.story.restart()
        self.assertEqual(self.story.rules(), [])


class Subscriber(unittest.TestCase):
    def setUp(self):
        self.story = Story()
        self.story.was(1, "queued")

    def test_acknowledged_and_not_heard(self):
        self.story.state(1, "queued", heard=False)
        self.assertEqual(self.story.rules(), ["heard"])

    def test_the_broker_died_of_it(self):
        self.story.state(1, "queued", heard=False)
        self.story.history.lives[-1].ended = self.story.time + 1
        self.assertEqual(self.story.rules(), [])

    def test_heard_and_never_sent(self):
        self.story.history.heard.append(Heard(1.0, "aiva/jobs/a/state", b"{}"))
        self.assertEqual(self.story.rules(), ["heard"])


def device(name):
    return f"homeassistant/device/aiva_{name}/config"


class Devices(unittest.TestCase):
    def setUp(self):
        self.story = Story()

    def say(self, payload, after, acked=True):
        story = self.story
        story.time += after
        story.packet += 1
        story.history.sent.append(Sent(
            next(story.history.positions), story.time, story.link, device("job_a"), payload,
            story.packet, story.time if acked else 0.0))

    def test_far_enough_apart(self):
        self.say(b"1", 0)
        self.say(b"2", 5)
        self.say(b"", 5.1)
        self.assertEqual(self.story.rules(), [])

    def test_too_close(self):
        self.say(b"1", 0)
        self.say(b"", 4.9)
        self.assertEqual(self.story.rules(), ["spaced"])

    def test_sent_again_without_need(self):
        self.say(b"1", 0)
        self.story.lose()
        self.say(b"1", 1)
        self.assertEqual(self.story.rules(), ["spaced"])

    def test_sent_again_after_a_loss(self):
        self.say(b"1", 0, acked=False)
        self.story.lose()
        self.say(b"1", 1)
        self.assertEqual(self.story.rules(), [])

    def test_another_life_of_the_bridge(self):
        self.say(b"1", 0)
        self.story.restart()
        self.say(b"2", 1)
        self.assertEqual(self.story.rules(), [])


class Retained(unittest.TestCase):
    def setUp(self):
        self.jobs = {"a": {"job_id": "a", "status": "processing", "n": 2, "sample_name": "S",
                           "progress": 2, "message": "m2 processing"}}
        counts = {"total": 1, "upload_pending": 0, "queued": 0, "processing": 1, "completed": 0,
                  "failed": 0, "cancelled": 0}
        self.retained = {"aiva/jobs/a/state": json.dumps(self.jobs["a"]).encode(),
                         "aiva/bridge/jobs": json.dumps(counts).encode(),
                         "aiva/bridge/state": b"online",
                         "aiva/bridge/upstream": b'{"state": "streaming"}',
                         device("bridge"): b'{"device": {"name": "AIVA bridge"}}',
                         device("job_a"): b'{"device": {"name": "S"}}'}

    def wrong(self):
        return len(compare_retained(self.jobs, self.retained))

    def test_all_is_well(self):
        self.assertEqual(self.wrong(), 0)

    def test_a_member_is_old(self):
        for member, value in (("n", 3), ("status", "queued"), ("progress", 3), ("message", "m3")):
            with self.subTest(member):
                self.setUp()
                self.jobs["a"][member] = value
                self.assertGreater(self.wrong(), 0)

    def test_a_job_that_is_gone(self):
        self.retained["aiva/jobs/b/state"] = b'{"job_id": "b"}'
        self.assertEqual(self.wrong(), 1)

    def test_a_device_that_is_wrong(self):
        for name, payload in (("job_a", b'{"device": {"name": "T"}}'), ("job_a", b""),
                              ("bridge", b""), ("job_b", b'{"device": {"name": "S"}}')):
            with self.subTest(name):
                self.setUp()
                self.retained[device(name)] = payload
                self.assertEqual(self.wrong(), 1)

    def test_offline(self):
        self.retained["aiva/bridge/state"] = b"offline"
        self.assertEqual(self.wrong(), 1)


class Wire(unittest.TestCase):
    def test_packets_in_pieces(self):
        topic = b"\x00\x03a/b"
        body = topic + b"\x00\x07" + b"\x00" + b"payload" * 30
        packet = bytes([0x33, 0x80 | len(body) & 0x7F, len(body) >> 7]) + body
        packets = Packets()
        found = [one for byte in packet * 2 for one in packets.feed(bytes([byte]))]
        self.assertEqual(found, [(0x33, body)] * 2)
        publish = read_publish(*found[0], True)
        self.assertEqual((publish.topic, publish.packet_id, publish.qos, publish.retain),
                         ("a/b", 7, 1, True))
        self.assertEqual(publish.payload, b"payload" * 30)

    def test_connect(self):
        self.assertTrue(is_version5(b"\x00\x04MQTT\x05"))
        self.assertFalse(is_version5(b"\x00\x04MQTT\x04"))

    def test_chunks(self):
        body = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
        self.assertEqual(unchunk(body), b"abcde")
        self.assertEqual(unchunk(body[:5]), b"ab")

    def test_events(self):
        for line_end in (b"\n", b"\r\n", b"\r"):
            text = EVENTS.replace(b"\n", line_end)
            chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in text)
            self.assertEqual(event_numbers(HEAD + chunks), [1, 2, 3])
            self.assertEqual(event_numbers(HEAD + chunks[:-6 * len(line_end) * 3]), [1, 2])
        self.assertEqual(event_numbers(HEAD[:20]), [])


if __name__ == "__main__":
    unittest.main()
