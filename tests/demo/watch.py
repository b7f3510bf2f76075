#!/usr/bin/env python3
"""Shows the bridge's topics live, for ./run.sh.

Reads `mosquitto_sub -F %j`. On a terminal it draws a table in place, as high as the window; elsewhere it
writes one plain line for each change. mosquitto_sub finds its broker in its own configuration file
($XDG_CONFIG_HOME/mosquitto_sub), so no password comes near this program.
"""

import argparse
import json
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
import unicodedata
from urllib.parse import unquote

RUNNING = {"processing": 0, "queued": 1, "upload_pending": 2}
ENDED = ("failed", "cancelled", "completed")
COLOURS = {
    "processing": "36", "queued": "33", "upload_pending": "33", "completed": "32",
    "failed": "31", "cancelled": "35", "online": "32", "offline": "31",
    "streaming": "32", "polling": "33", "unauthorized": "31", "unavailable": "31",
}
BLANK_LETTERS = "\u115f\u1160\u3164\uffa0"
REDRAW_S = 0.1


def is_hidden(c):
    """A control, a separator of lines, what turns the direction of writing, or a blank letter."""
    return unicodedata.category(c) in ("Zl", "Zp") or unicodedata.category(c)[0] == "C" or c in BLANK_LETTERS


def clean(value):
    """One line of text without anything that a terminal could take for a command."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(" " if is_hidden(c) else c for c in text)


def char_width(c):
    if unicodedata.combining(c):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


def fit(text, width):
    """The text in exactly `width` columns, cut with a dot or filled with blanks."""
    if sum(map(char_width, text)) > width:
        out, used = "", 0
        for c in text:
            if used + char_width(c) > width - 1:
                break
            out, used = out + c, used + char_width(c)
        text = out + "." * (width - used if width > 0 else 0)
    return text + " " * (width - sum(map(char_width, text)))


def number(value):
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return min(100.0, max(0.0, float(value)))
    return None


def bar(progress, width, full="#", empty="."):
    if progress is None:
        return " " * width
    done = int(progress * width / 100)
    return full * done + empty * (width - done)


def percent(progress):
    return "    " if progress is None else f"{int(progress):3d}%"


class Job:
    def __init__(self, level, state, changed):
        self.job_id = clean(unquote(level))
        self.level = clean(level)  # as it stands in the topics
        self.status = clean(state.get("status", "?"))
        self.sample = clean(state.get("sample_name") or "")
        self.progress = number(state.get("progress"))
        self.message = clean(state.get("message") or "")
        self.changed = changed

    def rank(self):
        """Running jobs first, then states nobody knows, then the ended ones, newest first."""
        if self.status in RUNNING:
            return (RUNNING[self.status], -(self.progress or 0), self.job_id)
        return (4 if self.status in ENDED else 3, -self.changed, self.job_id)

    def line(self):
        shown = f"[{bar(self.progress, 10)}] {percent(self.progress)}" if self.progress is not None else ""
        return f"{self.job_id:24} {self.sample:16} {self.status:14} {shown:17} {self.message}".rstrip()


class Board:
    """What the topics have said so far. `apply` returns the line that a plain log shows for it."""

    def __init__(self, root):
        self.prefix = root + "/"
        self.jobs = {}  # by topic level
        self.bridge = "not seen yet"
        self.upstream = {"state": "unknown"}
        self.counts = {}
        self.result = ""
        self.serial = 0

    def apply(self, topic, payload):
        if not topic.startswith(self.prefix):
            return None
        levels = topic[len(self.prefix):].split("/")
        if levels == ["bridge", "state"]:
            self.bridge = clean(payload)
            return f"bridge {self.bridge}"
        try:
            data = json.loads(payload) if payload else None
        except ValueError:
            return None
        if levels[0] == "jobs" and levels[2:] == ["state"]:
            return self.apply_job(levels[1], data)
        if not isinstance(data, dict):
            return None
        if levels == ["bridge", "upstream"]:
            self.upstream = data
            detail = clean(data.get("detail") or "")
            return f"AIVA {clean(data.get('state', '?'))}{': ' + detail if detail else ''}"
        if levels == ["bridge", "jobs"]:
            self.counts = data
        if levels[-1] == "result" and levels[0] in ("jobs", "bridge"):
            self.result = self.describe(data)
            return f"command {self.result}"
        return None

    def apply_job(self, level, data):
        if not isinstance(data, dict):
            known = self.jobs.pop(level, None)
            return f"{known.job_id:24} gone" if known else None
        self.serial += 1
        self.jobs[level] = Job(level, data, self.serial)
        return self.jobs[level].line()

    @staticmethod
    def describe(data):
        text = clean(data.get("command", "?")) + " " + clean(data.get("job_id") or "(bridge)")
        if data.get("ok") is True:
            text += ": done"
            extra = data.get("status") or ""
        else:
            text += f": refused, {clean(data.get('error', '?'))}"
            extra = data.get("detail") or ""
        text += f", {clean(extra)}" if extra else ""
        return f"{text} ({clean(data['duration_ms'])} ms)" if "duration_ms" in data else text


class Screen:
    """Draws the board in place, as much of it as fits, below the notes."""

    def __init__(self, board, notes, publish):
        self.board, self.notes, self.publish = board, notes, publish
        self.colour = "NO_COLOR" not in os.environ
        locale = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or ""
        self.blocks = ("█", "░") if "utf" in locale.lower() else ("#", ".")
        self.drawn = 0
        self.room = 0
        self.fresh = True  # the whole window is to be written
        sys.stdout.write("\033[?25l")

    def paint(self, text, code):
        return f"\033[{code}m{text}\033[0m" if self.colour and code else text

    def resized(self, *_):
        self.fresh = True

    def draw(self):
        width, height = shutil.get_terminal_size((80, 24))
        width = max(width - 1, 10)
        if self.fresh:
            # Notes are wrapped, not cut: they hold commands to copy.
            rows = sum(1 + (len(note) - 1) // (width + 1) for note in self.notes)
            notes = self.notes if height >= rows + 10 else []
            self.room = height - 1 - (rows if notes else 0)
            out = "\033[2J\033[H" + "".join(note + "\n" for note in notes)
        else:
            out = f"\r\033[{self.drawn}A" if self.drawn else "\r"
        lines = self.compose(width, max(self.room, 3))
        sys.stdout.write(out + "".join(line + "\033[K\n" for line in lines) + "\033[J")
        sys.stdout.flush()
        self.drawn, self.fresh = len(lines), False

    def compose(self, width, room):
        jobs = sorted(self.board.jobs.values(), key=Job.rank)
        head, foot = self.header(width, jobs), self.footer(width, jobs)
        if room < 8:
            head, foot = head[:1], []
        space = max(room - len(head) - len(foot) - 1, 1)
        if len(jobs) > space:
            space = max(space - 1, 1)
        rows = [self.row(job, width) for job in jobs[:space]]
        if len(jobs) > space and room >= 4:
            rows.append(fit(f"... and {len(jobs) - space} more", width))
        return (head + rows + foot)[:room]

    def header(self, width, jobs):
        upstream = clean(self.board.upstream.get("state", "?"))
        detail = clean(self.board.upstream.get("detail") or "")
        counts = [f"{count} {name}" for name, count in self.board.counts.items()
                  if name != "total" and isinstance(count, int) and count > 0]
        text = f"bridge {self.board.bridge}, AIVA {upstream}"
        if upstream != "streaming" and detail:
            text += f" ({detail})"
        text = fit(f"{text}, {len(jobs)} jobs" + (": " + ", ".join(counts) if counts else ""), width)
        for word in (self.board.bridge, upstream):
            text = text.replace(f" {word}", " " + self.paint(word, COLOURS.get(word)), 1)
        progress = "PROGRESS" if self.widths(width)[3] else "   %"
        titles = self.columns("JOB", "SAMPLE", "STATE", progress, "MESSAGE", width)
        return [text, "", self.paint(titles, "1")]

    def footer(self, width, jobs):
        lines = [""]
        running = [job for job in jobs if job.status in ("processing", "queued")]
        if running:
            topic = f"{self.board.prefix}jobs/{running[0].level}/command/cancel"
            command = f"{self.publish} -t {shlex.quote(topic)} -m '{{}}'"
            lines += self.to_copy(f"Cancel this:  {command}", width)
        lines.append(fit(f"Last command: {self.board.result or 'none yet'}", width).rstrip())
        return lines

    @staticmethod
    def to_copy(command, width):
        """In one line, or in two that a shell takes as one, or not at all."""
        if len(command) <= width:
            return [command]
        first, _, rest = command.partition(" mosquitto_pub ")
        lines = [f"{first} \\", f"  mosquitto_pub {rest}"]
        return lines if rest and max(map(len, lines)) <= width else []

    @staticmethod
    def widths(width):
        """Columns for job, sample, state, bar, message; 0 leaves one out."""
        if width >= 72:
            return 22, 16, 14, 10, width - 22 - 16 - 14 - 10 - 9
        if width >= 50:
            return width - 34, 0, 14, 10, 0
        return max(width - 20, 6), 0, 10, 0, 0

    def columns(self, job, sample, state, progress, message, width):
        sizes = self.widths(width)
        cells = [fit(job, sizes[0])]
        if sizes[1]:
            cells.append(fit(sample, sizes[1]))
        cells.append(fit(state, sizes[2]))
        cells.append(fit(progress, sizes[3] + 5 if sizes[3] else 4))
        if sizes[4]:
            cells.append(fit(message, sizes[4]))
        return fit(" ".join(cells), width)

    def row(self, job, width):
        size = self.widths(width)[3]
        shown = f"{bar(job.progress, size, *self.blocks)} " if size else ""
        text = self.columns(job.job_id, job.sample, job.status, shown + percent(job.progress), job.message,
                            width)
        return self.paint(text, COLOURS.get(job.status))


class Log:
    """One plain line for each change."""

    def __init__(self, notes):
        for note in notes:
            print(note, flush=True)

    @staticmethod
    def write(line):
        print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def follow(child, board, screen, log):
    """Feeds the board until the subscriber ends, or nobody reads our output any more."""
    source, sink = child.stdout.fileno(), sys.stdout.fileno()
    poll = select.poll()
    poll.register(source, select.POLLIN)
    poll.register(sink, 0)  # errors and hang-ups only
    rest, dirty, next_draw = b"", True, 0.0
    while True:
        ready = dict(poll.poll(REDRAW_S * 1000))
        if sink in ready:
            raise BrokenPipeError
        if source in ready:
            chunk = os.read(source, 65536)
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            for raw in lines:
                try:
                    message = json.loads(raw.decode("utf-8", "replace"))
                    line = board.apply(message["topic"], message.get("payload") or "")
                except (ValueError, KeyError, TypeError):
                    continue
                dirty = True
                if log and line:
                    log.write(line)
        now = time.monotonic()
        if screen and (dirty or screen.fresh) and now >= next_draw:
            screen.draw()
            dirty, next_draw = False, now + REDRAW_S


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", default="aiva", help="root of the bridge's topics")
    parser.add_argument("--publish", default="mosquitto_pub", help="command shown for a cancel")
    parser.add_argument("--note", action="append", default=[], help="line shown at the top")
    options = parser.parse_args()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")

    board = Board(options.root)
    # It has nothing to save, and must not outlive this program, however that ends.
    child = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "mosquitto_sub", "-F", "%j", "-q", "1", "-t", f"{options.root}/bridge/+",
         "-t", f"{options.root}/jobs/+/state", "-t", f"{options.root}/jobs/+/result"],
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    screen = log = None
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        screen = Screen(board, options.note, options.publish)
        signal.signal(signal.SIGWINCH, screen.resized)
    try:
        if not screen:
            log = Log(options.note)
        follow(child, board, screen, log)
        return "the connection to the broker ended"
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        child.kill()
        child.wait()
        if screen:
            sys.stdout.write("\033[?25h\n")
            sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
