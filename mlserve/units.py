"""Sizes and durations as people read them, everywhere in the same units and with the same rounding. Pure.

Scripts have the same in static/mlserve/upload.js (`inUnits`). What programs read is in bytes and seconds, unrounded.
"""

_SIZE_UNITS = ("KiB", "MiB", "GiB", "TiB")


def size_text(size_bytes: float) -> str:
    """'812 bytes', '1.5 KiB', '230.4 MiB': the units of the settings, of 1024 each, with one decimal."""
    if size_bytes < 1024:
        return "1 byte" if size_bytes == 1 else f"{size_bytes:.0f} bytes"
    size, power = size_bytes / 1024, 0
    # 1023.96 KiB would be written as 1024.0 KiB.
    while round(size, 1) >= 1024 and power < len(_SIZE_UNITS) - 1:
        size, power = size / 1024, power + 1
    return f"{size:,.1f} {_SIZE_UNITS[power]}"


def duration_text(seconds: float | None) -> str:
    """'12 ms', '3.4 s', '250 s', or '' when there is none."""
    if seconds is None:
        return ""
    if round(seconds * 1000) < 1000:
        return f"{max(1, round(seconds * 1000))} ms"
    return f"{seconds:.1f} s" if seconds < 99.95 else f"{seconds:,.0f} s"
