"""What DESIGN.md, section 6, promises of what `roomful bench` measures, so that a technician sees at once whether a machine keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from mesh.shell.bench.rows import Row

PLACES = {"value": "", "p99": " at p99", "ratio": " x bare", "added": " more than bare"}


@dataclass(frozen=True, slots=True)
class Promise:
    """`what`: "value", "p99", "ratio" (ours / bare) or "added" (ours - bare). At most `limit`, or at least."""

    what: str
    limit: float
    at_least: bool = False

    def found(self, row: Row) -> float | None:
        """The figure that it is about; None where the bare library did not run."""
        if self.what == "added":
            return None if row.raw is None else row.value - row.raw
        found: float | None = getattr(row, self.what)
        return found

    def words(self, row: Row) -> str:
        """As the table shows it."""
        sign, unit = ("≥" if self.at_least else "≤"), "" if self.what == "ratio" or row.unit == "share" else f" {row.unit}"
        found = self.found(row)
        kept = "" if found is None else (" ✓" if (found >= self.limit if self.at_least else found <= self.limit) else " ✗")
        return f"{sign} {self.limit:g}{unit}{PLACES[self.what]}{kept}"


PROMISES = {
    "round_trip": Promise("ratio", 1.15), "round_trip_network": Promise("ratio", 1.15),
    "frames_480p_local": Promise("ratio", 3.0, at_least=True), "frames_1080p_local": Promise("ratio", 3.0, at_least=True),
    "frames_1080p_network": Promise("ratio", 0.95, at_least=True), "pool": Promise("value", 0.97, at_least=True),
    "tokens": Promise("ratio", 0.98, at_least=True), "first_token": Promise("added", 2.0), "join": Promise("p99", 300.0),
    "clock": Promise("p99", 2.0), "idle": Promise("value", 1.5), "idle_memory": Promise("value", 60.0),
}  # fmt: skip


def promised(row: Row) -> str:
    """What is promised of this figure, and whether it is kept; "" for what nothing is promised of. Names may go on with a machine's
    (`bench --room`), those of models with a role's."""
    name = row.name.partition(" ")[0]
    promise = PROMISES.get(next((each for each in ("tokens", "first_token") if name.startswith(f"{each}_")), name))
    return "" if promise is None else promise.words(row)
