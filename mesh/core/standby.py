"""Who takes over from whom: an order of succession for every instance that has one.

For each machine in turn its loss is thought through: its instances, most important first, go where `place` would put
them, each counting for the next, so that what one machine carried is spread over those that are left. Warm and hot
standbys need memory now, so they share one account for the whole room and yield to everything that plays; cold ones
need it only then.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mesh.core.placement_room import Item
from mesh.core.placement_seats import Seats

SUCCESSORS_MAX = 8  # an order is made anew whenever a machine goes; nobody waits for the ninth
LOADED = ("warm", "hot")


@dataclass(slots=True)
class Loss:
    """What the loss of one machine would bring to the others so far."""

    load: list[int]  # per machine, what one more instance would make it weigh
    memory: dict[int, int] = field(default_factory=dict)


class Succession:
    """Orders for a finished seating. `orders[i]` is item i's, best first; `loaded[i]` the machine that keeps its
    warm or hot standby. A warm or hot role that is not in `loaded` has no memory left for it and can only start cold."""

    def __init__(self, seats: Seats) -> None:
        self.seats, self.room = seats, seats.room
        self.orders: dict[int, tuple[int, ...]] = {}
        self.loaded: dict[int, int] = {}
        self._kept_free = [0] * len(self.room.machines)
        self._losses: dict[int, Loss] = {}
        playing = [index for index in range(len(self.room.items)) if seats.seat[index] >= 0]
        for index in playing:
            item = self.room.items[index]
            if item.role.each or item.beside:
                continue
            if item.siblings:
                self._weigh_copy(index, item)
            else:
                self._order(index, item, item.allowed)
        for index in sorted((index for index in playing if self.room.items[index].beside), key=self._steps):
            self._follow(index)
        self.orders = {index: order for index, order in self.orders.items() if self.room.items[index].role.standby != "none"}

    def _weigh_copy(self, index: int, item: Item) -> None:
        """A copy has no successor, for the others are there; but it too will be placed again, and weigh where it goes."""
        loss = self._loss_of(self.seats.seat[index])
        mask = item.allowed & ~(1 << self.seats.seat[index])
        mask = mask & ~self.seats.occupied_by(item.siblings) or mask
        order = self._sorted(item, mask, loss)
        if order:
            self._weigh(item, order[0], loss)

    def _weigh(self, item: Item, machine: int, loss: Loss) -> None:
        loss.load[machine] += self.room.share[machine]
        loss.memory[machine] = loss.memory.get(machine, 0) + item.memory

    def _order(self, index: int, item: Item, mask: int) -> None:
        holder = self.seats.seat[index]
        mask &= ~(1 << holder)
        if not mask:
            return
        loss = self._loss_of(holder)
        first = self._place_for_loaded(item, mask, loss) if item.role.standby in LOADED else -1
        if first >= 0:
            self.loaded[index] = first
            self._kept_free[first] += item.memory
        order = self._sorted(item, mask, loss)
        if first >= 0:
            order = [first, *(machine for machine in order if machine != first)]
        self.orders[index] = tuple(order[:SUCCESSORS_MAX])
        self._weigh(item, order[0], loss)

    def _steps(self, index: int) -> int:
        """How many it follows, one after the other: who is followed comes first. A file in which they follow in a ring is refused."""
        beside, steps = self.room.items[index].beside, 0
        while beside:
            beside, steps = self.room.items[beside[0]].beside, steps + 1
        return steps

    def _follow(self, index: int) -> None:
        """Who plays `with` a role goes where that goes, or where another copy of it plays."""
        item = self.room.items[index]
        others = self.seats.occupied_by(item.beside) & item.allowed & ~(1 << self.seats.seat[index])
        if others:
            self._order(index, item, others)
            return
        order = tuple(machine for machine in self.orders.get(item.beside[0], ()) if item.allowed >> machine & 1)
        if order:
            self.orders[index] = order
            if item.role.standby in LOADED and self.seats.free[order[0]] - self._kept_free[order[0]] >= item.memory:
                self.loaded[index] = order[0]
                self._kept_free[order[0]] += item.memory

    def _loss_of(self, machine: int) -> Loss:
        loss = self._losses.get(machine)
        if loss is None:
            count, share = self.seats.count, self.room.share
            loss = self._losses[machine] = Loss([(count[other] + 1) * share[other] for other in range(len(count))])
        return loss

    def _place_for_loaded(self, item: Item, mask: int, loss: Loss) -> int:
        """The best machine with memory to keep it loaded now; where it already is loaded, if it can stay there. -1: none."""
        free, kept = self.seats.free, self._kept_free
        open_now = sum(1 << machine for machine in self.room.bits(mask) if free[machine] - kept[machine] >= item.memory)
        if open_now & item.warm:
            open_now &= item.warm
        for layer in item.layers:
            if layer & open_now:
                return min(self.room.bits(layer & open_now), key=loss.load.__getitem__)
        return -1

    def _sorted(self, item: Item, mask: int, loss: Loss) -> list[int]:
        """All machines of a mask: with memory for it when the holder is lost first, then liked best, then least loaded."""
        fitting = mask
        if item.memory:
            free, taken = self.seats.free, loss.memory
            fitting = sum(1 << machine for machine in self.room.bits(mask) if free[machine] - taken.get(machine, 0) >= item.memory)
        order: list[int] = []
        for chosen in (fitting, mask & ~fitting):
            for layer in item.layers:
                order += sorted(self.room.bits(layer & chosen), key=loss.load.__getitem__)
        return order
