"""The rules that a history of the bridge has to follow. Pure: records in, violations out.

The history has three views: the bytes that passed the relays on both sides of the bridge, what a
subscriber at the broker heard, and what the soak itself did to the upstream. Each change of a job
has a number (`n`); each event of the stream has one of its own (`e`) that list and status calls
never show, so that a publication tells what it comes from. The rules:

version   A published state shows a version that the upstream has had: n and status belong
          together, and a message belongs to its status.
order     Within one life of the bridge, a job's state never goes back. Only an event of the stream
          may bring an older n than a list has shown before, because the contract gives every
          event its publication, in the order of arrival; but then e goes on.
repeat    A publication that was made before comes again only where the broker was lost before the
          bridge can have seen its acknowledgement; the newest state of a job may be published
          again at any time. The same with a new time is said only where a refresh has asked for it,
          right ahead of its answer.
chain     Each change of status between two states of a job has exactly one event, directly behind
          the new state, and its `previous` is the status before. `deleted` is followed by the
          empty state, and nothing else is.
lost      Every event that the bridge has read has its state publication. That it has read an event
          follows from a publication of a later event of the same answer, since an answer is read
          in order, or from an orderly end of the answer that the bridge outlived without being
          told to hang up. Events about jobs that the bridge knows to be gone are to be skipped.
deleted   `deleted` is said only of jobs that the upstream may have lost by then.
command   Each command that the bridge has acknowledged is answered exactly once, unless that life
          of the bridge ended before the command's time was over.
heard     What the broker acknowledged reaches a subscriber, in order, unless that life of the
          broker ended right behind it; and the subscriber hears nothing of jobs that the bridge
          has not said.
spaced    Within one life of the bridge two messages about one device of Home Assistant are five
          seconds apart, but for one that is sent again because nobody acknowledged it.
retained  When all is well again: see compare_retained().
"""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass

from history import ROOT, device_of, split_topic
from wire import event_numbers

ENDED = ("completed", "failed", "cancelled")
STATES = ("upload_pending", "queued", "processing", *ENDED)

SETTLE_S = 5.0
"""An acknowledgement that is older than this at the end of a connection has been seen."""
DEVICE_S = 5.0
"""Between two messages about one device."""
ANSWER_S = 12.0
"""Within this time a command is answered: commands.timeout_s of the soak, and some."""


@dataclass(frozen=True)
class Violation:
    """A rule that was broken."""

    rule: str
    at: float
    job: str
    text: str

    def __str__(self):
        return f"{self.rule}: {self.job}: {self.text}" if self.job else f"{self.rule}: {self.text}"


class _Job:
    """What the bridge has said of a job so far."""

    def __init__(self):
        self.run = 0
        self.start_run(0)
        self.newest = None  # the newest state's payload, over all runs
        self.e_seen = 0  # the newest event of the stream, over all runs

    def start_run(self, run):
        self.run = run
        self.status = None  # None: unknown; "": there is no such job
        self.n = 0
        self.e = 0
        self.said = None  # the newest state without its time
        self.unasked = None  # a publication that said the same again, until its reason is known
        self.before = None  # the status before the newest state
        self.expects = None  # the kind of message that has to come next


