"""Why a changed guard that nobody noticed is no hole: filed under the guard's words, see `guards.py`."""

REASONS: dict[str, str] = {}
