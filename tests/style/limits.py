#!/usr/bin/env python3
"""Every cap of include/base/limit.h has a test that reaches it, and everything in the bridge that grows has a cap.

Run by ctest. Prints what is missing, exit code 1 if anything is. Whoever adds a limit adds a row to REACHED_BY;
whoever adds something that grows adds a row to GROWTH or CAPS, with the limit that bounds it, or the reason why it
needs none of its own.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

UNIT, WHOLE = "tests/unit/test_", "tests/integration/test_"

# Limit -> the test that goes up to it and beyond; or "none: " and why there is no such test.
REACHED_BY = {
    "LIMIT_JOB_ID": UNIT + "topic.c::test_topic_refuses_ids_of_more_than_128_bytes",
    "LIMIT_STATUS": UNIT + "jobs.c::test_jobs_updates_that_cannot_be_used_are_told_apart",
    "LIMIT_UNKNOWN_STATES": UNIT + "jobs.c::test_jobs_survive_more_unknown_states_than_they_count",
    "LIMIT_EVENT": UNIT + "sse.c::test_sse_delivers_an_event_of_exactly_the_contract_limit",
    "LIMIT_SSE_LINE": UNIT + "sse.c::test_sse_holds_no_more_than_its_limits_of_a_huge_line",
    "LIMIT_SSE_ID": UNIT + "sse.c::test_sse_ignores_an_id_that_is_too_long",
    "LIMIT_JSON_DEPTH": UNIT + "json.c::test_json_limits_depth",
    "LIMIT_JSON_MEMBERS": UNIT + "json.c::test_json_limits_members",
    "LIMIT_JOB_RECORD": UNIT + "jobs.c::test_jobs_start_a_record_anew_that_outgrows_its_cap",
    "LIMIT_JOBS_BYTES": UNIT + "jobs.c::test_jobs_take_no_more_than_the_limit_of_all_records",
    "LIMIT_LIST_BODY": UNIT + "http.c::test_http_caps_the_body",
    "LIMIT_LIST_GAP": UNIT + "listwatch.c::test_listwatch_gives_up_where_the_jobs_do_not_grow",
    "LIMIT_JOB_LEAST": "none: no cap of its own: LIMIT_LIST_JOBS follows from it, and jobs.c asserts it",
    "LIMIT_LIST_JOBS": UNIT + "listwatch.c::test_listwatch_gives_up_beyond_what_all_jobs_may_take",
    "LIMIT_STATUS_BODY": WHOLE + "hostile_upstream.py::test_a_status_without_an_end",
    "LIMIT_HEADERS": UNIT + "http.c::test_http_caps_the_header_section",
    "LIMIT_COMMAND": WHOLE + "commands.py::test_the_id_of_a_large_request_comes_back",
    "LIMIT_COMMAND_ID": WHOLE + "commands.py::test_the_length_of_an_id",
    "LIMIT_COMMANDS_BYTES": WHOLE + "commands.py::test_what_is_under_way_has_a_budget",
    "LIMIT_REFUSED_BODY": UNIT + "httpstream.c::test_httpstream_reads_only_the_beginning_of_a_refusal",
    "LIMIT_MQTT_PACKET": WHOLE + "flood.py::test_a_command_larger_than_any_packet_should_be",
    "LIMIT_MQTT_RECEIVE": "none: asked of the broker; what it sends is read only as far as it is handled",
    "LIMIT_SESSION_BYTES": WHOLE + "hostile_broker.py::test_a_packet_too_large_for_the_session",
    "LIMIT_LINK_BACKLOG": WHOLE + "hostile_broker.py::test_a_broker_that_takes_no_answers",
    "LIMIT_WEBSOCKET_FRAME": UNIT + "websocket.c::test_websocket_believes_no_length",
    "LIMIT_TOMBSTONES": UNIT + "jobs.c::test_jobs_remember_so_many_that_are_gone",
    "LIMIT_REFUSED": "none: beyond it all is said again, as after a reconnect, which has its tests; 20,000 "
                     "refusals take a minute",
    "LIMIT_QUARANTINE": UNIT + "quarantine.c::test_quarantine_holds_all_once_it_is_full",
    "LIMIT_DISCOVERY": UNIT + "haowner.c::test_haowner_does_not_read_what_is_too_large",
    "LIMIT_PREFIXES": UNIT + "leftovers.c::test_leftovers_remember_so_many_prefixes",
    "LIMIT_EARLIER_ROOTS": UNIT + "haowner.c::test_haowner_remembers_no_more_than_there_is_room_for",
    "LIMIT_OBJECT_ID": UNIT + "haowner.c::test_haowner_remembers_no_more_than_there_is_room_for",
    "LIMIT_DEVICES": UNIT + "announcer.c::test_announcer_has_room_for_so_many_that_are_found",
    "LIMIT_DEVICES_BYTES": UNIT + "announcer.c::test_announcer_has_room_for_so_many_bytes",
    "LIMIT_OUTBOX_BYTES": UNIT + "pressure.c::test_pressure_is_full_of_bytes_too",
    "LIMIT_REFUSAL_BYTES": WHOLE + "flood.py::test_large_commands_at_once",
    "LIMIT_RETRY_AFTER_S": UNIT + "backoff.c::test_backoff_reads_retry_after_in_seconds",
    "LIMIT_DETAIL": WHOLE + "recovery.py::test_a_reason_is_cut_between_characters",
    "LIMIT_HTTPD_BODY": UNIT + "httpd.c::test_httpd_answers_500_where_the_answer_is_too_large",
    "LIMIT_LOG_BYTES": UNIT + "logwriter.c::test_logwriter_waits_for_no_reader_and_says_what_was_lost",
    "LIMIT_CONFIG": UNIT + "config.c::test_config_limits_the_file",
    "LIMIT_PEM": WHOLE + "reload.py::test_what_is_bad_changes_nothing",
    "LIMIT_SECRET": UNIT + "config.c::test_config_limits_secret_files",
}

# What makes something longer.
GROW = (r"HASH_ADD\w*|x?reallocarray|x?realloc|ids_take|idset_add|curl_slist_append|utarray_\w+|"
        r"(?:TAILQ|STAILQ|SLIST|LIST)_INSERT_\w+|(?:DL|LL)_\w+")

# File and what it calls -> what bounds it.
GROWTH = {
    ("bridge/app/catchup.c", "TAILQ_INSERT_TAIL"): "LIMIT_COMMANDS_BYTES: members of commands, and of the few calls",
    ("bridge/app/commands.c", "TAILQ_INSERT_TAIL"): "LIMIT_COMMANDS_BYTES",
    ("bridge/app/leftovers.c", "xreallocarray"): "LIMIT_PREFIXES",
    ("bridge/app/listing.c", "TAILQ_INSERT_TAIL"): "two: the poller has one list, and one refresh may be under way",
    ("bridge/app/rounds.c", "ids_take"): "LIMIT_JOBS_BYTES: ids of known jobs, each once",
    ("bridge/app/tracker.c", "idset_add"): "LIMIT_DEVICES: jobs whose devices are to go first",
    ("bridge/app/tracker.c", "ids_take"): "LIMIT_REFUSED",
    ("bridge/base/buf.c", "xreallocarray"): "the buffer's own cap: CAPS below",
    ("bridge/base/buf.c", "realloc"): "the buffer's own cap: CAPS below",
    ("bridge/core/announcer.c", "HASH_ADD_KEYPTR"): "LIMIT_DEVICES for what is found, homeassistant.max_jobs else",
    ("bridge/core/config_assign.c", "xreallocarray"): "LIMIT_CONFIG: elements of the file's arrays",
    ("bridge/core/ids.c", "xreallocarray"): "its callers: their rows",
    ("bridge/core/idset.c", "HASH_ADD_KEYPTR"): "its callers: their rows",
    ("bridge/core/jobs.c", "HASH_ADD_KEYPTR"): "LIMIT_TOMBSTONES",
    ("bridge/core/jobs.c", "HASH_ADD_KEYPTR_BYHASHVALUE"): "LIMIT_JOBS_BYTES",
    ("bridge/core/jobs.c", "TAILQ_INSERT_TAIL"): "LIMIT_JOBS_BYTES and LIMIT_TOMBSTONES",
    ("bridge/core/json.c", "xreallocarray"): "LIMIT_JSON_MEMBERS",
    ("bridge/core/jsonnames.c", "xreallocarray"): "LIMIT_JSON_MEMBERS",
    ("bridge/core/outbox.c", "TAILQ_INSERT_BEFORE"): "LIMIT_OUTBOX_BYTES",
    ("bridge/core/outbox.c", "TAILQ_INSERT_TAIL"): "LIMIT_OUTBOX_BYTES and LIMIT_REFUSAL_BYTES",
    ("bridge/io/httpd.c", "TAILQ_INSERT_TAIL"): "the number of connections that libmicrohttpd is told",
    ("bridge/io/inbox.c", "xreallocarray"): "the answers to subscriptions, which the bridge makes",
    ("bridge/io/loop.c", "xreallocarray"): "what ends in one pass",
    ("bridge/io/timers.c", "xreallocarray"): "the number of timers, which are members of what has its own bound",
    ("bridge/io/transport.c", "curl_slist_append"): "the headers of one request, which the bridge chooses",
}

# File and a buffer's cap, where that is neither a limit nor MQTT's longest string -> why it is enough.
CAPS = {
    ("bridge/app/check.c", "sizeof line * ESCAPE_SIZE"): "a line of fixed size, escaped",
    ("bridge/app/check.c", "packet_publish_size(publish)"): "two packets of fixed content",
    ("bridge/app/publisher.c", "3 * length"): "a message that is already held; masked, three times as long at most",
    ("bridge/app/request.c", "3 * value.length"): "part of a message that is already held",
    ("bridge/core/config.c", "sizeof error->text"): "part of an error's text",
    ("bridge/core/config.c", "sizeof loader->error->text"): "part of an error's text",
    ("bridge/core/config_assign.c", "SENTENCE_LIMIT"): "part of an error's text",
    ("bridge/core/config_man.c", "4096"): "a page that the build makes",
    ("bridge/core/job.c", "3 * length"): "an event or answer that is already held",
    ("bridge/core/jsonclean.c", "(size_t)(end - at)"): "part of a text that is already held",
    ("bridge/core/metrics.c", "64"): "labels that the bridge names",
    ("bridge/core/sse.c", "max_line"): "its caller's: LIMIT_SSE_LINE",
    ("bridge/core/sse.c", "max_data"): "its caller's: LIMIT_EVENT",
    ("bridge/io/http.c", "call->body_limit"): "its callers': LIMIT_LIST_BODY, LIMIT_STATUS_BODY",
    ("bridge/io/link.c", "LINK_READ_SIZE"): "what is read at a time",
    ("bridge/io/link.c", "SIZE_MAX"): "LIMIT_LINK_BACKLOG, and the window of publications",
    ("bridge/io/link.c", "URL_LIMIT"): "a URL of the configuration",
    ("bridge/io/mqtt.c", "SIZE_MAX"): "the window of publications",
    ("bridge/io/session.c", "REQUEST_LIMIT"): "what somebody on this machine may say before the credentials",
    ("bridge/io/transport.c", "TRANSPORT_URL_LIMIT"): "a URL that the bridge makes",
}


def code_of(path):
    """The text without comments."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", path.read_text(), flags=re.S)


