"""A real mosquitto on a port of its own."""

import shutil
import signal
import subprocess

from .process import Program, accepts, free_port
from .waiting import wait_until

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
ADMIN = ("admin", "admin-secret")


def publish_as(port, user, topic, *options):
    """Whether an MQTT 5 publication as that user is accepted."""
    done = subprocess.run(
        ["mosquitto_pub", "-V", "5", "-q", "1", "-h", "localhost", "-p", str(port), "-u", user, "-P", "secret",
         "-t", topic, "-m", "x", *options], capture_output=True, text=True, timeout=60, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0 or "refused" in said or "Not authorized" in said, said
    return done.returncode == 0 and "Not authorized" not in said


class Broker(Program):
    """mosquitto with a configuration file of its own.

    `users` maps names to passwords (nobody else gets in then; an administrator is added for the
    tests), `acl` is the text of an access rule file, `options` are further lines.
    """

    def __init__(self, folder, port=None, users=None, acl=None, persistence=False, options=()):
        super().__init__("mosquitto", folder)
        self.folder = folder
        self.port = port or free_port()
        self.login = ADMIN if users is not None else (None, None)
        self.config = folder / "mosquitto.conf"
        lines = self._basics(persistence) + self._access(users, acl) + list(options)
        self.config.write_text("\n".join(lines) + "\n")

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.port}"

    def _basics(self, persistence):
        return [
            "user root", f"listener {self.port} 127.0.0.1", "max_queued_messages 0",
            "set_tcp_nodelay true",
            f"persistence {'true' if persistence else 'false'}",
            f"persistence_location {self.folder}/",
            "log_dest stderr", "log_type error", "log_type warning", "log_type notice"]

    def _access(self, users, acl):
        if users is None:
            return ["allow_anonymous true"]
        passwords = self.folder / "passwords"
        passwords.touch(mode=0o600)
        for name, password in [ADMIN, *users.items()]:
            subprocess.run(["mosquitto_passwd", "-b", passwords, name, password], check=True)
        lines = ["allow_anonymous false", f"password_file {passwords}"]
        if acl is not None:
            rules = self.folder / "acl"
            rules.write_text(f"user {ADMIN[0]}\ntopic readwrite #\n\n{acl}")
            lines.append(f"acl_file {rules}")
        return lines

    def start(self):
        """Starts mosquitto and waits until it accepts connections."""
        self.spawn([MOSQUITTO, "-c", self.config])
        wait_until(lambda: accepts(self.port) or not self.running, "mosquitto to listen")
        assert self.running, self.tail()
        return self

    def restart(self):
        """An orderly stop and a start on the same port."""
        self.end()
        self.start()

    def kill(self):
        """Ends mosquitto without giving it time to save or say anything."""
        self.end(signal.SIGKILL)
