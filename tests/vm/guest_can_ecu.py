"""Runs in the virtual machine, with lowmaf's own Python: the simulated ECU on a CAN interface."""

import sys
import threading
from pathlib import Path

from drivers.can_link import open_bus
from drivers.clock import WallClock
from drivers.simulator.car import Car
from drivers.simulator.ecu import SimulatedEcu
from drivers.simulator.settings import CarSettings

SimulatedEcu(open_bus("socketcan", sys.argv[1], 0), Car(CarSettings()), WallClock()).start()
Path(sys.argv[2]).touch()  # it answers
threading.Event().wait()
