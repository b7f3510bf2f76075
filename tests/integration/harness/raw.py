"""The text of JSON members as they were sent."""

import json


def raw_member(payload, name):
    """The raw text of a top-level member's value, without the white space around it."""
    text = payload.decode()
    decoder = json.JSONDecoder()
    position = text.index("{") + 1
    while True:
        position += len(text[position:]) - len(text[position:].lstrip(" \t\r\n,"))
        if text[position] == "}":
            raise KeyError(name)
        key, end = decoder.raw_decode(text, position)
        start = text.index(":", end) + 1
        start += len(text[start:]) - len(text[start:].lstrip(" \t\r\n"))
        _, position = decoder.raw_decode(text, start)
        if key == name:
            return text[start:position]