def limits():
    """The names that limit.h defines as numbers."""
    text = (ROOT / "include/base/limit.h").read_text()
    return [name for name in re.findall(r"#define (LIMIT_\w+)[ \t]", text) if not name.startswith("LIMIT_TEXT")]


def is_there(test):
    """Whether a test's file has a function of that name."""
    path, _, name = test.partition("::")
    file = ROOT / path
    return file.is_file() and re.search(rf"(?:def|void) {re.escape(name)}\(", file.read_text()) is not None


def check_limits():
    known = limits()
    for name in known:
        test = REACHED_BY.get(name)
        if test is None:
            yield f"include/base/limit.h: {name} has no row in REACHED_BY: which test reaches it?"
        elif not test.startswith("none: ") and not is_there(test):
            yield f"include/base/limit.h: {name}: there is no test {test}"
    for name in sorted(REACHED_BY.keys() - set(known)):
        yield f"tests/style/limits.py: {name} is no limit any more"


def check_growth():
    grown, caps = set(), set()
    for path in sorted((ROOT / "bridge").rglob("*.c")):
        name, code = str(path.relative_to(ROOT)), code_of(path)
        if name == "bridge/base/mem.c":
            continue  # what the others call
        grown |= {(name, call) for call in re.findall(rf"\b({GROW})\(", code)
                  if not re.search(rf"^\w[\w *]*\b{call}\([^;]*\)\s*\{{", code, flags=re.M)}
        for cap in re.findall(r"\bbuf_init\(\s*&?[^,;]+,\s*([^;]+?)\);", code):
            if not re.search(r"LIMIT_[A-Z]", re.sub(r"\b[A-Z]+_[A-Z]*_?LIMIT\b", "", cap)) and cap != "UINT16_MAX":
                caps.add((name, " ".join(cap.split())))
    for name, call in sorted(grown - GROWTH.keys()):
        yield f"{name}: {call} makes something longer: what bounds it? (GROWTH)"
    for name, cap in sorted(caps - CAPS.keys()):
        yield f"{name}: a buffer of up to {cap} bytes: which limit is that? (CAPS)"
    for name, what in sorted((GROWTH.keys() - grown) | (CAPS.keys() - caps)):
        yield f"tests/style/limits.py: {name} has no {what} any more"


def check_reasons():
    """A reason that names a limit names one that there is."""
    for (name, _), reason in (*GROWTH.items(), *CAPS.items()):
        for limit in re.findall(r"\bLIMIT_\w+", reason):
            if limit not in limits():
                yield f"tests/style/limits.py: {name}: there is no {limit}"


def main():
    wrong = [*check_limits(), *check_growth(), *check_reasons()]
    print("\n".join(wrong) or f"{len(limits())} limits have their tests, and all that grows has its bound")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
