"""What goes wrong in a soak, and how it is mended."""

import contextlib
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from paho.mqtt import client as mqtt

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from harness.mqttclient import new_client  # noqa: E402

from history import ROOT  # noqa: E402

NO_STREAM = (204, 404, 405, 406, 501)
KINDS = ("stream", "list", "status", "any")


@dataclass
class Fault:
    """`begin` and `end` take the world; `seconds` pass between them."""

    kind: str
    begin: Callable
    end: Callable = None
    seconds: float = 0.0


def _simulated(name, text, faults, cut=False):
    """A fault of the simulator's; with `cut` the stream meets it at once."""
    def begin(world):
        for what in faults:
            world.simulator.fault(**what)
        if cut:
            world.simulator.cut()
    return lambda seconds: Fault(f"{name}: {text}", begin,
                                 lambda world: world.simulator.clear_faults(), seconds)


def _refusals(chance, patient):
    codes = [429, 500, 503] + ([] if patient else [401, 403])
    on = chance.choice(KINDS)
    if on in ("stream", "any"):
        codes += NO_STREAM
    code = chance.choice(codes)
    what = {"on": on, "status": code, "times": chance.randint(1, 4)}
    if code in (429, 503) and chance.random() < 0.7:
        what["retry_after"] = str(chance.randint(1, 3))
    cut = on in ("stream", "any")
    return _simulated("AIVA", f"{code} on {on}", [what], cut)


def _strange_answers(chance, _patient):
    name, faults, cut = chance.choice((
        ("wrong content type", [{"on": "stream", "content_type": "text/html", "times": 2}], True),
        ("stream without a sound", [{"on": "stream", "stall": True, "times": 2}], True),
        ("stream in crumbs", [{"on": "stream", "chunk": chance.randint(1, 3), "times": 0}], True),
        ("stream cut at its beginning",
         [{"on": "stream", "cut_after": chance.randint(-1, 400), "times": 2}], True),
        ("list cut short",
         [{"on": "list", "cut_after": chance.randint(-1, 3000), "times": 2}], False),
        ("list that is not JSON", [{"on": "list", "body": "<html>", "times": 2}], False),
        ("list that is no array", [{"on": "list", "body": '{"jobs": []}', "times": 2}], False),
        ("list that breaks off", [{"on": "list", "body": '[{"job_id": "x"', "times": 2}], False),
        ("late list", [{"on": "list", "delay_ms": chance.randint(300, 4000), "after_work": True,
                        "times": 3}], chance.random() < 0.5),
        ("late status", [{"on": "status", "delay_ms": chance.randint(300, 4000),
                          "after_work": True, "times": 12}], chance.random() < 0.5),
        ("status cut short", [{"on": "status", "cut_after": 20, "times": 6}], False),
        ("status that is not JSON", [{"on": "status", "body": "no", "times": 6}], False),
        ("late commands", [{"on": on, "delay_ms": chance.randint(300, 3000),
                            "after_work": chance.random() < 0.5, "times": 3}
                           for on in ("cancel", "delete")], False),
        ("commands without an answer", [{"on": on, "cut_after": chance.choice((-1, 0, 5)),
                                         "after_work": chance.random() < 0.5, "times": 2}
                                        for on in ("cancel", "delete")], False),
        ("commands refused for a while", [{"on": on, "status": chance.choice((429, 500, 503)),
                                           "retry_after": "1", "times": 2}
                                          for on in ("cancel", "delete")], False)))
    return _simulated("AIVA", name, faults, cut)


def _cut_stream(chance, _patient):
    hard = chance.random() < 0.5
    return lambda _seconds: Fault(f"AIVA: stream cut {'hard' if hard else 'soft'}",
                                  lambda world: world.simulator.cut(hard))


def _network(side):
    """Faults of a relay."""
    def choose(chance, _patient):
        what = chance.choice(("fin", "rst", "middle", "black", "refuse", "refuse",
                              "stall-up", "stall-down", "stall", "slow", "crumbs"))

        def relay(world):
            return world.to_broker if side == "broker" else world.to_aiva

        def begin(world):
            if what in ("fin", "rst", "middle"):
                relay(world).cut(what)
            elif what == "black":
                relay(world).blacken()
            elif what == "refuse":
                relay(world).refuse(True)
                relay(world).cut("fin")
            elif what == "stall":
                relay(world).set_mode("stall-up", True)
                relay(world).set_mode("stall-down", True)
            else:
                relay(world).set_mode(what, True)

        return lambda seconds: Fault(f"network to {side}: {what}", begin,
                                     lambda world: relay(world).heal(), seconds)
    return choose


def _restart_broker(chance, _patient):
    number = chance.choice((signal.SIGTERM, signal.SIGKILL))
    pause = chance.uniform(0, 1.5)
    return lambda _seconds: Fault(f"broker: {number.name} and restart",
                                  lambda world: world.restart_broker(number, pause))


def _freeze_broker(_chance, _patient):
    return lambda seconds: Fault(
        "broker: SIGSTOP, SIGCONT", lambda world: world.broker.send(signal.SIGSTOP),
        lambda world: world.broker.send(signal.SIGCONT), seconds)


def _end_bridge(chance, _patient):
    how = chance.choice(("kill", "term"))

    def begin(world):
        if world.bridge.running:
            world.stop_bridge(how)

    def end(world):
        if not world.bridge.running:
            world.start_bridge()

    return lambda seconds: Fault(f"bridge: {how} and restart", begin, end, seconds / 2)


def _hang_up(_chance, _patient):
    def begin(world):
        if world.bridge.running:
            world.bridge.send(signal.SIGHUP)
    return lambda _seconds: Fault("bridge: SIGHUP", begin)


def _write_offline(_chance, _patient):
    return lambda _seconds: Fault(
        "somebody writes offline",
        lambda world: world.observer.publish(f"{ROOT}/bridge/state", "offline", retain=True))


def _steal_id(_chance, _patient):
    """Another client with the bridge's id: the broker throws the bridge out."""
    def begin(world):
        thief = new_client("aiva-mqtt-bridge", protocol=mqtt.MQTTv311)
        with contextlib.suppress(OSError):
            thief.connect("127.0.0.1", world.broker.port)
            thief.loop_start()
            time.sleep(0.2)
            thief.disconnect()
            thief.loop_stop()
    return lambda _seconds: Fault("somebody takes the bridge's client id", begin)


def _burst(chance, _patient):
    raw = chance.random() < 0.7
    return lambda _seconds: Fault("burst of 2,000 events",
                                  lambda world: world.jobs.burst(2000, raw))


CHOICES = ((_refusals, 4), (_strange_answers, 6), (_cut_stream, 3), (_network("broker"), 5),
           (_network("AIVA"), 5), (_restart_broker, 3), (_freeze_broker, 1), (_end_bridge, 3),
           (_hang_up, 1), (_write_offline, 1), (_steal_id, 1), (_burst, 2))


def choose(chance, patient):
    """The next fault. In patient times nothing happens that the bridge rests a minute after."""
    makers, weights = zip(*CHOICES)
    make = chance.choices(makers, weights)[0](chance, patient)
    return make(min(chance.expovariate(1 / 2.0) + 0.1, 7.0))
