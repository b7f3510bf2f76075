#!/usr/bin/env python3
"""Tests of the benchmark itself: that it finds what is lost, late, twice or out of order, that the
firehose pours what it should, and that ratios are taken within a round. Run by ./test.sh bench."""

import json
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

import paho.mqtt.client as mqtt
from harness.mqttclient import new_client

from runner import document, plot, report, scale, scenarios, targets
from runner.rig import Rig

TOOLS = Path(__file__).resolve().parents[2] / "build/release/bench"


def publish(port, version, messages):
    """With QoS 1, one after the other."""
    client = new_client(protocol=version)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for topic, payload in messages:
        client.publish(topic, payload, qos=1, retain=True).wait_for_publish(30)
    client.disconnect()
    client.loop_stop()


def state(job, seq, late_ns=0):
    """As the bridge or a peer would publish it; made `late_ns` before now."""
    made = time.monotonic_ns() - late_ns
    return (f"aiva/jobs/job_{job:07d}/state",
            f'{{"job_id": "job_{job:07d}", "status": "processing", "seq": {seq}, "t":{made}}}')


class Measuring(unittest.TestCase):
    def count(self, messages, version=mqtt.MQTTv5, **work):
        """What the null broker says of them, asked once it has acknowledged the last."""
        with Rig(TOOLS) as rig:
            rig.start_null_broker(idle=60000, **work)
            publish(rig.mqtt_port, version, messages)
            return rig.measure(0)

    def test_everything_in_order(self):
        for version in (mqtt.MQTTv311, mqtt.MQTTv5):
            found = self.count([state(job, seq) for seq in range(3) for job in range(2)], version,
                               jobs=2, events=6)
            self.assertTrue(found["complete"])
            self.assertEqual((found["states"], found["lost"], found["duplicates"],
                              found["reordered"]), (6, 0, 0, 0))

    def test_a_lost_event(self):
        found = self.count([state(0, 0), state(0, 2)], jobs=1, events=3)
        self.assertFalse(found["complete"])
        self.assertEqual((found["lost"], found["reordered"]), (1, 0))

    def test_an_event_that_comes_twice(self):
        found = self.count([state(0, 0), state(0, 0), state(0, 1)], jobs=1, events=2)
        self.assertEqual((found["duplicates"], found["reordered"], found["lost"]), (1, 0, 0))

    def test_an_event_behind_a_later_one_of_its_job(self):
        found = self.count([state(0, 1), state(0, 0)], jobs=1, events=2)
        self.assertEqual((found["reordered"], found["lost"], found["duplicates"]), (1, 0, 0))

    def test_jobs_have_no_order_among_each_other(self):
        found = self.count([state(1, 0), state(0, 0)], jobs=2, events=2)
        self.assertEqual(found["reordered"], 0)

    def test_latency_counts_from_the_making(self):
        found = self.count([state(0, 0, late_ns=2_000_000_000)], jobs=1, events=1)
        self.assertGreaterEqual(found["p50_ms"], 2000)
        self.assertLess(found["p50_ms"], 12000)

    def test_a_job_of_which_only_the_list_tells(self):
        found = self.count([("aiva/jobs/job_0000000/state", '{"job_id":"job_0000000","status":"queued"}'),
                            ("aiva/jobs/job_0000001/state", ""), state(0, 0)],
                           jobs=2, events=1, listed=1)
        self.assertEqual((found["listed_distinct"], found["cleared"], found["states"]), (1, 1, 1))

    def test_tls_and_websocket_carry_the_same(self):
        for transport, options in (("tls", {}), ("ws", {"transport": "websockets"})):
            with Rig(TOOLS, transport) as rig:
                rig.start_null_broker(idle=60000, jobs=2, events=1000)
                client = new_client(**options)
                if rig.authority:
                    client.tls_set(rig.authority)
                client.connect("localhost", rig.client_port)
                client.loop_start()
                for seq in range(500):
                    for job in range(2):
                        last = client.publish(*state(job, seq), qos=1)
                last.wait_for_publish(30)
                found = rig.measure(10)
                client.disconnect()
                client.loop_stop()
                self.assertTrue(found["complete"], transport)
                self.assertEqual((found["states"], found["lost"], found["reordered"]), (1000, 0, 0))

    def test_all_jobs_on_one_topic(self):
        found = self.count([("aiva/jobs/state", state(1, 0)[1])], jobs=2, events=2)
        self.assertEqual((found["states"], found["unexpected"]), (1, 0))

    def test_the_sink_sees_what_the_raw_publisher_sent(self):
        with Rig(TOOLS) as rig:
            rig.start_mosquitto()
            for version in (5, 3):
                self.assert_raw_is_seen(rig, version, tls=0)

    def test_the_sink_sees_what_came_over_tls(self):
        with Rig(TOOLS, "tls") as rig:
            rig.start_mosquitto()
            self.assert_raw_is_seen(rig, 5, tls=1)

    def assert_raw_is_seen(self, rig, version, tls):
        rig.start_sink(jobs=10, events=1003)
        rig.start("rawpub", rig.tool("rawpub", port=rig.client_port, jobs=10, events=1003,
                                     version=version, tls=tls))
        found = rig.measure(30)
        self.assertTrue(found["complete"])
        self.assertEqual((found["states"], found["duplicates"], found["reordered"]), (1003, 0, 0))


