"""Topic names and formats, as the contract gives them."""

import re
import unicodedata

STATES = ("upload_pending", "queued", "processing", "completed", "failed", "cancelled")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$")
TIME_MS = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|\+00:00)$")


def _encoded(index, character):
    special = character in "/+#%" or unicodedata.category(character) == "Cc"
    if special or (character == "$" and index == 0):
        return "".join(f"%{byte:02X}" for byte in character.encode())
    return character


def level(job):
    """The topic level that stands for a job id."""
    return "".join(_encoded(index, character) for index, character in enumerate(job))


def of_job(job, leaf, root="aiva"):
    """A topic of a job: state, event, result or command/<name>."""
    return f"{root}/jobs/{level(job)}/{leaf}"


def of_bridge(leaf, root="aiva"):
    """A topic of the bridge itself."""
    return f"{root}/bridge/{leaf}"
