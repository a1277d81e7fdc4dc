"""The simulated ECU's fuelling: loop state, target, short-term and long-term trim."""

from __future__ import annotations

from bisect import bisect_right

from drivers.simulator.engine import manifold_g_kpa, pumping_g_kpa
from drivers.simulator.maf_sensor import MafSensor
from drivers.simulator.settings import LTFT_EDGES_GS, STEP_S, TICK_S, CarSettings, LoopKind
from lowmaf.samples import FuelLoop

_CUT_RPM, _RESUME_RPM = 1500.0, 1150.0
_CUT_AFTER_S = 0.4
_CUT_ECT_C = 50.0
_CLOSE_AFTER_CUT_S = 0.7
_POST_CUT_LAMBDA = 0.94  # commanded after a fuel cut, to empty the catalyst's oxygen store,
_POST_CUT_HOLD_S = 2.6  # for so long, as in a drive recorded with EcuTek,
_POST_CUT_S = 0.8  # and fading over this time constant
_OPEN_CHARGE, _CLOSE_CHARGE = 1.15, 1.05  # g/rev at which fuelling opens for power, and closes again
_FULL_CHARGE = 2.2  # g/rev at which the target is richest
_POWER_LAMBDA = 0.80
_HIGHEST_ERROR = 0.12  # lambda error beyond which the integral does not run faster
_RANGE_MIDDLES_GS = (3.5, 7.5, 20.0, 60.0)


