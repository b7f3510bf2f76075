"""The Debian package: what it holds, and its life from installation to purge in a root of its own."""

import gzip
import os
import platform
import re
import shutil
import stat
import subprocess

import pytest
from conftest import ROOT, said

NAME = "aiva-mqtt-bridge"
CONFIG = f"etc/{NAME}/bridge.json"
UNIT = f"usr/lib/systemd/system/{NAME}.service"
DOC = f"usr/share/doc/{NAME}"


@pytest.fixture(scope="session")
def deb(build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    said("cpack", "-G", "DEB", "-B", folder, cwd=build)
    [package] = folder.glob("*.deb")
    return package


@pytest.fixture(scope="session")
def unpacked(deb, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    said("dpkg-deb", "-R", deb, folder)
    return folder


def field(deb, name):
    return said("dpkg-deb", "-f", deb, name).strip()


def test_what_is_in_it(deb, unpacked):
    rows = [line.split() for line in said("dpkg-deb", "-c", deb).splitlines()]
    assert {row[1] for row in rows} == {"root/root"}
    modes = {row[5].removeprefix("./"): row[0] for row in rows}
    assert {mode for path, mode in modes.items() if path.endswith("/")} == {"drwxr-xr-x"}
    files = {path: mode for path, mode in modes.items() if not path.endswith("/")}
    for program in (NAME, f"{NAME}-check"):
        assert files.pop(f"usr/bin/{program}") == "-rwxr-xr-x"
    assert set(files.values()) == {"-rw-r--r--"}
    for path in (CONFIG, UNIT, f"{DOC}/copyright", f"{DOC}/changelog.Debian.gz", f"{DOC}/changelog.gz",
                 f"{DOC}/README.md", f"{DOC}/config/settings.md",
                 f"{DOC}/config/mosquitto-production.acl",
                 f"usr/share/man/man1/{NAME}.1.gz", f"usr/share/man/man5/{NAME}.conf.5.gz"):
        assert files.pop(path)
    assert all(path.startswith(f"{DOC}/") for path in files)
    assert not [path for path in files if re.search(r"/(man|debian|hooks|addon)/|demo", path)]
    assert ".symtab" not in said("readelf", "-SW", unpacked / f"usr/bin/{NAME}"), "not stripped"


def revision_and_suite():
    """Of a package that is built here: the Debian release is in both."""
    release = platform.freedesktop_os_release()
    number = release.get("VERSION_ID") if release["ID"] == "debian" else None
    return f"1+deb{number}u1" if number else "1", release.get("VERSION_CODENAME", "unstable")


def test_one_version(deb, program, unpacked):
    version = os.environ["VERSION"]
    revision, suite = revision_and_suite()
    assert field(deb, "Version") == f"{version}-{revision}"
    assert deb.name == f"{NAME}_{version}-{revision}_{field(deb, 'Architecture')}.deb"
    assert said(program, "--version") == f"{NAME} {version}\n"
    changelog = gzip.decompress((unpacked / DOC / "changelog.Debian.gz").read_bytes()).decode()
    parsed = said("dpkg-parsechangelog", "-l", "-", input=changelog)
    assert f"Version: {version}-{revision}\n" in parsed and "Date: " in parsed
    assert f"Distribution: {suite}\n" in parsed
    assert f"Maintainer: {field(deb, 'Maintainer')}\n" in parsed


def test_it_depends_on_what_the_program_needs(deb, libraries):
    depends = {item.split()[0] for item in field(deb, "Depends").split(", ")}
    assert depends == {"ca-certificates", "libc6"} | set(libraries.values())


def test_the_addon_image_installs_the_same(program, libraries):
    listed = said(ROOT / "cmake/runtime-packages.sh", program).split()
    assert listed == sorted({"libc6"} | set(libraries.values()))


def test_the_configuration_is_a_conffile_without_a_secret(unpacked):
    assert (unpacked / "DEBIAN/conffiles").read_text() == f"/{CONFIG}\n"
    example = (ROOT / "config/aiva-mqtt-bridge.example.json").read_text()
    assert (unpacked / CONFIG).read_text() == example
    assert '"api_key": ""' in example and '"password": ""' in example


def test_the_program_takes_the_shipped_configuration(unpacked):
    program, config = unpacked / f"usr/bin/{NAME}", unpacked / CONFIG
    assert "topic readwrite aiva/" in said(program, "--config", config, "--print-acl", env={})
    refused = subprocess.run([program, "--config", config, "--check"], env={}, capture_output=True,
                             text=True, check=False)
    assert refused.returncode == 2 and "api_key" in refused.stderr


@pytest.mark.parametrize("name", ["postinst", "prerm", "postrm"])
def test_maintainer_scripts(unpacked, name):
    script = unpacked / "DEBIAN" / name
    assert stat.S_IMODE(script.stat().st_mode) == 0o755
    said("shellcheck", script)


def test_the_unit_is_valid_and_runs_the_installed_program(unpacked, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(unpacked, root)
    assert f"\nExecStart=/usr/bin/{NAME} --config /{CONFIG}\n" in (root / UNIT).read_text()
    (root / "bin").mkdir()
    shutil.copy("/bin/kill", root / "bin")
    for path in ("sysinit.target", "basic.target", "shutdown.target", "multi-user.target", "network-online.target"):
        shutil.copy(f"/usr/lib/systemd/system/{path}", root / "usr/lib/systemd/system")
    checked = subprocess.run(["systemd-analyze", "verify", "--man=no", f"--root={root}", f"{NAME}.service"],
                             capture_output=True, text=True, check=False)
    assert checked.returncode == 0 and NAME not in checked.stderr, checked.stderr


class System:
    """A root with nothing in it but dpkg's own records."""

    def __init__(self, folder):
        self.folder = folder
        # An ordinary user installs as the root of a namespace of his own.
        self.as_root = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
        for path in ("info", "updates"):
            (folder / "var/lib/dpkg" / path).mkdir(parents=True)
        for path in ("status", "available"):
            (folder / "var/lib/dpkg" / path).touch()

    def dpkg(self, *arguments):
        return said(*self.as_root, "dpkg", f"--root={self.folder}", "--force-depends", "--force-script-chrootless",
                    "--log=/dev/null", *arguments, env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"})

    def status(self):
        return said("dpkg-query", f"--admindir={self.folder}/var/lib/dpkg", "-W", "-f", "${Status}", NAME)


def may_be_root():
    return os.geteuid() == 0 or subprocess.run(
        ["unshare", "--map-root-user", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not may_be_root(), reason="only root may install, and this kernel lets no user be it")
def test_from_installation_to_purge(deb, tmp_path):
    system = System(tmp_path)
    system.dpkg("-i", deb)
    assert system.status() == "install ok installed"
    wants = tmp_path / f"etc/systemd/system/multi-user.target.wants/{NAME}.service"
    assert not wants.parent.exists(), "it has been enabled"

    key, config = tmp_path / f"etc/{NAME}/aiva_api_key", tmp_path / CONFIG
    key.write_text("key\n")
    config.write_text('{"mqtt": {"url": "mqtt://broker.example"}}\n')
    wants.parent.mkdir(parents=True)
    wants.symlink_to(f"/{UNIT}")

    system.dpkg("-i", deb)
    assert "broker.example" in config.read_text() and key.exists()
    system.dpkg("-r", NAME)
    assert system.status() == "deinstall ok config-files"
    assert not (tmp_path / f"usr/bin/{NAME}").exists() and not (tmp_path / UNIT).exists()
    assert "broker.example" in config.read_text() and key.exists()
    system.dpkg("-P", NAME)
    assert not key.parent.exists() and not wants.is_symlink()


def test_installing_without_a_package(build, tmp_path):
    said("cmake", "--install", build, "--prefix", tmp_path / "prefix")
    unit = tmp_path / f"prefix/lib/systemd/system/{NAME}.service"
    assert f"\nExecStart={tmp_path}/prefix/bin/{NAME} --config" in unit.read_text()
    assert said(tmp_path / f"prefix/bin/{NAME}", "--version").startswith(NAME)
    installed = {path.relative_to(tmp_path / "prefix").parts[0] for path in tmp_path.rglob("*") if path.is_file()}
    assert installed == {"bin", "lib", "share"}


def test_the_manual_has_every_option_and_exit_code(unpacked, program):
    page = said("man", "-l", "--warnings", unpacked / f"usr/share/man/man1/{NAME}.1.gz",
                env={"PATH": os.environ["PATH"], "MANWIDTH": "200", "LC_ALL": "C.UTF-8"})
    usage = said(program, "--help")
    assert set(re.findall(r"--[a-z-]+", page)) == set(re.findall(r"--[a-z-]+", usage))
    codes = usage[usage.index("Exit codes:"):]
    assert set(re.findall(r"^ +([0-9])  ", page, re.M)) == set(re.findall(r"\b([0-9]) ", codes))