class Checker:
    """Checks a history epoch by epoch; what was checked once is not looked at again."""

    def __init__(self, history):
        self.history = history
        self.violations = []
        self.counts = Counter()
        self._done = Counter()  # per list of the history: how much was looked at
        self._versions = {}
        self._events = {}
        self._cancelled = {}
        self._gone = {}
        self._jobs = defaultdict(_Job)
        self._first = {}  # (topic, payload) -> all its transmissions
        self._order = {}  # (topic, payload) -> position of the first
        self._told = defaultdict(set)  # run -> numbers of the stream's events that were published
        self._gone_said = defaultdict(set)  # run -> jobs
        self._results = defaultdict(list)  # id of a command -> answers
        self._heard = set()
        self._heard_at = Counter()  # topic -> position of the newest
        self._stream_done = Counter()  # stream -> events judged
        self._devices = {}  # (run, topic) -> the last message about a device

    def check(self, final=True):
        """Looks at everything new. `final`: the bridge has had the time to say all it knew."""
        before = len(self.violations)
        self._learn()
        self._walk()
        if final:
            self._check_pending()
            self._check_streams()
            self._check_commands()
        self._check_heard(final)
        return self.violations[before:]

    def _new(self, name):
        records = getattr(self.history, name)
        start, end = self._done[name], len(records)
        self._done[name] = end
        return records[start:end]

    def _fail(self, rule, at, job, text):
        self.violations.append(Violation(rule, at, job, text))

    # --- what was true

    def _learn(self):
        for version in self._new("versions"):
            self._versions[version.job, version.n] = version
            if version.event:
                self._events[version.event] = version
        for at, job in self._new("cancels"):
            self._cancelled.setdefault(job, at)
        for at, job in self._new("gone"):
            self._gone.setdefault(job, at)

    # --- what the bridge sent

    def _walk(self):
        for sent in self._new("sent"):
            if device_of(sent.topic) is not None:
                self._check_spaced(sent)
            place = split_topic(sent.topic)
            if place is None:
                continue
            key = (sent.topic, sent.payload)
            earlier = self._first.setdefault(key, [])
            self._order.setdefault(key, sent.position)
            leaf, name = place
            self.counts["publications"] += 1
            if name is not None:
                self._judge_unasked(self._jobs[name], leaf, name)
            if self._is_new(sent, leaf, self._jobs[name], earlier):
                self._first[key] = earlier = []
                getattr(self, f"_see_{leaf}")(sent, name)
            else:
                self.counts["duplicates"] += 1
                self._check_repeat(sent, leaf, name, earlier)
            earlier.append(sent)

    def _check_spaced(self, sent):
        self.counts["messages about devices"] += 1
        before = self._devices.get((sent.link.run, sent.topic))
        self._devices[sent.link.run, sent.topic] = sent
        if before is None or sent.at - before.at > DEVICE_S - 0.05:
            return
        if sent.payload != before.payload or sent.link is before.link or before.acked:
            self._fail("spaced", sent.at, device_of(sent.topic),
                       f"{sent.at - before.at:.2f} s after the message before")

    def _is_new(self, sent, leaf, job, earlier):
        """An empty state is the same each time that a job goes, and an event may be when a job goes
        the same way twice within a millisecond; any other payload is unique. After a loss events
        come again behind the states that were sent after them: such a one belongs to a change
        before, or stands for one that nobody has acknowledged."""
        if not earlier:
            return True
        if leaf == "event" and job.expects == "event":
            return _tells_of(sent, job) and not _has_to_come_again(sent, earlier)
        if leaf != "state" or sent.payload:
            return False
        return job.expects == "clear" and job.run == sent.link.run

    def _check_repeat(self, sent, leaf, name, earlier):
        if leaf == "state" and self._jobs[name].newest == sent.payload:
            return
        for one in earlier:
            closed = one.link.closed or sent.at
            if one.link is sent.link:
                self._fail("repeat", sent.at, name, f"{sent.topic} sent twice over one connection: "
                           f"{sent.payload[:300]!r}")
                return
            if one.acked and closed - one.acked > SETTLE_S:
                self._fail("repeat", sent.at, name,
                           f"{sent.topic} sent again {sent.at - one.acked:.1f} s after it was "
                           f"acknowledged: {sent.payload[:300]!r}")
                return

    def _job_in(self, sent, name):
        job = self._jobs[name]
        if job.run != sent.link.run:
            job.start_run(sent.link.run)
        return job

    def _see_state(self, sent, name):
        job = self._job_in(sent, name)
        if job.expects == "event":
            self._fail("chain", sent.at, name,
                       f"{job.before!r} became {job.status!r} without an event")
        if not sent.payload:
            if job.expects != "clear":
                self._fail("chain", sent.at, name, "cleared without `deleted`")
            job.newest, job.expects = b"", None
            return
        if job.expects == "clear":
            self._fail("chain", sent.at, name, "`deleted` was not followed by an empty state")
        state = json.loads(sent.payload)
        self.counts["states"] += 1
        self._check_version(sent, name, state)
        self._check_order(sent, name, job, state)
        self._check_twice(sent, name, job, state)
        status = state["status"]
        job.before = job.status
        job.expects = None
        if job.status is None:
            job.expects = "perhaps"
        elif job.status != status:
            job.expects = "event"
        job.status = status
        job.newest = sent.payload

    def _check_version(self, sent, name, state):
        cancelled = state["status"] == "cancelled" and self._cancelled.get(name, sent.at) < sent.at
        if cancelled and "n" not in state:
            return  # all that is known of the job is the answer to the command
        version = self._versions.get((name, state.get("n")))
        if version is None or state.get("job_id") != name:
            self._fail("version", sent.at, name, f"there never was {sent.payload!r}")
            return
        if version.status != state["status"] and not cancelled:
            self._fail("version", sent.at, name,
                       f"n {version.n} was {version.status}, not {state['status']}")
        message = state.get("message")
        by_user = state["status"] == "cancelled" and message == "Job cancelled by user."
        if message is not None and not by_user and not message.endswith(f" {state['status']}"):
            self._fail("version", sent.at, name,
                       f"the message {message!r} does not belong to {state['status']}")

    def _check_order(self, sent, name, job, state):
        n, e = state.get("n", 0), state.get("e", 0)
        if e > job.e_seen:
            self._told[sent.link.run].add(e)
            self.counts["events published"] += 1
            event = self._events.get(e)
            if event is None or (event.job, event.n) != (name, n):
                self._fail("version", sent.at, name, f"event {e} did not say n {n}")
        elif 0 < e < job.e:
            self._fail("order", sent.at, name, f"from event {job.e} back to {e}")
        elif n < job.n:
            self._fail("order", sent.at, name, f"from n {job.n} back to {n}")
        job.e_seen = max(job.e_seen, e)
        job.n, job.e = n, e or job.e

    def _check_twice(self, sent, name, job, state):
        """The simulator says of a cancelled job what the answer to the command has said."""
        said = {member: value for member, value in state.items() if member != "observed_at"}
        if said == job.said and state["status"] != "cancelled":
            job.unasked = sent
        job.said = said

    def _judge_unasked(self, job, leaf, name):
        """What comes behind a state that says the same again tells whether it was asked for."""
        unasked, job.unasked = job.unasked, None
        if unasked is not None and leaf != "result":
            self._fail("repeat", unasked.at, name,
                       f"the same was said twice: {unasked.payload!r}")

    def _see_event(self, sent, name):
        job = self._job_in(sent, name)
        event = json.loads(sent.payload)
        kind, previous = event["event_type"], event["previous"]
        self.counts["changes of status"] += 1
        if kind == "deleted":
            self._see_deleted(sent, name, job, previous)
            return
        if job.expects not in ("event", "perhaps") or job.status != kind:
            self._fail("chain", sent.at, name,
                       f"an event {previous!r} -> {kind!r} where the state was {job.status!r} "
                       f"and had been {job.before!r}")
        elif job.expects == "event" and (job.before or None) != previous:
            self._fail("chain", sent.at, name,
                       f"previous is {previous!r}, the status had been {job.before!r}")
        elif previous == kind:
            self._fail("chain", sent.at, name, f"an event from {previous!r} to itself")
        job.expects = None

    def _see_deleted(self, sent, name, job, previous):
        if job.expects == "event" or (job.status is not None and job.status != previous):
            self._fail("chain", sent.at, name,
                       f"deleted from {previous!r} where the state was {job.status!r}")
        if self._gone.get(name, sent.at) >= sent.at:
            self._fail("deleted", sent.at, name, "said of a job that is there")
        self._gone_said[sent.link.run].add(name)
        job.status, job.n, job.e, job.said, job.expects = "", 0, 0, None, "clear"

    def _see_result(self, sent, _name):
        result = json.loads(sent.payload)
        self._results[result.get("id")].append(sent)

    def _check_pending(self):
        """A life of the bridge may end between a state and its event."""
        last = self.history.runs[-1] if self.history.runs else None
        for name, job in self._jobs.items():
            if last and job.run == last.number and not last.ended and job.expects in (
                    "event", "clear"):
                self._fail("chain", 0.0, name, f"after {job.status!r} nothing more was said")
                job.expects = None

    # --- the stream

    def _check_streams(self):
        for number, stream in enumerate(self.history.streams):
            if self._stream_done[number] < 0:
                continue
            events = event_numbers(stream.answer)
            told = self._told[stream.link.run]
            proven = max((i for i, e in enumerate(events) if e in told), default=-1) + 1
            if self._was_read_to_its_end(stream.link):
                proven = len(events)
            start = self._stream_done[number]
            for e in events[start:proven]:
                self._judge_event(e, stream.link, told)
            self._stream_done[number] = max(start, proven)
            if stream.link.closed:
                self.counts["events unproven"] += len(events) - proven
                self._stream_done[number] = -1

    def _was_read_to_its_end(self, link):
        """The server ended it, and nothing else happened then that would have ended it as well."""
        if link.ended_by != "far":
            return False
        run = self.history.runs[link.run - 1]
        if run.ending and run.ending < link.closed + SETTLE_S:
            return False
        return not any(abs(note.at - link.closed) < SETTLE_S and "SIGHUP" in note.text
                       for note in self.history.notes)

    def _judge_event(self, e, link, told):
        event = self._events.get(e)
        if event is None:
            return
        if e in told:
            self.counts["events checked"] += 1
        elif event.job in self._gone_said[link.run] or event.job in self._gone:
            self.counts["events of jobs that are gone"] += 1
        else:
            self.counts["events checked"] += 1
            self.counts["events lost"] += 1
            self._fail("lost", event.at, event.job,
                       f"event {e} (n {event.n}, {event.status}) was read over connection "
                       f"{link.number} and never published")

    # --- commands

    def _check_commands(self):
        delivered = defaultdict(list)
        for one in self._new("delivered"):
            if "/command/" in one.topic and one.payload:
                delivered[json.loads(one.payload)["id"]].append(one)
        for number, deliveries in delivered.items():
            answers = self._results.pop(number, [])
            owed = sum(1 for one in deliveries if self._is_owed(one))
            self.counts["commands"] += len(deliveries)
            self.counts["commands excused"] += len(deliveries) - owed
            first = deliveries[0]
            if len(answers) < owed:
                self._fail("command", first.at, _job_of(first.topic),
                           f"{first.topic} {number}: {len(answers)} answers, {owed} were due")
            elif len(answers) > len(deliveries):
                self._fail("command", first.at, _job_of(first.topic),
                           f"{first.topic} {number}: {len(answers)} answers to "
                           f"{len(deliveries)} requests")
        for number, answers in self._results.items():
            self._fail("command", answers[0].at, "",
                       f"an answer to {number}, which was never asked: {answers[0].payload!r}")
        self._results.clear()

    def _is_owed(self, one):
        if not one.acked:
            return False
        run = self.history.runs[one.link.run - 1]
        return not run.ending or run.ending - one.acked > ANSWER_S

    # --- the subscriber

    def _check_heard(self, final):
        for heard in self._new("heard"):
            place = split_topic(heard.topic)
            if place is None:
                continue
            key = (heard.topic, heard.payload)
            position = self._order.get(key)
            if position is None:
                if heard.payload:
                    self._fail("heard", heard.at, place[1] or "",
                               f"{heard.topic} {heard.payload!r} was never sent")
            elif key not in self._heard and heard.payload:
                if position < self._heard_at[heard.topic]:
                    self._fail("order", heard.at, place[1] or "",
                               f"{heard.topic} {heard.payload[:300]!r} was heard late")
                self._heard_at[heard.topic] = position
            self._heard.add(key)
        if final:
            for sent in self._new_named("sent", "sent heard"):
                self._check_reached(sent)

    def _new_named(self, name, mark):
        records = getattr(self.history, name)
        start, end = self._done[mark], self._done[name]
        self._done[mark] = end
        return records[start:end]

    def _check_reached(self, sent):
        place = split_topic(sent.topic)
        if place is None or not sent.acked or (sent.topic, sent.payload) in self._heard:
            return
        for life in self.history.lives:
            over = life.ended and life.ended < sent.acked + SETTLE_S
            if life.started < sent.at and not over and (
                    not life.ended or sent.acked < life.ended):
                self.counts["unheard"] += 1
                self._fail("heard", sent.at, place[1] or "",
                           f"{sent.topic} {sent.payload[:300]!r} was acknowledged and not heard")
                return