class Firehose(unittest.TestCase):
    def setUp(self):
        self.rig = Rig(TOOLS)
        self.addCleanup(self.rig.__exit__)

    def get(self, path, method="GET"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.rig.http_port}{path}", method=method)
        return urllib.request.urlopen(request, timeout=20)

    def read(self, count, rate=0):
        """The data of that many events, which it is told to pour."""
        stream = self.get("/jobs/events?token=x")
        self.assertEqual(stream.headers.get_content_type(), "text/event-stream")
        self.rig.pour(count, rate)
        lines = [stream.readline() for _ in range(2 * count)]
        stream.close()
        self.assertEqual(set(lines[1::2]), {b"\r\n"})
        for line in lines[::2]:
            self.assertTrue(line.startswith(b"data: ") and line.endswith(b"\r\n"))
        return [json.loads(line[6:]) for line in lines[::2]]

    def test_events_go_round_the_active_jobs(self):
        for chunked in (0, 1):
            self.rig.start_firehose(jobs=9, active=3, chunked=chunked)
            events = self.read(8)
            self.assertEqual([event["job_id"][-1] for event in events], list("03603603"))
            self.assertEqual([event["seq"] for event in events], [0, 0, 0, 1, 1, 1, 2, 2])
            self.assertEqual([event["status"] == "completed" for event in events],
                             [False] * 5 + [True] * 3)

    def test_the_list_has_all_jobs_and_the_active_ones_are_unfinished(self):
        self.rig.start_firehose(jobs=9, active=3)
        jobs = json.load(self.get("/jobs"))
        self.assertEqual([job["job_id"] for job in jobs], [f"job_{number:07d}" for number in range(9)])
        self.assertEqual([number for number, job in enumerate(jobs) if job["status"] == "processing"],
                         [0, 3, 6])
        self.assertEqual(json.load(self.get("/jobs/job_0000003/status"))["status"], "processing")
        self.assertEqual(self.rig.ask_firehose("state")["statuses"], 1)

    def test_a_rate_is_kept(self):
        self.rig.start_firehose(jobs=10)
        events = self.read(100, rate=400)
        seconds = (events[-1]["t"] - events[0]["t"]) / 1e9
        # A busy machine may hold the first or the last of them up, and in between it is made good.
        self.assertGreater(seconds, 0.1)
        self.assertLess(seconds, 2)

    def test_the_arrival_of_a_command_is_noted(self):
        self.rig.start_firehose(jobs=10)
        before = time.monotonic_ns()
        answer = json.load(self.get("/jobs/job_0000007/cancel", "POST"))
        self.assertEqual(answer["status"], "cancelled")
        [[job, arrival]] = self.rig.ask_firehose("commands")
        self.assertEqual(job, 7)
        self.assertTrue(before < arrival < time.monotonic_ns())


