"""The mathematics of MAF scaling: pure NumPy, no I/O, no clock, no asyncio.

Samples come in as :class:`lowmaf.samples.SampleBatch`, each gets one
:class:`lowmaf.verdicts.Verdict`, accepted ones are accumulated on the MAF table's own
breakpoints, and :class:`lowmaf.snapshot.Snapshot` is what everybody else may look at.
"""
