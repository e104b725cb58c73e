"""What this machine's memory holds: better a message now than a machine that swaps or a kill."""

from __future__ import annotations

from pathlib import Path


def free_bytes() -> float | None:
    """Memory that programs may still take; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kilobytes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024.0 * float(kilobytes[0]) if kilobytes else None
