"""What the broker refuses is said, with what does not work, and stops nothing else."""

import json

import pytest
from harness.bad_broker import Answer
from harness.metrics import Listener
from harness.process import free_port
from harness.topics import of_bridge, of_job
from harness.waiting import wait_until
from harness.world import job

REASONS = {0x80: "unspecified", 0x83: "implementation", 0x87: "authori", 0x90: "topic name",
           0x97: "quota", 0x99: "payload format"}


def refuse(world, topic, reason):
    """The broker answers publications on one topic with a reason."""
    world.broker.on_publish = lambda packet: reason if packet.topic == topic else None


def log_lines(world, *words):
    return [line for line in world.bridge.output().splitlines()
            if all(word.lower() in line.lower() for word in words)]


@pytest.mark.parametrize("reason", REASONS)
def test_a_refused_publication_is_reported(bad, reason):
    """With topic and reason; it is not sent again, and what comes after it arrives."""
    refuse(bad, of_job("bad", "state"), reason)
    bad.start([job("one")])
    bad.simulator.set_job("bad", status="queued")
    bad.stream_marker()
    wait_until(lambda: log_lines(bad, of_job("bad", "state"), f"0x{reason:02x}", REASONS[reason]),
               "the refusal in the log")
    assert len(bad.broker.published(of_job("bad", "state"))) == 1
    assert len(bad.broker.connects) == 1


@pytest.mark.parametrize("qos", [1, 2])
def test_refusals_do_not_use_up_the_window(bad, qos):
    """More refused publications than the window has places: the others still arrive."""
    bad.broker.connack_properties = {"receive_maximum": 5}
    bad.broker.on_publish = lambda packet: 0x87 if "/jobs/bad" in packet.topic else None
    bad.start(config={"mqtt.qos": qos})
    for number in range(20):
        bad.simulator.set_job(f"bad-{number}", status="queued")
    bad.stream_marker()
    assert len(bad.broker.connects) == 1


def test_many_refusals_do_not_fill_the_log(bad):
    """They are counted, not written line by line."""
    bad.broker.on_publish = lambda packet: 0x87 if "/jobs/bad" in packet.topic else None
    bad.start()
    for number in range(100):
        bad.simulator.set_job(f"bad-{number}", status="queued")
    bad.stream_marker()
    assert 1 <= len(log_lines(bad, "refused")) <= 10
    bad.bridge.stop()
    assert log_lines(bad, "stopped", "200 refused")


def test_no_subscribers_is_no_refusal(bad):
    """0x10 is a success."""
    bad.broker.on_publish = lambda packet: 0x10
    bad.start([job("one")])
    bad.stream_marker()
    assert not log_lines(bad, "refused") or not log_lines(bad, "0x10")
    bad.bridge.stop()
    assert log_lines(bad, "stopped", " 0 refused")


LOST = {"aiva/jobs/+/command/+": "commands to jobs", "aiva/bridge/command/+": "commands to the br",
        "aiva/bridge/state": "last will", "aiva/jobs/+/state": "changed while",
        "aiva/bridge/jobs": "first start"}


@pytest.mark.parametrize("version, code", [("5", 0x87), ("5", 0x80), ("5", 0x8F), ("3.1.1", 0x80)])
@pytest.mark.parametrize("pattern", LOST)
def test_a_refused_subscription_is_reported(bad, pattern, version, code):
    """With what does not work; everything else does."""
    bad.broker.on_subscribe = lambda one: code if one == pattern else None
    bad.start([job("one")], {"mqtt.version": version})
    bad.stream_marker()
    assert len(log_lines(bad, "refused", pattern, LOST[pattern])) == 1
    assert len(log_lines(bad, "refused")) == 1
    if not pattern.startswith("aiva/jobs/+/command"):
        assert bad.command("one", "refresh")["ok"]


def test_all_subscriptions_refused(bad):
    """It still publishes."""
    bad.broker.on_subscribe = lambda one: 0x87
    bad.start([job("one")])
    bad.stream_marker()
    assert len(log_lines(bad, "refused the subscription")) == len(LOST)


def test_a_connection_that_ends_is_no_refused_subscription(bad):
    """The link goes before the SUBACK: nobody is told to look at access rules."""
    def kick(_):
        bad.broker.on_subscribe = lambda one: None
        bad.broker.kick()
    bad.broker.on_subscribe = kick
    bad.start([job("one")])
    bad.stream_marker()
    assert len(bad.broker.connects) == 2
    assert not log_lines(bad, "refused the subscription")


