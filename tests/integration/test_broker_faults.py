"""A broker that loses, delays and cuts: everything arrives, in order, and nothing else suffers."""

import re
import threading
import time

import pytest
from harness.bad_broker import Answer
from harness.topics import of_bridge, of_job
from harness.waiting import wait_until
from harness.world import job


def numbers(world, name="one", since=0):
    """The numbered states of a job as subscribers saw them."""
    return [one.json["n"] for one in world.states(name, since) if "n" in one.json]


def emit(world, count, name="one", first=0):
    for number in range(first, first + count):
        world.simulator.emit({"job_id": name, "status": "processing", "n": number})


def sent(world, session):
    """The numbers of the states that one connection brought, in order."""
    return [int(packet.payload.split(b'"n":')[1].split(b",")[0].rstrip(b"}"))
            for packet in world.broker.published()
            if packet.session == session and b'"n":' in packet.payload]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [1, 2])
def test_what_was_not_acknowledged_is_sent_again(bad, version, qos):
    """Oldest first, in order, nothing left out."""
    bad.start([job("one")], {"mqtt.version": version, "mqtt.qos": qos})
    first = bad.broker.session.number
    bad.broker.on_publish = lambda packet: Answer.LOST if packet.session == first else None
    emit(bad, 30)
    wait_until(lambda: len(sent(bad, first)) >= 10, "some that are not acknowledged")
    bad.broker.kick()
    wait_until(lambda: 29 in numbers(bad), "the last")
    assert numbers(bad)[:30] == list(range(30))
    # After a reconnect every job's present state is published once more.
    assert set(numbers(bad)[30:]) <= {29}
    assert sent(bad, bad.broker.session.number)[:30] == list(range(30))


def test_with_qos_0_the_topics_are_right_after_a_loss(bad):
    """Nothing is acknowledged, and so nothing sent again; but each job's present state is, and the topic
    of one that has gone is cleared once more."""
    bad.start([job("one"), job("gone")], {"mqtt.qos": 0})
    first = bad.broker.session.number
    bad.broker.on_publish = lambda packet: Answer.LOST if packet.session == first else None
    emit(bad, 30)
    bad.broker.wait(lambda: 29 in sent(bad, first), "the last that is lost")
    bad.simulator.vanish("gone")
    bad.simulator.cut()
    bad.broker.wait(lambda: bad.broker.published(of_job("gone", "state"))[-1].payload == b"",
                    "the clearing that is lost")
    assert of_job("gone", "state") in bad.broker.retained and not numbers(bad)
    bad.broker.kick()
    bad.wait_state("one", n=29)
    wait_until(lambda: of_job("gone", "state") not in bad.broker.retained, "the topic to be cleared")
    assert set(sent(bad, bad.broker.session.number)) == {29}


def test_only_what_was_not_acknowledged_is_sent_again(bad):
    """The first ten are done; the rest comes again, in order per topic."""
    bad.start([job("one"), job("two")])
    bad.broker.on_publish = lambda packet: \
        None if b'"n":' in packet.payload and sent(bad, packet.session)[-1] < 10 else Answer.LOST
    for number in range(30):
        emit(bad, 1, ("one", "two")[number % 2], number)
    first = bad.broker.session.number
    wait_until(lambda: len(sent(bad, first)) == 30, "all to be sent")
    bad.broker.on_publish = lambda packet: None
    bad.broker.kick()
    wait_until(lambda: 29 in numbers(bad, "two"), "the last")
    assert numbers(bad, "one")[:15] == list(range(0, 30, 2))
    assert numbers(bad, "two")[:15] == list(range(1, 30, 2))
    assert sent(bad, bad.broker.session.number)[:20] == list(range(10, 30))


@pytest.mark.parametrize("answer", [Answer.CUT, Answer.CLOSE], ids=str)
def test_a_connection_that_breaks_again_and_again(bad, answer):
    """Each connection gets a few through: in the end all are there, in order."""
    bad.start([job("one")])
    left = [3]

    def rule(packet):
        if b'"n":' not in packet.payload or not left[0]:
            return None
        if sent(bad, packet.session)[-1] % 20 == 19:
            left[0] -= 1
            return answer
        return None
    bad.broker.on_publish = rule
    emit(bad, 60)
    wait_until(lambda: numbers(bad)[-1:] == [59], "the last", 60)
    last = sorted(set(numbers(bad)))
    assert last == list(range(60))
    assert len(bad.broker.connects) == 4


