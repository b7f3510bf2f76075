"""The flows of config/node-red in a real Node-RED: imported, pressed, and their effects seen outside."""

import html
import json
import re
import signal

import pytest
from harness.simulator import KEY
from harness.waiting import wait_until
from nodered import OTHER_ROOT, named, with_setting


def button(lab, name):
    return named(lab.flows, "inject", name)


def rows(page):
    """The table's rows as lists of texts, without the head."""
    return [[html.unescape(re.sub(r"<[^>]+>", " ", cell)).split() for cell in re.findall(r"<td.*?>(.*?)</td>", row)]
            for row in re.findall(r"<tr>(.*?)</tr>", page, flags=re.S) if "<td" in row]


def row_of(lab, name):
    """The page's row for a job, or None."""
    return next((row for row in rows(lab.node_red.page()) if row[0][-1:] == [name]), None)


def wait_row(lab, name, *words):
    """The row of a job once it shows these words."""
    return wait_until(lambda: (row := row_of(lab, name)) and all(w in sum(row, []) for w in words) and row,
                      f"a row with {name} {words}", pause=0.05)


def test_a_job_that_ends_is_told_once(lab):
    since = lab.notifier.mark()
    done, lost = lab.create("processing"), lab.create("processing")
    lab.simulator.set_job(done, status="completed", message="Job completed successfully.")
    lab.simulator.set_job(lost, status="failed", message="Out of memory.")
    told = lab.notifier.wait_for(since, f"Sample {done}")
    assert told == {"title": "AIVA job completed", "level": "info",
                    "text": f"Sample {done}: Job completed successfully."}
    told = lab.notifier.wait_for(since, f"Sample {lost}")
    assert told == {"title": "AIVA job failed", "level": "alarm", "text": f"Sample {lost}: Out of memory."}
    # Neither their beginnings nor a second word of an end.
    event = lab.recorder.last(f"aiva/jobs/{lost}/event")
    lab.recorder.publish(event.topic, event.payload)
    last = lab.create("processing")
    lab.simulator.set_job(last, status="cancelled")
    lab.notifier.wait_for(since, f"Sample {last} has been cancelled.")
    assert [len(lab.notifier.about(since, name)) for name in (done, lost, last)] == [1, 1, 1]


def test_cancel_reaches_aiva_and_the_answer_comes_back(lab):
    since, name = lab.notifier.mark(), lab.create("processing")
    lab.node_red.press(button(lab, "cancel this job"), payload=name)
    assert lab.notifier.wait_for(since, "AIVA cancel: done")["text"] == f"{name} is cancelled."
    assert lab.simulator.jobs()[name]["status"] == "cancelled"
    assert lab.results(name)[0]["ok"]


def test_cancel_tells_why_it_did_not_work(lab):
    since, name = lab.notifier.mark(), lab.create("completed")
    lab.node_red.press(button(lab, "cancel this job"), payload=name)
    notice = lab.notifier.wait_for(since, "AIVA cancel: not done")
    assert notice["level"] == "alarm"
    assert notice["text"] == f"{name}: {lab.results(name)[0]['detail']}"


def test_cancels_at_the_same_time_get_their_own_answers(lab):
    since, names = lab.notifier.mark(), [lab.create(status) for status in ("queued", "completed", "processing")]
    lab.simulator.fault("cancel", delay_ms=200)
    for name in names:
        lab.node_red.press(button(lab, "cancel this job"), payload=name)
    lab.notifier.wait_for(since, f"{names[0]} is cancelled.")
    lab.notifier.wait_for(since, f"{names[1]}: ")
    lab.notifier.wait_for(since, f"{names[2]} is cancelled.")


def test_cancel_of_an_id_with_every_character(lab):
    since, name = lab.notifier.mark(), "$a/b+c#d%é\x01"
    lab.node_red.press(button(lab, "cancel this job"), payload=name)
    lab.recorder.wait_topic("aiva/jobs/%24a%2Fb%2Bc%23d%25é%01/command/cancel")
    lab.notifier.wait_for(since, "AIVA cancel: not done", name)


def test_cancel_without_an_id_asks_nobody(lab):
    since, mark = lab.notifier.mark(), lab.recorder.mark()
    lab.node_red.press(button(lab, "cancel this job"), payload="")
    lab.notifier.wait_for(since, "AIVA cancel: not done", "msg.payload has to be a job's id")
    assert not [one for one in lab.recorder.messages[mark:] if one.topic.endswith("/command/cancel")]


def test_page_shows_and_drops_jobs(lab):
    name = lab.create("processing", progress=42, message="Running variant annotation...")
    row = wait_row(lab, name, "processing", "42", "annotation...")
    assert row[0] == ["Sample", name, name]
    lab.simulator.set_job(name, status="completed")
    wait_row(lab, name, "completed")
    lab.simulator.vanish(name)
    assert lab.refresh()["ok"]
    wait_until(lambda: row_of(lab, name) is None, "the job to leave the page", pause=0.05)


@pytest.mark.parametrize("text", [
    "<script>alert('1')</script> & \"co\"", "<img src=x onerror=alert(1)>", "' onmouseover=alert(1) x='",
    "{{page.bridge}} {{{msg.payload}}} {{#page.jobs}} {{=<% %>=}}", "</td></table><a href=//evil.example>a</a> | `b`"])
