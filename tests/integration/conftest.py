"""Fixtures: each gives a world that is closed, and looked at for sanitizer reports, afterwards."""

import contextlib
import os
import pathlib
import sys
import types

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import ha_devices  # noqa: E402
from harness.bad_broker import BadBroker  # noqa: E402
from harness.bridge import Bridge  # noqa: E402
from harness.proxy import Proxy  # noqa: E402
from harness.simulator import KEY  # noqa: E402
from harness.world import World  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the tests that take a minute too")


def pytest_collection_modifyitems(config, items):
    if not config.option.slow:
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="takes a minute: --slow"))


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes a minute; run with --slow")
    missing = [name for name in ("BRIDGE", "SIMULATOR") if not os.environ.get(name)]
    if missing and not config.option.collectonly:
        raise pytest.UsageError(f"set {' and '.join(missing)} to the programs to test")


@contextlib.contextmanager
def opened(folder, **options):
    """A world that is closed whatever happens."""
    world = World(folder, **options)
    try:
        yield world.open()
    finally:
        world.close()


@pytest.fixture
def make_world(tmp_path):
    """Makes worlds with options: make_world(broker={…}, simulator=[…])."""
    with contextlib.ExitStack() as stack:
        def make(**options):
            folder = tmp_path / f"world{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            return stack.enter_context(opened(folder, **options))
        yield make


@pytest.fixture(scope="module")
def make_module_world(tmp_path_factory):
    """The same, for worlds that all tests of a file share."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            opened(tmp_path_factory.mktemp("module"), **options))


@pytest.fixture
def world(make_world):
    """A broker, a simulator and a recorder; the test starts the bridge."""
    return make_world()


@pytest.fixture
def bad(make_world):
    """A world whose broker misbehaves towards the bridge when it is told to."""
    return make_world(broker=BadBroker())


@pytest.fixture(scope="module")
def shared_world(request, tmp_path_factory):
    """One running bridge for a whole file; SHARED_JOBS and SHARED_CONFIG there describe it."""
    with opened(tmp_path_factory.mktemp("shared")) as world:
        world.start(getattr(request.module, "SHARED_JOBS", ()),
                    getattr(request.module, "SHARED_CONFIG", None))
        yield world


@pytest.fixture
def shared(shared_world):
    """The file's running bridge, for tests that use job ids of their own and leave no faults."""
    shared_world.bridge.assert_alive()
    yield shared_world
    shared_world.simulator.clear_faults()


@pytest.fixture
def bridge(tmp_path):
    """The program alone, configured for servers that do not exist."""
    program = Bridge(tmp_path, {"aiva.url": "http://127.0.0.1:1", "aiva.api_key": KEY,
                                "mqtt.url": "mqtt://127.0.0.1:1"})
    yield program
    if program.process is not None:
        program.finish()


def preloading(name, **more):
    """The environment in which the bridge runs with that library of tests/fake."""
    library = pathlib.Path(os.environ["BRIDGE"]).parent / "tests" / f"{name}.so"
    if not library.exists():
        pytest.skip(f"{library} is not built")
    return {"LD_PRELOAD": str(library.resolve()), "ASAN_OPTIONS": "verify_asan_link_order=0", **more}


@pytest.fixture
def slow_dns():
    """The environment in which names that end in .slow.test take 30 seconds to look up."""
    return preloading("slow_dns", SLOW_DNS_S="30")


@pytest.fixture
def passes(tmp_path):
    """Measures the passes of the loop: start it with `passes.env`; `passes.longest()` is in seconds of its thread."""
    report = tmp_path / "passes"
    return types.SimpleNamespace(env=preloading("passes", PASSES_FILE=str(report)),
                                 longest=lambda: int(report.read_text().split()[-1]) / 1e6)


@pytest.fixture
def witness(tmp_path):
    """A witness inside the bridge: start it with `witness.env`, then see `witness.report`."""
    report = tmp_path / "witness"
    return types.SimpleNamespace(env=preloading("witness", WITNESS=str(report)), report=report)


@pytest.fixture
def spaced():
    """A list to put worlds into whose messages to Home Assistant are looked at in the end: none came
    too soon after another about the same device."""
    worlds = []
    yield worlds
    for world in worlds:
        ha_devices.assert_spaced(world)


@pytest.fixture
def relayed(make_world):
    """A world whose broker the bridge reaches through a relay that can be blocked."""
    world = make_world()
    relay = Proxy(world.broker.port)
    world.bridge.settings["mqtt.url"] = relay.url
    yield world, relay
    relay.unblock()
    if world.bridge.running:
        world.bridge.stop()
    relay.close()