def test_quota_exceeded_is_not_the_end_of_later_messages(bad):
    """0x97 for a while: what comes after it arrives."""
    bad.start([job("one")])
    bad.broker.on_publish = lambda packet: 0x97
    bad.simulator.set_job("one", status="processing", progress=1)
    bad.broker.wait(lambda: any(b'"progress":1' in packet.payload
                                for packet in bad.broker.published(of_job("one", "state"))),
                    "the refused state")
    bad.broker.on_publish = lambda packet: None
    bad.simulator.set_job("one", status="processing", progress=2)
    bad.wait_state("one", progress=2)


def test_what_was_refused_for_a_while_is_said_again(bad):
    """Quota and permission come back; then what stands on the topics is true, though nobody
    speaks of the jobs again: a new status, a job that is gone, the counts."""
    bad.start([job("one"), job("gone", "completed")])
    counts = bad.recorder.wait_topic(of_bridge("jobs")).json
    assert (counts["total"], counts["completed"]) == (2, 1)
    bad.broker.on_publish = lambda packet: 0x97 if packet.topic.startswith("aiva/jobs/one/") \
        else 0x87
    since = bad.broker.mark()
    bad.simulator.set_job("one", status="completed")
    bad.simulator.vanish("gone")
    bad.recorder.publish(of_bridge("command/refresh"), b"x")
    for topic in (of_job("one", "state"), of_job("gone", "state"), of_bridge("jobs")):
        bad.broker.wait_packet("PUBLISH", since, topic=topic)
    bad.broker.on_publish = lambda packet: None
    bad.broker.wait(lambda: of_job("gone", "state") not in bad.broker.retained
                    and b'"completed"' in bad.broker.retained[of_job("one", "state")].payload
                    and b'"total":1' in bad.broker.retained[of_bridge("jobs")].payload,
                    "the truth on the topics")
    assert len(bad.broker.connects) == 1


def test_what_is_too_large_is_not_said_again(bad):
    """Trying again could not help."""
    bad.broker.on_publish = lambda packet: {"aiva/jobs/large/state": 0x95,
                                            "aiva/jobs/denied/state": 0x87}.get(packet.topic)
    bad.simulator.put_jobs([job("large", "completed"), job("denied", "completed")])
    bad.bridge.start()
    bad.broker.wait_packet("PUBLISH", topic=of_job("denied", "state"), count=2)
    bad.stream_marker()
    assert len(bad.broker.published(of_job("large", "state"))) == 1


def test_a_late_acknowledgement_is_enough(bad):
    """Held for a while, then given: nothing is sent twice."""
    bad.start([job("one")])
    since = bad.broker.mark()
    bad.broker.on_publish = lambda packet: Answer.HOLD
    bad.simulator.set_job("one", status="completed")
    bad.broker.wait_packet("PUBLISH", since, topic=of_job("one", "event"))
    bad.broker.on_publish = lambda packet: None
    bad.broker.release()
    bad.stream_marker()
    assert len(bad.broker.published(of_job("one", "event"), since)) == 1


def test_acknowledgements_out_of_order(bad):
    """Each frees its own publication."""
    bad.start([job("one", progress=99)])  # known as a whole: nothing of it is asked for any more
    since = bad.broker.mark()
    bad.broker.on_publish = lambda packet: Answer.HOLD
    for number in range(5):
        bad.simulator.set_job("one", status="processing", progress=number)
    bad.broker.wait_packet("PUBLISH", since, 5, topic=of_job("one", "state"))
    bad.broker.on_publish = lambda packet: None
    assert bad.broker.release(reversed) >= 5
    bad.stream_marker()
    said = bad.broker.published(of_job("one", "state"), since)
    assert [json.loads(packet.payload)["progress"] for packet in said] == list(range(5))
    bad.bridge.stop()
    assert bad.retained()[of_bridge("state")].payload == b"offline"


def test_refused_retained_topics_are_a_reason_not_to_be_ready(bad):
    """Access rules that let nothing pass, and then do: not ready meanwhile, and the log has both."""
    listener = Listener(free_port())
    bad.broker.on_publish = lambda packet: 0x87 if packet.retain else None
    bad.simulator.put_jobs([job("one")])
    bad.bridge.start({"http.listen": f"127.0.0.1:{listener.port}"})
    wait_until(lambda: log_lines(bad, "streaming"), "the stream")
    listener.wait_ready(False)
    wait_until(lambda: log_lines(bad, "the broker refuses retained topics", "--print-acl"), "the warning")
    reasons = listener.readiness()[1]["reasons"]
    assert any("the broker refuses aiva/" in reason and "uthorized" in reason for reason in reasons), reasons
    bad.broker.on_publish = lambda packet: None
    listener.wait_ready()
    assert log_lines(bad, "takes all retained topics again")