def _tells_of(sent, job):
    """Whether the event is that of the job's newest change."""
    event = json.loads(sent.payload)
    return event["event_type"] == job.status and event["previous"] == (job.before or None)


def _has_to_come_again(sent, earlier):
    """Whether the connection before left more of these unacknowledged than were repeated since."""
    others = [one for one in earlier if one.link is not sent.link]
    last = max((one.link.number for one in others), default=0)
    owed = sum(1 for one in others if one.link.number == last and not one.acked)
    return owed > len(earlier) - len(others)


def _job_of(topic):
    parts = topic.split("/")
    return parts[2] if parts[1] == "jobs" else ""


# --- what stands at the broker in the end


def compare_state(truth, state):
    """What a job's retained state lacks, as texts; the truth is the simulator's."""
    wrong = []
    for name in ("status", "n", "sample_name", "job_id"):
        if state.get(name) != truth.get(name):
            wrong.append(f"{name} is {state.get(name)!r}, not {truth.get(name)!r}")
    # List calls show neither progress nor message, and nobody asks for the status of a job that
    # has ended: where the stream was not heard they are missing, or of the same end before.
    progress, message = state.get("progress"), state.get("message")
    if truth["status"] == "completed":
        if progress != 100:
            wrong.append(f"progress is {progress!r}, not 100")
    elif truth["status"] not in ENDED:
        for name in ("progress", "message"):
            if state.get(name) != truth.get(name):
                wrong.append(f"{name} is {state.get(name)!r}, not {truth.get(name)!r}")
    if truth["status"] in ENDED and message not in (None, truth.get("message")):
        if not message.endswith(f" {truth['status']}"):
            wrong.append(f"message is {message!r}, not {truth.get('message')!r}")
    return wrong


