"""Messages as the contract describes them, for running templates over: one list for each leaf."""

import json

from .topics import STATES

ODD = ["", " ", "\n", "x" * 300, "🧬" * 300, 'a "quoted" \\ one', "{{ 1 / 0 }} {% if %}", "None",
       "unknown", "<b>&amp;</b>", "'", "line\nbreak", "\u2028", "0"]
EMPTY = ""
UPSTREAM = ("connecting", "streaming", "polling", "unauthorized", "unavailable")


def job_states():
    """The state topic: every status, with little and with much, and with what AIVA may come to
    send."""
    least = [{"job_id": "j", "status": status, "observed_at": "2026-03-09T10:30:00.000Z"}
             for status in (*STATES, "archived", "None", "")]
    times = {"created_at": "2026-03-09T10:30:00Z", "updated_at": "2026-03-09T10:30:00.5+01:00"}
    full = [{**one, **times, "sample_name": "S", "progress": progress, "message": message,
             "completed_at": completed}
            for one in least
            for progress, message, completed in (
                (0, "m", "2026-03-09T10:45:00Z"), (99.5, None, None), (None, "", "2026-03-09"),
                (True, 7, 1773052500), ("45", {"a": [1]}, "2026-03-09T10:45:00"),
                ([1], ["x"], "2026-03-09T10:45:00.123456"))]
    odd = [{**least[2], **times, "sample_name": text, "message": text, "progress": 1}
           for text in ODD]
    foreign = ["[]", "null", "7", '"text"', "no JSON", "{}"]
    return [json.dumps(one) for one in (*least, *full, *odd)] + foreign + [EMPTY]


def job_events():
    """The event topic."""
    events = [{"job_id": "j", "event_type": kind, "previous": previous,
               "observed_at": "2026-03-09T10:30:00.000Z", "source": "stream", **more}
              for kind in (*STATES, "deleted", "archived", "None")
              for previous, more in ((None, {}), ("queued", {"sample_name": "S", "message": "m"}),
                                     ("archived", {"message": ODD[3], "sample_name": ODD[6]}))]
    return [json.dumps(one) for one in events] + [EMPTY]


def bridge_jobs():
    counts = {"total": 8, **dict.fromkeys(STATES, 1)}
    return [json.dumps(one) for one in (counts, {**counts, "archived": 2}, {"total": 0})] + [EMPTY]


def bridge_upstream():
    return [json.dumps({"state": state, "since": "2026-03-09T10:30:00.000Z", "detail": detail})
            for state in UPSTREAM for detail in ("", "d" * 1000, ODD[5])] + [EMPTY]


def bridge_info():
    info = {"version": "1.0.0", "started_at": "2026-03-09T10:30:00.000Z",
            "upstream_url": "https://api.aivaportal.com", "contract": 1}
    return [json.dumps(info), json.dumps({**info, "discovery": ["homeassistant"]}), EMPTY]


def bridge_state():
    return ["online", "offline", EMPTY]


def for_topic(topic):
    """The messages that may come on a topic of the bridge, whatever its root."""
    kinds = {"state": job_states, "event": job_events} if "/jobs/" in topic else {
        "jobs": bridge_jobs, "upstream": bridge_upstream, "info": bridge_info,
        "state": bridge_state}
    return kinds[topic.rsplit("/", 1)[1]]()