def test_a_silent_broker_does_not_lose_what_comes_later(bad):
    """No acknowledgement at all for a while; then they come, late."""
    bad.start([job("one")])
    bad.broker.on_publish = lambda packet: Answer.HOLD
    emit(bad, 200)
    wait_until(lambda: len(bad.broker.session.held) >= 50, "half a window")
    bad.broker.on_publish = lambda packet: None
    bad.broker.release()
    bad.stream_marker()
    assert numbers(bad) == list(range(200))


def test_an_acknowledgement_that_never_comes(bad):
    """MQTT has no other cure than a new connection. Nothing else is sent twice."""
    bad.broker.connack_properties = {"server_keep_alive": 2}
    bad.start([job("one")])
    connects = len(bad.broker.connects)
    lost = [b'"n":1']
    bad.broker.on_publish = lambda packet: \
        Answer.LOST if lost and lost[0] in packet.payload and lost.pop() else None
    emit(bad, 4)
    wait_until(lambda: set(numbers(bad)) == {0, 1, 2, 3}, "what was not acknowledged")
    wait_until(lambda: numbers(bad)[-1] == 3, "the last state, after it")
    assert len(bad.broker.connects) == connects + 1
    assert "no acknowledgement for too long" in bad.bridge.output()


@pytest.mark.slow
def test_a_message_that_is_never_acknowledged(bad):
    """It is given up in the end: otherwise all would be published again and again."""
    bad.broker.connack_properties = {"server_keep_alive": 2}
    bad.start([job("one")])
    bad.broker.on_publish = lambda packet: Answer.LOST if b'"n":1' in packet.payload else None
    emit(bad, 4)
    wait_until(lambda: "each time it was sent, or never answered" in bad.bridge.output(), "the end", 60)
    connects = len(bad.broker.connects)
    time.sleep(7)
    assert len(bad.broker.connects) == connects


def test_a_broker_that_stops_reading(bad):
    """Its receive buffer fills; when it goes on, nothing is missing."""
    bad.start([job("one")])
    bad.broker.freeze()
    for number in range(40):
        bad.simulator.emit({"job_id": "one", "status": "processing", "n": number,
                            "x": "x" * 500000})
    wait_until(lambda: bad.simulator.stats()["streams_open"] == 1, "the stream")
    bad.broker.thaw()
    wait_until(lambda: numbers(bad)[-1:] == [39], "the last", 60)
    assert numbers(bad) == list(range(40))


def pause(world, name):
    """Fills the queue, which the broker does not take, until the stream is paused."""
    world.broker.on_publish = lambda packet: Answer.HOLD
    emit(world, 200, name)
    wait_until(lambda: "stream is paused" in world.bridge.output(), "the pause")


def resume(world):
    world.broker.on_publish = lambda packet: None
    world.broker.release()


def test_a_full_queue_stops_the_questions_too(bad):
    """While the stream is paused no status and no list is asked for: the answers would have to
    wait in memory. Afterwards the questions go on."""
    bad.simulator.put_jobs([job(f"j{number}") for number in range(60)])
    bad.simulator.fault("status", times=0, delay_ms=200)
    bad.bridge.start({"mqtt.queue_limit": 10, "aiva.resync_interval_s": 1})
    bad.wait_upstream("streaming")
    wait_until(lambda: bad.simulator.requests("status") > 4, "a round of status calls")
    pause(bad, "j1")
    before = bad.simulator.requests("status"), bad.simulator.requests("list")
    # Not a wait for something: that nothing is asked for some time is the thing itself.
    time.sleep(1.5)
    after = bad.simulator.requests("status"), bad.simulator.requests("list")
    assert after == before
    resume(bad)
    wait_until(lambda: bad.simulator.requests("status") > after[0]
               and bad.simulator.requests("list") > after[1], "more questions")