def compare_devices(jobs, retained):
    """What is wrong about the devices: the bridge's and one of each job, called after its sample."""
    wanted = {f"{ROOT}_bridge": "AIVA bridge",
              **{f"{ROOT}_job_{name}": truth["sample_name"] for name, truth in jobs.items()}}
    found = {device_of(topic): payload for topic, payload in retained.items() if device_of(topic)}
    wrong = [(device, "there is no such job") for device in found.keys() - wanted.keys()]
    for device, name in wanted.items():
        payload = found.get(device)
        called = json.loads(payload)["device"]["name"] if payload else None
        if called != name:
            wrong.append((device, f"the device is called {called!r}, not {name!r}"))
    return wrong


def compare_retained(jobs, retained):
    """What is wrong about the retained topics, as (job, text); `retained` is topic -> payload."""
    wrong = compare_devices(jobs, retained)
    for name, truth in jobs.items():
        payload = retained.get(f"{ROOT}/jobs/{name}/state")
        if not payload:
            wrong.append((name, "has no retained state"))
        else:
            wrong += [(name, text) for text in compare_state(truth, json.loads(payload))]
    for topic in retained:
        parts = topic.split("/")
        if parts[1] == "jobs" and (parts[3] != "state" or parts[2] not in jobs):
            wrong.append((parts[2], f"{topic} is retained: there is no such job"))
    expected = {"total": len(jobs), **{state: 0 for state in STATES}}
    for truth in jobs.values():
        expected[truth["status"]] += 1
    counts = json.loads(retained.get(f"{ROOT}/bridge/jobs", b"{}"))
    if counts != expected:
        wrong.append(("", f"bridge/jobs is {counts}, not {expected}"))
    state = retained.get(f"{ROOT}/bridge/state")
    if state != b"online":
        wrong.append(("", f"bridge/state is {state!r}"))
    upstream = json.loads(retained.get(f"{ROOT}/bridge/upstream", b"{}")).get("state")
    if upstream != "streaming":
        wrong.append(("", f"bridge/upstream is {upstream!r}"))
    return wrong
