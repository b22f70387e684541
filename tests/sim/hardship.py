"""What goes wrong in a simulated room, drawn from the seed: a schedule of faults, each over before the healing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from mesh.core.messages import Signed
from tests.sim.network import Weather
from tests.sim.sending import another
from tests.sim.world import World


@dataclass(slots=True)
class Hardship:
    """Draws faults for a world between `from_s` and `until_s`. `off` are the machines that must stay on to the end."""

    world: World
    rng: Random
    until_s: float

    def _some(self) -> str:
        return self.rng.choice(sorted(self.world.machines))

    def _two(self) -> tuple[str, str]:
        one, two = self.rng.sample(sorted(self.world.machines), 2)
        return one, two

    def _later(self, shortest_s: float, longest_s: float) -> float:
        return min(self.until_s, self.world.t + self.rng.uniform(shortest_s, longest_s))

    # ---- faults; each is called at its time and ends itself

    def power_cut(self) -> None:
        name = self._some()
        self.world.cut_power(name, lose_last_write=self.rng.random() < 0.3)
        self.world.at(self._later(0.05, 8.0), self.world.boot, name)

    def agent_crash(self) -> None:
        name = self._some()
        self.world.kill_agent(name)
        self.world.at(self._later(0.05, 4.0), self.world.boot, name)

    def everything_off_and_on(self) -> None:
        for name in self.world.machines:
            self.world.cut_power(name)
            self.world.at(self._later(0.5, 6.0), self.world.boot, name)

    def pause(self) -> None:
        name = self._some()
        self.world.pause(name)
        self.world.at(self._later(0.02, 3.0), self.world.resume, name)

    def hiccups(self) -> None:
        name = self._some()
        for _ in range(10):
            start = self._later(0.0, 3.0)
            self.world.at(start, self.world.pause, name)
            self.world.at(start + self.rng.uniform(0.02, 0.4), self.world.resume, name)

    def clock_jump(self) -> None:
        self.world.jump_clock(self._some(), self.rng.choice((0.2, 1.0, 5.0, 300.0)))

    def split(self) -> None:
        names = sorted(self.world.machines)
        self.rng.shuffle(names)
        at = self.rng.randint(1, len(names) - 1)
        self.world.cut(" ".join(names[:at]), " ".join(names[at:]))
        self.world.at(self._later(0.1, 9.0), self._mend, names[:at], names[at:])

    def _mend(self, side: list[str], other: list[str]) -> None:
        for one in side:
            for two in other:
                self.world.network.unblock(one, two)
                self.world.network.unblock(two, one)
        self.world.network.replay(self.rng.randrange(30))

    def unplugged(self) -> None:
        name = self._some()
        self.world.unplug(name, noticed=self.rng.random() < 0.5)
        self.world.at(self._later(0.1, 9.0), self.world.plug_in, name)

    def one_way_cut(self) -> None:
        one, two = self._two()
        self.world.network.block(one, two)
        self.world.at(self._later(0.1, 6.0), self.world.network.unblock, one, two)

    def deaf_or_mute(self) -> None:
        name, deaf = self._some(), self.rng.random() < 0.5
        for other in self.world.machines:
            if other != name:
                pair = (other, name) if deaf else (name, other)
                self.world.network.block(*pair)
                self.world.at(self._later(0.5, 5.0), self.world.network.unblock, *pair)

    def clog(self) -> None:
        one, two = self._two()
        self.world.network.clog(one, two, self.rng.uniform(0.1, 2.5))

    def burst(self) -> None:
        """For a moment nothing passes anywhere."""
        for_s = self.rng.uniform(0.1, 0.6)
        for one in self.world.machines:
            for two in self.world.machines:
                if one != two:
                    self.world.network.clog(one, two, for_s)

    def bad_weather(self) -> None:
        rng = self.rng
        self.world.network.weather = Weather(rng.uniform(0.0, 0.03), rng.uniform(0.0, 0.08), rng.uniform(0.0, 0.3), rng.uniform(0.0, 0.3))
        self.world.at(self._later(0.5, 8.0), self._fine_weather)

    def _fine_weather(self) -> None:
        self.world.network.weather = Weather()

    def firewall(self) -> None:
        name = self._some()
        self.world.network.firewalled.add(name)
        self.world.at(self._later(0.5, 9.0), self.world.network.firewalled.discard, name)

    def old_packets(self) -> None:
        self.world.network.replay(self.rng.randrange(1, 40))

    def role_crash(self) -> None:
        machine = self.world.machines[self._some()]
        if machine.processes:
            self.world.stage.crash(machine.name, self.rng.choice(sorted(machine.processes)))

    def failing_starts(self) -> None:
        machine = self.world.machines[self._some()]
        role = self.rng.choice([each.name for each in self.world.deployment.roles])
        machine.failing[role] = self.rng.choice(("fails", "hangs"))
        self.world.at(self._later(0.5, 6.0), machine.failing.pop, role, None)
        if role in machine.processes:
            self.world.stage.crash(machine.name, role)

    def drain(self) -> None:
        name = self._some()
        self.world.want(name, "drain")
        self.world.at(self._later(0.5, 6.0), self.world.want, name, "undrain")

    def down_and_up(self) -> None:
        name = self._some()
        self.world.want(name, "down")
        self.world.at(self._later(0.2, 3.0), self.world.want, self._some(), "up")
        self.world.at(self.until_s, self.world.want, name, "up")

    def goodbye(self) -> None:
        name = self._some()
        self.world.want(name, "leave")
        self.world.after(0.3, self.world.cut_power, name)
        self.world.at(max(self.world.t + 0.4, self._later(0.5, 6.0)), self.world.boot, name)

    def another_revision(self) -> None:
        """Somebody sends an edited role from a machine, and orders it when all that machine sees have it, or without waiting."""
        rng, sending = Random(self.world.seed ^ int(self.world.t * 1000)), self.world.sending
        here = [machine.name for machine in self.world.running() if not machine.paused]
        if not here:
            return
        at, role = rng.choice(here), rng.choice([each.name for each in self.world.deployment.roles])
        offered = sending.offer(at, another(self.world.deployment, role, len(sending.deployments)))
        self.world.at(min(self.until_s, self.world.t + rng.choice((0.02, 0.5, 2.0))), self._order, at, offered)

    def _order(self, at: str, offered: Signed) -> None:
        if self.world.machines[at].agent is not None:
            self.world.sending.order(at, offered)

    def schedule(self, from_s: float, count: int) -> None:
        """So many faults at random times, of the kinds that this seed has drawn."""
        kinds: list[Callable[[], None]] = [
            self.power_cut, self.power_cut, self.agent_crash, self.pause, self.hiccups, self.clock_jump, self.split, self.split,
            self.unplugged, self.one_way_cut, self.deaf_or_mute, self.clog, self.burst, self.firewall, self.bad_weather, self.old_packets,
            self.role_crash, self.role_crash, self.failing_starts, self.drain, self.goodbye,
        ]
        kinds = self.rng.sample(kinds, self.rng.randint(2, 8))
        if self.rng.random() < 0.1:
            kinds.append(self.everything_off_and_on)
        if self.rng.random() < 0.05:
            kinds.append(self.down_and_up)
        for _ in range(count):
            self.world.at(self.rng.uniform(from_s, self.until_s - 0.5), self.rng.choice(kinds))
        updates = Random(self.world.seed ^ 0x0FFE)  # dice of their own: all else in a seed is as it was before there were revisions
        if updates.random() < 0.2:
            for _ in range(updates.randint(1, 3)):
                self.world.at(updates.uniform(from_s, self.until_s - 0.5), self.another_revision)
