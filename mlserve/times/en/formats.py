"""How the admin writes times: as the log and the API do, instead of “Nov. 26, 2026, 12:25 a.m.” of no zone."""

DATE_FORMAT = "Y-m-d"
DATETIME_FORMAT = r"Y-m-d H:i \U\T\C"