def test_a_list_for_details_that_a_pause_holds_up(bad):
    """It is wanted while the stream is paused; the lists after it remove what has vanished."""
    bad.start([job("gone", "completed"), job("one")],
              {"mqtt.queue_limit": 10, "aiva.list_interval_s": 1, "aiva.resync_interval_s": 2})
    bad.simulator.set_job("new", status="queued")
    pause(bad, "one")
    time.sleep(1.5)
    resume(bad)
    bad.simulator.vanish("gone")
    lists = bad.simulator.requests("list")
    bad.wait_event("gone", event_type="deleted")
    wait_until(lambda: bad.simulator.requests("list") >= lists + 2, "lists that go on")


# --- poison


def close_on(world, *topics, otherwise=None):
    """The broker drops the link whenever one of the topics comes."""
    world.broker.on_publish = lambda packet: \
        Answer.CLOSE if packet.topic in topics else otherwise


def test_a_poisonous_message_is_given_up(bad):
    """After a few tries; everything else arrives, and the connection holds."""
    bad.start([job("one")])
    close_on(bad, of_job("bad", "state"))
    bad.simulator.set_job("bad", status="queued")
    emit(bad, 50)
    bad.stream_marker(90)
    assert len(bad.broker.published(of_job("bad", "state"))) <= 6
    assert "each time it was sent, or never answered" in bad.bridge.output()
    assert of_job("bad", "state") in bad.bridge.output()
    assert sorted(set(numbers(bad))) == list(range(50))
    connects = len(bad.broker.connects)
    assert connects <= 7
    assert bad.events("bad")
    assert bad.command("one", "refresh")["ok"]
    assert len(bad.broker.connects) == connects


def test_a_poisonous_message_among_late_acknowledgements(bad):
    """The broker acknowledges a moment later, and not at all what came shortly before the poison:
    the culprit is found all the same."""
    bad.start([job("one")])
    close_on(bad, of_job("bad", "state"), otherwise=Answer.LATE)
    emit(bad, 5)
    bad.simulator.set_job("bad", status="queued")
    emit(bad, 10, first=5)
    bad.stream_marker(120)
    assert sorted(set(numbers(bad))) == list(range(15))
    assert len(bad.broker.published(of_job("bad", "state"))) <= 6
    assert len(bad.broker.connects) <= 8
    assert "refused and is dropped" in bad.bridge.output()
    assert of_job("bad", "state") in bad.bridge.output()


@pytest.mark.slow
def test_a_poisonous_message_that_takes_its_time(bad):
    """The link goes some seconds later, when others have been acknowledged long since."""
    bad.start([job("one")])

    def rule(packet):
        if packet.topic != of_job("bad", "state"):
            return None
        threading.Timer(3, bad.broker.kick).start()
        return Answer.LOST
    bad.broker.on_publish = rule
    bad.simulator.set_job("bad", status="queued")
    emit(bad, 5)
    wait_until(lambda: "refused and is dropped" in bad.bridge.output(), "the end of it", 90)
    connects = len(bad.broker.connects)
    bad.stream_marker(60)
    # Nothing is under way any more that could end the link.
    time.sleep(5)
    assert len(bad.broker.connects) <= connects + 1
    assert set(numbers(bad)) == set(range(5))


@pytest.mark.slow
def test_two_poisonous_messages(bad):
    """Both are given up; what is between them arrives."""
    bad.start([job("one")])
    close_on(bad, of_job("bad", "state"), of_job("worse", "state"))
    bad.simulator.set_job("bad", status="queued")
    emit(bad, 5)
    bad.simulator.set_job("worse", status="queued")
    emit(bad, 5, first=5)
    bad.stream_marker(150)
    assert sorted(set(numbers(bad))) == list(range(10))
    for name in ("bad", "worse"):
        assert len(bad.broker.published(of_job(name, "state"))) <= 6


