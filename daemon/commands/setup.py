"""``lowmaf setup``: the first configuration, by asking what is plugged in."""

from __future__ import annotations

import argparse
import os
import socket
from pathlib import Path

from daemon.config.config import load_config
from daemon.config.table_file import read_table
from daemon.errors import UsageError, WorkError
from daemon.installed import INSTALLED_CONFIG, SERVICE
from daemon.setup.broadcast import BROADCAST, with_signals
from daemon.setup.car_files import asked_definition, asked_table
from daemon.setup.questions import Interview
from daemon.setup.source import (
    DRIVERS,
    RECORDED,
    SIMULATED,
    Identified,
    Source,
    found_ports,
    identify,
    log_named,
    missing,
    plugged_in,
    sources_for,
)
from daemon.setup.wideband import CONTROLLERS, asked_wideband
from daemon.setup.writing import Answers, check_writable, is_installed, is_untouched, write
from daemon.store.viewing import in_use
from drivers.ports import FoundPort
from drivers.registry import OWN_TIME


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``lowmaf setup``."""
    parser.epilog = (
        "examples:\n"
        "  lowmaf setup\n"
        "  lowmaf setup --yes --port /dev/ttyUSB0 --maf-table stock.csv\n"
        "  lowmaf setup --yes --driver simulator --config trial.toml\n"
        "  lowmaf setup --port can0 --dbc car.dbc"
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"what is written: {INSTALLED_CONFIG} where the service is installed, else lowmaf.toml",
    )
    parser.add_argument("--name", metavar="NAME", help="of the car, shown on the page")
    parser.add_argument(
        "--port",
        metavar="PORT",
        help="what leads to the car: a serial port, a CAN interface, tcp://host:port; or a recorded log",
    )
    parser.add_argument("--driver", choices=DRIVERS, help="by default the one that the car answers")
    parser.add_argument("--maf-table", type=Path, metavar="FILE", help="the MAF table that is in the ECU now")
    parser.add_argument(
        "--ecu-definition", type=Path, metavar="FILE", help="RomRaider logger definition, for Subarus"
    )
    parser.add_argument(
        "--dbc", type=Path, metavar="FILE", help="DBC file of an ECU that broadcasts: --driver can-broadcast"
    )
    parser.add_argument("--signals", metavar="CHANNEL=SIGNAL,…", help="which of its signals is which channel")
    parser.add_argument("--wideband", choices=CONTROLLERS, help="a wideband controller, beside the car")
    parser.add_argument(
        "--wideband-port", metavar="PORT", help="where it is: a serial port, or a CAN interface for aem-can"
    )
    parser.add_argument(
        "--host", metavar="ADDRESS", help="the dashboard listens there (the service: 0.0.0.0, else 127.0.0.1)"
    )
    parser.add_argument(
        "--no-identify", action="store_true", help="send nothing to the car; needs --port and --driver"
    )
    parser.add_argument("--yes", action="store_true", help="ask nothing: every answer is its default")
    parser.add_argument(
        "--replace", action="store_true", help="replace an earlier configuration, which is kept beside it"
    )


def run(options: argparse.Namespace) -> int:
    """Asks, tries the port that was chosen, writes the configuration and says what is next.

    Raises:
        UsageError: an answer that cannot be, or nobody to ask.
        WorkError: the car does not answer and nobody chose a driver, or the file cannot be written.
    """
    place = _place(options.config)
    check_writable(place)
    interview = Interview(ask=not options.yes)
    _may_replace(place, options, interview)
    if options.maf_table is not None:
        read_table(options.maf_table.expanduser(), "--maf-table")  # before the car is asked, which takes long
    source, identified = _source(options, interview)
    name = options.name or interview.text("Name of the car", "--name", "my car", _no_name)
    table = asked_table(options.maf_table, interview, source)
    definition = asked_definition(options.ecu_definition, interview, source, identified)
    second = asked_wideband(options.wideband, options.wideband_port, interview, source, found_ports())
    host = options.host or ("0.0.0.0" if is_installed(place) else "127.0.0.1")  # noqa: S104 - the Pi's network
    checked, kept = write(place, Answers(name, source, table, definition, host, second), os.environ)
    for earlier in kept:
        interview.say(f"The earlier file is kept as {earlier}")
    interview.say(f"\n{place} is written and checked. It would run:")
    for what, words in checked.summary:
        interview.say(f"  {what:10} {words}")
    _say_next(place, checked.config.web.host, checked.config.web.port, source, interview)
    return 0


def _place(given: Path | None) -> Path:
    if given is not None:
        return given.expanduser().absolute()
    return INSTALLED_CONFIG if INSTALLED_CONFIG.parent.is_dir() else Path("lowmaf.toml").absolute()


def _may_replace(place: Path, options: argparse.Namespace, interview: Interview) -> None:
    """An earlier configuration is replaced only where somebody wants that, or nothing is lost with it."""
    if not place.exists():
        return
    _refuse_running(place)
    if options.replace or is_untouched(place):
        return
    if not interview.asks:
        raise UsageError(
            f"{place}: there is a configuration already; --replace replaces it and keeps it beside"
        )
    if not interview.yes(
        f"{place} is there already. Replace it? (It is kept beside, and its settings are not taken over.)",
        "--replace",
        default=False,
    ):
        raise WorkError(f"nothing was changed: {place} stays as it is")


def _refuse_running(place: Path) -> None:
    """Two cannot ask the ECU at once, so the daemon has to let go of it first."""
    try:
        config = load_config(place, os.environ)
    except UsageError:
        return  # what is wrong cannot run
    if in_use(config.storage.database) and config.source.driver not in OWN_TIME:
        how = f"sudo systemctl stop {SERVICE}" if is_installed(place) else "stop it"
        raise WorkError(f"lowmaf runs with {place} and has the link to the car: {how}, then try again")


def _source(options: argparse.Namespace, interview: Interview) -> tuple[Source, Identified | None]:
    """What reads the car, and what came of trying it; None where it was not tried, or in vain."""
    if options.no_identify and not (options.driver and (options.port or options.driver == SIMULATED)):
        raise UsageError(
            "--no-identify leaves the port and the driver to you: --port and --driver are needed"
        )
    found = found_ports()
    while True:
        port = ""
        if options.driver != SIMULATED:
            port = options.port or _asked_port(found, interview)
        driver = SIMULATED if port == SIMULATED else _driver(options, port)
        sources = sources_for(port, found, driver)
        if sources[0].driver == BROADCAST or options.dbc is not None:
            sources = [with_signals(sources[0], options.dbc, options.signals, interview)]
        if sources[0].driver in OWN_TIME or options.no_identify:
            return sources[0], None
        complaint = missing(port)
        if complaint is not None and driver is None and not interview.asks:
            raise WorkError(complaint)
        identified = _tried(port, sources, interview)
        if identified is not None:
            return identified.source, identified
        if driver is not None:
            interview.say("The car did not answer; going on with what you say.")
            return sources[0], None
        if not interview.asks:
            raise WorkError(
                f"no car was found on {port}: switch the ignition on and try again, or choose what reads it: "
                f"--driver ssm-kline, ssm-can, obd-can, elm327 or can-broadcast"
            )
        if not interview.yes("Try again (ignition on, adapter plugged in)?", "--driver", default=True):
            return _chosen(port, found, interview), None
        found = found_ports()


def _driver(options: argparse.Namespace, port: str) -> str | None:
    """The driver that the owner named; a DBC file tells it, too."""
    named: str | None = options.driver
    if options.dbc is None and options.signals is None:
        return named
    meant = RECORDED if log_named(port) else BROADCAST
    if named not in (None, meant):
        raise UsageError(f"--dbc and --signals are for {meant} here, not for {named}")
    return meant


def _asked_port(found: list[FoundPort], interview: Interview) -> str:
    if found:
        interview.say("Found on this machine:")
    else:
        interview.say("No serial port and no CAN interface was found. Is the adapter plugged in?")
    answer = interview.choice(
        "Which one leads to the car? (a number, another port, tcp://host:port, a log, or simulator)",
        "--port",
        [f"{port.path}: {port.words}" for port in found],
        0 if sum(plugged_in(port) for port in found) == 1 else None,
    )
    return found[answer].path if isinstance(answer, int) else answer


def _tried(port: str, sources: list[Source], interview: Interview) -> Identified | None:
    """The first source that is answered. Nothing is sent to any other port."""
    if (complaint := missing(port)) is not None:
        interview.say(f"  {complaint}")
        return None
    for source in sources:
        interview.say(f"Asking on {port} with {source.driver} …")
        try:
            identified = identify(source)
        except WorkError as error:
            interview.say(f"  {error}")
            continue
        rate = "" if identified.rate_hz is None else f", {identified.rate_hz:.0f} samples per second"
        interview.say(f"  found: {identified.words}{rate}")
        return identified
    return None


def _chosen(port: str, found: list[FoundPort], interview: Interview) -> Source:
    """A driver that the owner chooses unseen."""
    live = [driver for driver in DRIVERS if driver != RECORDED]
    sources = [source for driver in live for source in sources_for(port, found, driver)]
    interview.say("Then it is for you to say which driver reads it:")
    answer = interview.choice("Driver", "--driver", [source.driver for source in sources], None)
    name = sources[answer].driver if isinstance(answer, int) else answer
    for source in sources:
        if source.driver == name:
            return with_signals(source, None, None, interview) if name == BROADCAST else source
    raise UsageError(f"no driver {answer!r}; allowed are {', '.join(live)}")


def _no_name(text: str) -> str | None:
    return None if text.isprintable() else "a name without control characters is needed"


def _say_next(place: Path, host: str, port: int, source: Source, interview: Interview) -> None:
    interview.say("\nNext:")
    if source.options.get("interface") == "socketcan" and is_installed(place):
        interview.say("  sudo systemctl enable --now systemd-networkd    # brings can0 up")
    if is_installed(place):
        interview.say(f"  sudo systemctl enable {SERVICE} && sudo systemctl restart {SERVICE}")
        interview.say("  sudo lowmaf doctor    # says what is wrong, if something is")
    else:
        interview.say(f"  lowmaf run --config {place}")
        interview.say(f"  lowmaf doctor --config {place}    # says what is wrong, if something is")
    local = host in ("127.0.0.1", "::1", "localhost")
    seen = "localhost" if local else f"{socket.gethostname().partition('.')[0]}.local"
    if not local:
        interview.say("  lowmaf pair    # once it runs: lets your phone change things")
    interview.say(f"  open http://{seen}:{port} {'on this machine' if local else 'on your phone'}")