def result(**scenario_runs):
    return {"options": {"rounds": 2, "events": 10, "jobs": 1, "steady_s": 1, "listed": 7, "idle_s": 1},
            "machine": {"cores": 2, "processor": "p", "memory_gb": 1, "system": "s", "kernel": "k",
                        "commit": "c", "load": 0, "versions": {"x": "1"}},
            "bridges": ["bridge"], "peers": ["Node fetch", "Python"],
            "contenders": ["bridge", "Node fetch", "Python"], "scenarios": scenario_runs}


class Reporting(unittest.TestCase):
    runs = {
        "bridge": [{"events_per_s": 30, "cpu_per_100k": 1}, {"events_per_s": 300, "cpu_per_100k": 1},
                   {"events_per_s": 100, "cpu_per_100k": 3}],
        "Node fetch": [{"events_per_s": 10, "cpu_per_100k": 2, "lost": 0},
                       {"events_per_s": 200, "cpu_per_100k": 2, "lost": 0}, None],
        "Python": [{"events_per_s": 20, "lost": 0}, {"events_per_s": 1000, "lost": 5}, None],
    }

    def target(self, **members):
        return targets.reached(targets.Target(text="", scenario="flat", limit=1, **members),
                               result(flat=self.runs), "bridge")

    def test_a_ratio_is_the_median_of_the_rounds_own(self):
        self.assertEqual(report.ratio("events_per_s", self.runs, "bridge", "Node fetch"), (3 + 1.5) / 2)

    def test_the_best_peer_is_that_of_the_round_and_has_lost_nothing(self):
        self.assertEqual(self.target(key="events_per_s", at_least=True, of="peers"), (1.5 + 1.5) / 2)

    def test_a_target_without_a_peer_is_the_figure_itself(self):
        self.assertEqual(self.target(key="cpu_per_100k", at_least=False), 1)

    def test_nothing_is_said_of_what_was_not_measured(self):
        self.assertIsNone(self.target(key="p99_ms", at_least=False))
        self.assertEqual(targets.rows(result(), "bridge"), [])

    def test_a_table_has_a_row_for_each_and_says_what_failed(self):
        lines = report.table(scenarios.FlatMosquitto, result(flat=dict(self.runs, shell=[None])), "bridge")
        self.assertEqual(len(lines), 2 + 4)
        self.assertIn("failed", lines[-1])

    def test_every_target_is_about_a_figure_that_is_shown(self):
        known = {scenario.name: {key for key, _, _ in scenario.columns} for scenario in scenarios.ALL}
        for target in targets.TARGETS:
            self.assertIn(target.key, known[target.scenario])

    def test_a_document_keeps_what_people_wrote(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "BENCHMARKS.md"
            document.write(Path(folder), scenarios.ALL, result(flat=self.runs))
            path.write_text(path.read_text() + "What was tried.\n")
            document.write(Path(folder), scenarios.ALL, result(flat=self.runs))
            self.assertEqual(path.read_text().count("What was tried."), 1)
            self.assertEqual(path.read_text().count("| Node fetch"), 1)


class Scale(unittest.TestCase):
    def test_a_job_costs_what_it_adds(self):
        rows = [{"jobs": 100, "resident_mb": 10, "start_cpu_s": 0.5},
                {"jobs": 1100, "resident_mb": 11, "start_cpu_s": 0.6}]
        scale.shares(rows)
        self.assertAlmostEqual(rows[1]["bytes_per_job"], 1000)
        self.assertAlmostEqual(rows[1]["start_us_per_job"], 100)

    def test_a_plot_has_all_points_within(self):
        drawn = plot.svg("t", "x", {"a": [(100, 1), (1_000_000, 5000)], "none": []})
        self.assertEqual(drawn.count("<circle"), 2)
        self.assertIn(f'cx="{plot.LEFT:.1f}"', drawn)
        self.assertIn(f'cx="{plot.WIDTH - plot.RIGHT:.1f}"', drawn)


class Latencies(unittest.TestCase):
    def test_commands_are_paired_by_their_job(self):
        found = scenarios.latencies([[1_000_000, 1_500_000], [2_000_000, 2_500_000], [5, 6]],
                                    {0: 3_000_000, 1: 6_000_000})
        self.assertEqual((found["max_ms"], found["lost"]), (4, 1))
        self.assertEqual(found["bridge_p99_ms"], 3.5)


if __name__ == "__main__":
    unittest.main()
