"""The life of the jobs at the upstream, by the soak's orders, and the record of what was true.

Every change gives the job a new `n`. What the stream says of it carries a number `e` besides, which
the jobs themselves do not have.
"""

import json
import random
import threading
import time

from history import ROOT, Version

ENDED = ("completed", "failed", "cancelled")
NEXT = {"upload_pending": ("queued",), "queued": ("processing",),
        "processing": ("completed", "completed", "failed"),
        "completed": ("queued",), "failed": ("queued",), "cancelled": ("queued",)}
JUNK = (b"not JSON", b"[]", b'{"job_id": "nobody"}', b'{"status": "queued"}', b"\xff\xfe",
        b'{"job_id": "..", "status": "queued"}', b'{"job_id": 5, "status": "queued"}')
MARKER = "marker"
MOST_JOBS = 40
FEWEST_JOBS = 12


class Upstream:
    """Makes changes, one after the other."""

    def __init__(self, seed, simulator, history, say):
        self._random = random.Random(f"{seed}-jobs")
        self._simulator = simulator
        self._history = history
        self._say = say
        self._jobs = {}
        self._n = {}
        self._names = 0
        self.events = 0
        self._commands = 0
        self._frozen = set()
        self.commanded_at = 0.0

    # --- changes

    def _members(self, name, status):
        n = self._n[name] = self._n.get(name, 0) + 1
        return {"n": n, "status": status, "sample_name": f"Sample {name}",
                "progress": 100 if status == "completed" else n % 100,
                "message": f"m{n} {status}"}

    def _record(self, name, members, event):
        self._history.versions.append(Version(
            time.monotonic(), name, members["n"], members["status"], members["message"], event))

    def _apply(self, name, members, loud=True):
        """First the jobs change, then the stream says so."""
        event = 0
        if loud:
            self.events += 1
            event = self.events
        self._record(name, members, event)
        self._jobs[name] = members
        self._simulator.set_job(name, quiet=True, **members)
        if loud:
            self._simulator.emit(self._event(name, members, event))

    def _event(self, name, members, event):
        said = {"job_id": name, "status": members["status"], "n": members["n"], "e": event}
        for member in ("progress", "message"):
            if self._random.random() < 0.8:
                said[member] = members[member]
        return said

    def _pick(self, condition=lambda status: True):
        names = [name for name, members in self._jobs.items()
                 if name not in self._frozen and condition(members["status"])]
        return self._random.choice(names) if names else None

    def create(self, loud):
        self._names += 1
        if self._random.random() < 0.1 and self._gone():
            name = self._random.choice(self._gone())
        else:
            name = f"job-{self._names}"
        self._apply(name, self._members(name, "upload_pending"), loud)

    def _gone(self):
        """Jobs that were there, in order; a job that comes back is a new one at the list's word."""
        return [name for name in self._n
                if name not in self._jobs and name not in self._frozen and name != MARKER]

    def progress(self, loud):
        name = self._pick()
        if not name:
            return
        members = self._like_before(name, self._members(name, self._jobs[name]["status"]))
        self._apply(name, members, loud)

    def _like_before(self, name, members):
        """No call would ever show another message or progress of a job that has ended."""
        before = self._jobs[name]
        if members["status"] in ENDED and members["status"] == before["status"]:
            members["message"], members["progress"] = before["message"], before["progress"]
        return members

    def advance(self, loud):
        name = self._pick(lambda status: status not in ENDED or self._random.random() < 0.1)
        if name:
            status = self._random.choice(NEXT[self._jobs[name]["status"]])
            self._apply(name, self._members(name, status), loud)

    def vanish(self):
        name = self._pick()
        if name and len(self._jobs) > FEWEST_JOBS:
            self._history.gone.append((time.monotonic(), name))
            del self._jobs[name]
            self._simulator.vanish(name)

    def junk(self):
        self._simulator.emit(self._random.choice(JUNK))

    def burst(self, count, raw):
        """Many events at once. The jobs show the end of it from its beginning."""
        names = [name for name in self._jobs if name not in self._frozen][:8]
        if not names:
            return
        events = []
        for _ in range(count):
            name = self._random.choice(names)
            status = self._jobs[name]["status"]
            if status not in ENDED and self._random.random() < 0.05:
                status = self._random.choice(NEXT[status])
            members = self._like_before(name, self._members(name, status))
            self.events += 1
            self._record(name, members, self.events)
            self._jobs[name] = members
            events.append(self._event(name, members, self.events))
        for name in names:
            self._simulator.set_job(name, quiet=True, **self._jobs[name])
        if raw:
            self._simulator.raw(b"".join(
                b"data: " + json.dumps(event).encode() + b"\n\n" for event in events))
        else:
            for event in events:
                self._simulator.emit(event)

    # --- commands

    def command(self):
        self._commands += 1
        self.commanded_at = time.monotonic()
        payload = json.dumps({"id": f"c{self._commands}"})
        kind = self._random.choice(("cancel", "delete", "delete", "refresh", "refresh", "bridge"))
        if kind == "bridge":
            self._say(f"{ROOT}/bridge/command/refresh", payload)
            return
        wanted = {"delete": lambda status: status in ENDED,
                  "cancel": lambda status: status in ("queued", "processing")}
        name = self._pick(wanted.get(kind, lambda status: True))
        if not name:
            return
        # Until it is known what came of it, nothing else happens to the job.
        if kind == "cancel":
            self._history.cancels.append((self.commanded_at, name))
            self._frozen.add(name)
        elif kind == "delete" and len(self._jobs) > FEWEST_JOBS:
            self._history.gone.append((self.commanded_at, name))
            self._frozen.add(name)
        elif kind == "delete":
            return
        self._say(f"{ROOT}/jobs/{name}/command/{kind}", payload)

    def learn(self):
        """At rest: what the commands have done to the jobs; returns the truth."""
        truth = self._simulator.jobs()
        for name in list(self._jobs):
            if name in truth:
                self._jobs[name]["status"] = truth[name]["status"]
                self._jobs[name]["message"] = truth[name].get("message")
            else:
                del self._jobs[name]
        self._frozen.clear()
        return truth

    def mark(self):
        """An event that tells, once it is published, that the stream is read."""
        self._apply(MARKER, self._members(MARKER, "queued"))
        del self._jobs[MARKER]
        return self.events

    # --- chance

    def step(self):
        """One thing happens."""
        if len(self._jobs) < FEWEST_JOBS:
            self.create(self._random.random() < 0.7)
            return
        roll = self._random.random()
        loud = self._random.random() < 0.85
        if roll < 0.62:
            self.progress(loud)
        elif roll < 0.80:
            self.advance(loud)
        elif roll < 0.86 and len(self._jobs) < MOST_JOBS:
            self.create(loud)
        elif roll < 0.91:
            self.vanish()
        elif roll < 0.97:
            self.command()
        else:
            self.junk()


class Jobs(threading.Thread):
    """Lets things happen at a rate, while it is not paused."""

    def __init__(self, upstream, rate):
        super().__init__(daemon=True)
        self.upstream = upstream
        self.failure = None
        self._pause_s = 1 / rate
        self._lock = threading.Lock()
        self._bursts = []
        self._running = True

    def run(self):
        try:
            while self._running:
                with self._lock:
                    if self._bursts:
                        self.upstream.burst(*self._bursts.pop(0))
                    else:
                        self.upstream.step()
                time.sleep(self._pause_s)
        except Exception as failure:  # the soak ends with it
            self.failure = failure

    def burst(self, count, raw):
        self._bursts.append((count, raw))

    def pause(self):
        self._lock.acquire()
        while self._bursts:
            self.upstream.burst(*self._bursts.pop(0))

    def resume(self):
        self._lock.release()

    def stop(self):
        self._running = False