class FuelControl:
    """Closed-loop fuelling as an ECU does it: PI or relay on lambda, learning per range of air flow.

    ``stft_pct`` and ``ltft_pct`` are what the ECU would report before quantisation; the short-term
    trim is 0 while the loop is open, or held if the ECU freezes it. ``lambda_target`` is the
    commanded lambda.
    """

    __slots__ = ("_adds", "_charge", "_close_ect_c", "_coasting_s", "_fill_gain", "_freezes", "_integral",
                 "_ki", "_ki_now", "_kp", "_learn_ect_c", "_learned", "_ltft", "_ltft_limit", "_open_s",
                 "_powered", "_rate", "_relay", "_rich", "_rich_s", "_stft", "_stft_limit", "cut",
                 "lambda_target", "loop")  # fmt: skip

    def __init__(self, settings: CarSettings, sensor: MafSensor) -> None:
        self._relay = settings.loop is LoopKind.RELAY
        self._kp, self._ki = settings.kp, settings.ki
        if self._relay:
            self._kp, self._ki = settings.relay_jump_pct / 100.0, settings.relay_ramp_pct_s / 100.0
        self._ki_now = self._ki
        self._adds, self._freezes = settings.trims_add, settings.stft_freezes
        self._stft_limit = settings.stft_limit_pct / 100.0
        self._ltft_limit = settings.ltft_limit_pct / 100.0
        self._rate = settings.ltft_rate * TICK_S
        self._close_ect_c, self._learn_ect_c = settings.closed_loop_ect_c, settings.learning_ect_c
        filling = pumping_g_kpa(settings.displacement_l) / manifold_g_kpa(settings.manifold_l)
        self._fill_gain = settings.manifold_model * filling * STEP_S  # per step and 1/min
        limit = self._ltft_limit
        self._learned = [
            min(max(settings.ltft_known * sensor.correction_at_flow(flow), -limit), limit)
            for flow in _RANGE_MIDDLES_GS
        ]
        self._ltft = self._learned[0]
        self._charge = settings.idle_flow_gs / 900.0  # g/s per 1/min
        self._integral = self._stft = 0.0
        self._coasting_s = 0.0
        self._open_s = 0.0
        self._rich = self._rich_s = 0.0
        self._powered = False
        self.cut = False
        self.lambda_target = 1.0
        self.loop = FuelLoop.OPEN_COLD

    @property
    def stft_pct(self) -> float:
        return 100.0 * self._stft

    @property
    def ltft_pct(self) -> float:
        return 100.0 * self._ltft

    @property
    def closed(self) -> bool:
        return self.loop is FuelLoop.CLOSED

    def step(self, table_gs: float, rpm: float, lambda_: float) -> float:
        """One step; returns the air flow, g/s, that the injected fuel is right for (0 = fuel cut)."""
        fill = self._fill_gain * rpm
        # The filter runs on the charge per turn: pressure in a manifold does not jump with engine speed.
        charge = self._charge = self._charge + min(fill, 1.0) * (table_gs / rpm - self._charge)
        air = charge * rpm
        if self.cut:
            return 0.0
        target = self.lambda_target
        stft = self._stft
        if self.loop is FuelLoop.CLOSED:
            error = lambda_ - target
            if self._relay:
                error = 1.0 if error > 0.0 else -1.0
            else:
                error = min(max(error, -_HIGHEST_ERROR), _HIGHEST_ERROR)
            limit = self._stft_limit
            integral = min(max(self._integral + self._ki_now * error * STEP_S, -limit), limit)
            self._integral = integral
            self._stft = stft = min(max(integral + self._kp * error, -limit), limit)
        if self._adds:
            return air * (1.0 + stft + self._ltft) / target
        return air * (1.0 + stft) * (1.0 + self._ltft) / target

    def tick(self, table_gs: float, rpm: float, pedal: float, ect_c: float) -> None:
        """Once per tick: fuel cut, loop state, target, learning."""
        charge = 60.0 * self._charge
        self._decide_cut(rpm, pedal, ect_c)
        self._powered = charge > (_CLOSE_CHARGE if self._powered else _OPEN_CHARGE)
        self._decide_target(charge, ect_c)
        self._decide_loop(ect_c)
        self._learn(table_gs, ect_c)
        self._ki_now = self._ki * min(1.0, 0.45 + 0.55 * (table_gs - 2.5) / 9.5)

    def _decide_cut(self, rpm: float, pedal: float, ect_c: float) -> None:
        if pedal > 0.0:
            self._coasting_s = 0.0
        else:
            self._coasting_s += TICK_S
        if self.cut:
            if pedal > 0.0 or rpm < _RESUME_RPM:
                self.cut = False
                self._rich_s = _POST_CUT_HOLD_S
        elif self._coasting_s > _CUT_AFTER_S and rpm > _CUT_RPM and ect_c > _CUT_ECT_C:
            self.cut = True

    def _decide_target(self, charge: float, ect_c: float) -> None:
        self._rich_s -= TICK_S
        self._rich = 1.0 if self._rich_s > 0.0 else self._rich * (1.0 - TICK_S / _POST_CUT_S)
        target = 1.0 - (1.0 - _POST_CUT_LAMBDA) * self._rich
        if self._powered:
            power = min(max((charge - _OPEN_CHARGE) / (_FULL_CHARGE - _OPEN_CHARGE), 0.0), 1.0)
            target = min(target, 0.92 - (0.92 - _POWER_LAMBDA) * power)
        if ect_c < self._close_ect_c:
            target = min(target, 1.0 - 0.003 * (self._close_ect_c - ect_c))
        self.lambda_target = target

    def _decide_loop(self, ect_c: float) -> None:
        if ect_c < self._close_ect_c:
            self._open(FuelLoop.OPEN_COLD)
        elif self.cut or self._powered:
            self._open(FuelLoop.OPEN_LOAD)
        else:
            self._open_s -= TICK_S
            if self._open_s <= 0.0:
                self.loop = FuelLoop.CLOSED

    def _open(self, state: FuelLoop) -> None:
        self.loop = state
        if not self._freezes:
            self._integral = self._stft = 0.0
        self._open_s = _CLOSE_AFTER_CUT_S

    def _learn(self, table_gs: float, ect_c: float) -> None:
        current = bisect_right(LTFT_EDGES_GS, table_gs)
        learned = self._learned
        if self.loop is FuelLoop.CLOSED and ect_c > self._learn_ect_c and self._rich < 0.05:
            limit = self._ltft_limit
            moved = learned[current] + self._rate * self._stft
            learned[current] = min(max(moved, -limit), limit)
        self._ltft = learned[current]
