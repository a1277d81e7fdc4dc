"""Promises that tests keep by trying them often: what, how often, and which test."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counted:
    """``test`` is ``file::function`` below tests; ``command`` is the target of make that tries it in full."""

    what: str
    how_often: str
    command: str
    test: str


COUNTED = (
    Counted(
        "`kill -9` at any moment: no damaged database, nothing acknowledged lost",
        "1 000 kills",
        "test-long",
        "test_daemon_store_kill.py::test_nothing_acknowledged_is_lost",
    ),
    Counted(
        "`kill -9` while the database is brought to a newer version",
        "100 kills",
        "test-long",
        "test_daemon_store_schema.py::test_kill_9_in_the_middle_of_a_step_leaves_the_version_before_or_after",
    ),
    Counted(
        "power cut that loses what was not synced (and without syncs it does harm, as it must)",
        "20 000 images",
        "test-long",
        "test_daemon_store_power_cut.py::test_what_was_acknowledged_survives_a_lost_page_cache",
    ),
    Counted(
        "power cut of a whole emulated computer",
        "3 cuts, 50 with LOWMAF_VM_CUTS=50",
        "test-vm",
        "vm/test_vm_power_cut.py::test_what_was_acknowledged_survives_cuts_at_any_moment",
    ),
    Counted(
        "damaged database files: never a wrong table, nothing deleted",
        "3 000 files",
        "test-long",
        "test_daemon_store_recovery.py::test_random_damage_never_makes_anything_wrong",
    ),
    Counted(
        "the daemon starts whatever became of its database",
        "500 files",
        "test-long",
        "test_daemon_store_opening.py::test_a_damaged_database_never_keeps_the_daemon_from_starting",
    ),
    Counted(
        "24 hours at 50 samples/s: no growth of memory, no sample unaccounted for",
        "one day",
        "test-long",
        "test_daemon_endurance.py::test_a_day_at_high_speed",
    ),
    Counted(
        "bytes that are no frame, for each codec: no crash, no impossible value",
        "1 000 000 strings",
        "test-long",
        "test_drivers_frames_fuzz.py::test_a_codec_bears_a_million",
    ),
    Counted(
        "damaged logs: an answer or a sentence, the file unchanged",
        "100 000 logs",
        "test-long",
        "test_drivers_logs_fuzz.py::test_a_hundred_thousand_damaged_logs",
    ),
    Counted(
        "damaged configurations, MAF tables and definitions",
        "310 000 files",
        "test-long",
        "test_daemon_files_fuzz.py::test_damaged_files_give_an_answer_or_a_sentence",
    ),
    Counted(
        "a driver opened and closed leaves no descriptor, task or thread",
        "1 000 times each",
        "test-long",
        "test_drivers_contract.py::test_a_thousand_times_opened_and_closed_it_leaves_nothing",
    ),
    Counted(
        "memory does not grow with the length of a log",
        "1 GB",
        "test-long",
        "test_drivers_logs_streaming.py::test_memory_does_not_grow_with_the_log",
    ),
    Counted(
        "requests for analyses at once: all acknowledged, completed and delivered, live path undisturbed",
        "1 000 requests",
        "test-long",
        "test_daemon_analysis_crowd.py"
        "::test_every_run_is_acknowledged_completed_and_delivered_and_no_live_sample_is_lost",
    ),
    Counted(
        "requests thought up from the OpenAPI document: no 5xx, every answer of its shape",
        "10 000 cases",
        "test-long",
        "test_web_openapi.py::test_no_request_that_can_be_thought_up_breaks_it",
    ),
    Counted(
        "one-byte-a-second connections beside an honest client",
        "2 000 connections",
        "test-long",
        "test_web_slow_clients.py::test_slow_connections_do_not_keep_the_dashboard_waiting",
    ),
    Counted(
        "wrong pairing codes: whoever guesses is locked out, the owner is not",
        "1 000 codes",
        "test",
        "test_web_devices_routes.py::test_a_thousand_wrong_codes_lock_out_who_guesses_and_not_the_owner",
    ),
    Counted(
        "exposure of the service by systemd-analyze: at most 1.6",
        "each time",
        "test",
        "test_systemd_unit.py::test_little_is_exposed",
    ),
)