def test_page_shows_words_of_others_as_they_are(lab, text):
    """As text, whoever they are from: who named the sample, or AIVA."""
    name = lab.create("processing", sample_name=text, message=f"m {text}")
    row = wait_row(lab, name, "processing")
    assert row[0] == [*text.split(), name]
    assert row[3] == ["m", *text.split()]
    page = lab.node_red.page()
    assert text not in page
    assert not re.search("<(script|img|a)\\b|onmouseover=", page)


def test_page_says_how_the_bridge_is(lab):
    wait_until(lambda: "Bridge: online &middot; AIVA: streaming" in lab.node_red.page(), "the bridge on the page",
               pause=0.05)


def test_everything_unfinished_is_cancelled(lab, changed):
    flows = json.loads(json.dumps(lab.flows))
    everything = named(flows, "inject", "cancel everything")
    assert everything["d"], "the button is disabled as shipped"
    del everything["d"]
    changed(flows)
    before = [name for name, job in lab.simulator.jobs().items() if job["status"] in ("queued", "processing")]
    names = [*before, lab.create("queued"), lab.create("processing")]
    spared = lab.create("upload_pending")
    for name in names:
        wait_row(lab, name)
    mark, since = lab.recorder.mark(), lab.notifier.mark()
    lab.node_red.press(everything)
    lab.notifier.wait_for(since, "AIVA cancel: everything", f"{len(names)} of {len(names)} are cancelled.", timeout=60)
    jobs = lab.simulator.jobs()
    assert {jobs[name]["status"] for name in names} == {"cancelled"}
    assert jobs[spared]["status"] == "upload_pending"
    asked = [one.topic for one in lab.recorder.messages[mark:] if one.topic.endswith("/command/cancel")]
    assert sorted(asked) == sorted(f"aiva/jobs/{name}/command/cancel" for name in names)
    since = lab.notifier.mark()
    lab.node_red.press(everything)
    lab.notifier.wait_for(since, "There was nothing to cancel.")


def test_without_a_bridge_a_cancel_is_answered_in_time_and_not_done_later(lab):
    name = lab.create("processing")
    lab.bridge.stop()
    since = lab.notifier.mark()
    lab.node_red.press(button(lab, "cancel this job"), payload=name, timeout=1)
    notice = lab.notifier.wait_for(since, "AIVA cancel: not done", name)
    assert "has not answered in time" in notice["text"]
    lab.start()
    lab.command_marker()
    assert lab.simulator.jobs()[name]["status"] == "processing"


def test_watchdog_tells_of_a_bridge_that_is_away(lab, changed):
    changed(with_setting(lab.flows, "ALARM_AFTER_S", 1))
    since = lab.notifier.mark()
    lab.bridge.stop()
    assert lab.notifier.wait_for(since, "The bridge is offline.")["level"] == "alarm"
    assert "Bridge: offline" in lab.node_red.page()
    lab.start()
    assert lab.notifier.wait_for(since, "All is well again.")["level"] == "info"
    assert len(lab.notifier.about(since, "AIVA bridge")) == 2


def test_watchdog_tells_of_aiva(lab, changed):
    changed(with_setting(lab.flows, "ALARM_AFTER_S", 1))
    since = lab.notifier.mark()
    lab.simulator.set_key("another-key")
    lab.notifier.wait_for(since, "AIVA is unauthorized: ")
    lab.simulator.set_key(KEY)
    lab.bridge.send(signal.SIGHUP)
    lab.notifier.wait_for(since, "All is well again.")


def test_a_restart_of_the_bridge_rings_nobody(lab):
    since = lab.notifier.mark()
    lab.restart()
    name = lab.create("processing")
    lab.simulator.set_job(name, status="completed")
    lab.notifier.wait_for(since, name)
    assert not lab.notifier.about(since, "AIVA bridge")


def test_after_a_broker_without_memory_the_page_is_right_again(lab, changed):
    changed(with_setting(lab.flows, "ALARM_AFTER_S", 1))
    name = lab.create("processing")
    wait_row(lab, name)
    lab.bridge.stop()
    since = lab.notifier.mark()
    lab.broker.end()
    lab.notifier.wait_for(since, "Node-RED has no connection to the broker.")
    lab.node_red.press(button(lab, "cancel this job"), payload=name, timeout=1)
    lab.notifier.wait_for(since, "AIVA cancel: not done", "has not answered in time")
    lab.broker.start()
    lab.notifier.wait_for(since, "Nothing is known of the bridge: aiva/bridge/state is empty.")
    assert rows(lab.node_red.page()) == [[["No", "jobs."]]]
    lab.start()
    lab.notifier.wait_for(since, "All is well again.")
    wait_row(lab, name, "processing")


def test_another_root_is_one_setting(lab, changed):
    lab.bridge.stop()
    mark = lab.recorder.mark()
    lab.bridge.start({"mqtt.topic": OTHER_ROOT})
    try:
        name = lab.known_upstream()
        lab.recorder.wait_topic(f"{OTHER_ROOT}/bridge/upstream", mark, state="streaming")
        changed(with_setting(lab.flows, "ROOT", OTHER_ROOT))
        wait_until(lambda: "Bridge: online" in lab.node_red.page(), "the bridge on the page", pause=0.05)
        since = lab.notifier.mark()
        lab.node_red.press(button(lab, "cancel this job"), payload=name)
        lab.notifier.wait_for(since, f"{name} is cancelled.")
        wait_row(lab, name, "cancelled")
        lab.notifier.wait_for(since, "AIVA job cancelled", name)
    finally:
        lab.bridge.stop()
        lab.start()