def ask(world, *topics):
    """A refresh with each Response Topic; all are answered on the result topic. A command that is
    sent while the bridge is away is not carried out, so it is sent again."""
    for number, topic in enumerate(topics):
        since = world.recorder.mark()

        def answered(number=number, topic=topic, since=since):
            if world.recorder.select(of_job("one", "result"), since):
                return True
            if world.broker.session:
                world.recorder.publish(of_job("one", "command/refresh"), b'{"id": %d}' % number,
                                       response_topic=topic)
            time.sleep(0.1)
            return False
        wait_until(answered, f"the answer {number}", 60)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_poisonous_response_topic_costs_one_connection(bad, qos):
    """The answer is given up at once, and so is every later one to that topic; others go on."""
    bad.start([job("one")], {"mqtt.qos": qos})
    close_on(bad, "aiva/response/bad")
    connects = len(bad.broker.connects)
    began = time.monotonic()
    ask(bad, *["aiva/response/bad"] * 3, "aiva/response/good")
    wait_until(lambda: bad.recorder.select("aiva/response/good"), "the other answer")
    assert time.monotonic() - began < 8
    assert len(bad.broker.connects) == connects + 1
    assert len(bad.broker.published("aiva/response/bad")) == 1
    for line in ("to the Response Topic aiva/response/bad: it gets none",
                 "the Response Topic aiva/response/bad is refused"):
        wait_until(lambda line=line: line in bad.bridge.output(), line)


def test_poisonous_response_topics_at_once(bad):
    """Each is found, the innocent one among them gets its answer, and no wait grows."""
    bad.start([job(f"p{number}", "completed") for number in range(5)])
    poison = [f"aiva/response/bad/{number}" for number in range(4)]
    close_on(bad, *poison, otherwise=Answer.LATE)
    connects = len(bad.broker.connects)
    bad.broker.freeze()
    for number, topic in enumerate([*poison[:2], "aiva/response/good", *poison[2:]]):
        bad.recorder.publish(of_job(f"p{number}", "command/refresh"), b"x", response_topic=topic)
    wait_until(lambda: bad.bridge.output().count("the command refresh for p") == 5, "all answers")
    bad.broker.thaw()
    bad.recorder.wait_topic("aiva/response/good", timeout=60)
    wait_until(lambda: all(f"Response Topic {topic}: it gets none" in bad.bridge.output()
                           for topic in poison), "all of them", 60)
    bad.stream_marker(60)
    assert len(bad.broker.connects) <= connects + len(poison) + 1
    waits = [float(wait) for wait in
             re.findall("no connection to the broker.*next attempt in ([0-9.]+) s", bad.bridge.output())]
    assert len(waits) >= len(poison) and max(waits) <= 1


def test_new_poisonous_response_topics_come_to_an_end(bad):
    """Whoever makes up new ones ends the connection sixteen times an hour, and no more."""
    bad.start([job("one")], {"commands.rate_per_s": 1000, "commands.burst": 1000})
    bad.broker.on_publish = lambda packet: \
        Answer.CLOSE if packet.topic.startswith("aiva/response/") else None
    connects = len(bad.broker.connects)
    ask(bad, *[f"aiva/response/{number}" for number in range(20)])
    bad.stream_marker()
    assert len(bad.broker.connects) == connects + 16
    assert len(bad.broker.published()) > 16
    assert not bad.broker.published("aiva/response/16")


@pytest.mark.parametrize("leaf", ["info", "jobs", "upstream"])
def test_a_poisonous_topic_of_the_bridge_s_own(bad, leaf):
    """A broker that answers a missing right by ending the connection (many in the cloud do)."""
    close_on(bad, of_bridge(leaf))
    bad.simulator.put_jobs([job("one")])
    bad.bridge.start()
    bad.recorder.wait_topic(of_job("one", "state"), timeout=120)
    bad.stream_marker(120)
    wait_until(lambda: of_bridge(leaf) in bad.bridge.output(), "the topic in the log", 120)


def test_losses_alone_convict_nobody(bad):
    """A broker that goes away often, whatever is sent: nothing is dropped."""
    bad.start([job("one")])
    kicks = [4]

    def rule(_):
        if kicks[0]:
            kicks[0] -= 1
            return Answer.CLOSE
        return None
    bad.broker.on_publish = rule
    emit(bad, 30)
    bad.stream_marker(90)
    assert sorted(set(numbers(bad))) == list(range(30))
    assert "is dropped" not in bad.bridge.output()
