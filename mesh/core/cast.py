"""What this node plays, and what it must do next about each instance.

Decide, then do: for each instance there is one wish (hold it, stand by, stand by in order to take over by
plan, or nothing), found from what everybody can see; then one step from where the process is towards the
wish. No step waits for another node's permission, and none restarts a process that already is what it
should be. What nobody hears, a standby, is begun and ended only when that has been wished for a moment: while
sides meet, or turn to another revision one by one, each word that comes moves the placement.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mesh.core.claims import HOLDER, PLAYING, READY, STANDBY, STARTING
from mesh.core.effects import Effect, Halt, Launch, Report, Tell
from mesh.core.instances import Instance
from mesh.core.messages import Claim
from mesh.core.names import role_name
from mesh.core.parts import Part, Parts
from mesh.core.view import View

HOLD, STAND, SUCCEED, NOTHING = "hold", "stand", "succeed", "nothing"


@dataclass(slots=True)
class Cast(Parts):
    """This node's parts, and what it wishes of each instance."""

    unclaimed_since_s: dict[str, float] = field(default_factory=dict)
    hidden_since_s: dict[str, float] = field(default_factory=dict)
    outranked_since_s: dict[str, float] = field(default_factory=dict)
    bides_since_s: dict[str, float] = field(default_factory=dict)
    last_holder: dict[str, tuple[str, str]] = field(default_factory=dict)  # instance -> (node, machine) that was seen to hold it last
    restoring_s: dict[str, float] = field(default_factory=dict)  # instance -> until when its claim may be handed over, on a person's word
    next_look_s: float = float("inf")

    def restore(self, name: str, now: float) -> None:
        """What is held here may go, once, to the machine that it prefers, as if the room had just started."""
        part = self.parts.get(name)
        if part is not None and part.claim.part == HOLDER:
            self.restoring_s[name] = now + self.timing.provisional_s
            self._restate(name, provisional=True)

    # ---- wishing

    def decide(self, view: View, now: float) -> list[Effect]:
        """One step towards the wish for every instance. Call again after each change; it is idempotent."""
        effects: list[Effect] = []
        self.next_look_s = float("inf")
        self._forget_failures(now)
        known = {instance.name for instance in view.instances}
        for name in [name for name in self.parts if name not in known]:
            effects += self._end(name, "no longer in the deployment", rests=not known)
        for instance in view.instances:
            effects += self._step(instance, self.wish(instance, view, now), view, now)
        return effects

    def agree(self, view: View, now: float) -> list[Effect]:
        """Only what two hold is settled; everything else goes on as it was. For a node that still listens to who is there."""
        effects: list[Effect] = []
        for instance in view.instances:
            part = self.parts.get(instance.name)
            if part is not None and part.claim.part == HOLDER and len(view.ledger.holdings.get(instance.name, ())) > 1:
                effects += self._step(instance, self._wish_of_holder(instance.name, view.me, view), view, now)
        return effects

    def _forget_failures(self, now: float) -> None:
        """What this machine gave up on is tried again after a while."""
        for name, until in list(self.try_again_s.items()):
            if now >= until:
                del self.try_again_s[name], self.gave_up[name]
            else:
                self.next_look_s = min(self.next_look_s, until)

    def wish(self, instance: Instance, view: View, now: float) -> str:
        """What this node should be for the instance: hold, stand, succeed or nothing."""
        name = instance.name
        part = self.parts.get(name)
        placed = view.placement.holders.get(name)
        winner = view.ledger.winner(name)
        if part is not None and part.claim.part == HOLDER:
            self.last_holder[name] = (view.me, view.names.get(view.me, ""))
            return self._wish_of_holder(name, placed, view)
        if winner is not None:
            self.last_holder[name] = (winner.node, view.names.get(winner.node, ""))
            self.unclaimed_since_s.pop(name, None)
            self.hidden_since_s.pop(name, None)
            if placed == view.me:
                return SUCCEED
            return STAND if self._stands(instance, view) else NOTHING
        if self._may_claim(instance, placed, view, now):
            return HOLD
        return STAND if part is not None and self._stands(instance, view) else NOTHING

    def _may_claim(self, instance: Instance, placed: str | None, view: View, now: float) -> bool:
        """Nobody is seen to hold it. Whoever it is placed on claims it, unless somebody else's claim is still on its way."""
        if self._is_hidden(instance.name, view, now):
            return False
        loaded = instance.name in self.parts
        if placed == view.me:
            return loaded or (view.may_start(instance) and not view.waits)
        return self._falls_to_me(instance, placed, view, now)

    def _is_hidden(self, name: str, view: View, now: float) -> bool:
        """An epoch is known that nobody seen here has claimed: for a moment, wait for the words of whoever did."""
        if not view.ledger.hidden(name):
            self.hidden_since_s.pop(name, None)
            return False
        due = self.hidden_since_s.setdefault(name, now) + self.timing.unclaimed_s
        if now < due:
            self.next_look_s = min(self.next_look_s, due)
        return now < due

    def _wish_of_holder(self, name: str, placed: str | None, view: View) -> str:
        winner, believed = view.ledger.winner(name), view.ledger.believed(name)
        if winner is not None and winner.node != view.me:
            above = believed is not None and believed.node != view.me
            return NOTHING if above else HOLD  # the loser stays until the winner has claimed above it
        if name in view.placement.for_nobody:
            return HOLD  # the screens may only be out of reach: losing the network never stops a role
        return NOTHING if placed is None else HOLD

    def _stands(self, instance: Instance, view: View) -> bool:
        if instance.role.standby not in ("hot", "warm"):
            return False
        if view.placement.loaded.get(instance.name) == view.me:
            return True
        order = view.placement.standby.get(instance.name, ())
        part = self.parts.get(instance.name)
        others_ready = [each for each in view.ledger.standbys.get(instance.name, ()) if each.claim.state == READY and each.node != view.me]
        loaded = part is not None and part.claim.state == READY
        return loaded and view.me in order and not others_ready

    def _falls_to_me(self, instance: Instance, placed: str | None, view: View, now: float) -> bool:
        """The first choice leaves it unclaimed: the next in order takes it, one step of waiting a rank."""
        order = view.placement.standby.get(instance.name, ())
        if placed not in view.settled or view.me not in view.settled or view.me not in order:
            self.unclaimed_since_s.pop(instance.name, None)
            return False
        since = self.unclaimed_since_s.setdefault(instance.name, now)
        due = since + self.timing.unclaimed_s * (order.index(view.me) + 1)
        if now < due:
            self.next_look_s = min(self.next_look_s, due)
        return now >= due

    # ---- stepping

    def _step(self, instance: Instance, wish: str, view: View, now: float) -> list[Effect]:
        part = self.parts.get(instance.name)
        if self._bides(instance.name, part, wish, view, now):
            return []
        if part is None:
            return [] if wish == NOTHING else self._launch(instance, wish, view)
        if wish == NOTHING:
            return self._end(instance.name, "not wanted here")
        if part.claim.part == HOLDER:
            return self._step_of_holder(instance, part, view, now)
        if wish == HOLD:
            return self._take_over(instance, part, view, planned=False)
        if wish == SUCCEED and part.claim.state == READY:
            return self._take_over(instance, part, view, planned=True)
        return []

    def _bides(self, name: str, part: Part | None, wish: str, view: View, now: float) -> bool:
        """Whether a standby's start or end has yet to be wished for long enough. Its end does not wait where it makes room for what
        starts here, or where the room plays the instance no longer."""
        if part is None:
            bides = wish in (STAND, SUCCEED)
        else:
            bides = wish == NOTHING and part.claim.part == STANDBY and name in view.placement.holders and not self._starts_something()
        if not bides:
            self.bides_since_s.pop(name, None)
            return False
        due = self.bides_since_s.setdefault(name, now) + self.timing.bide_s
        if now >= due:
            del self.bides_since_s[name]
            return False
        self.next_look_s = min(self.next_look_s, due)
        return True

    def _starts_something(self) -> bool:
        return any(part.where == (HOLDER, STARTING) for part in self.parts.values())

    def _launch(self, instance: Instance, wish: str, view: View) -> list[Effect]:
        name = instance.name
        holds = wish == HOLD
        standby = "none" if holds else instance.role.standby if instance.role.standby in ("hot", "warm") else "warm"
        epoch = view.ledger.next_epoch(name) if holds else view.ledger.epochs.get(name, 0)
        generation = self.generations[name] = self.next_generation(name)
        claim = Claim(
            name, epoch, HOLDER if holds else STANDBY, STARTING, generation, heard=view.side, first=epoch if holds else 0,
            provisional=holds and view.provisional, restarts=self.record(name).restarts,
        )
        self._move(name, Part(claim, standby))
        view.ledger.saw(name, epoch)
        taken = self._took_over(name, view) if holds else []
        return [Launch(name, generation, epoch, standby), *taken, self._state_of(name, view)]

    def _step_of_holder(self, instance: Instance, part: Part, view: View, now: float) -> list[Effect]:
        name, winner = instance.name, view.ledger.winner(instance.name)
        if winner is not None and winner.node == view.me and self._is_outranked(name, part, view, now):
            return self._claim_anew(name, part, view)
        alone = len(view.ledger.holdings.get(name, ())) <= 1
        stands = {
            "heard": view.side, "planned": part.claim.planned and not alone,
            "provisional": part.claim.provisional and (view.provisional or self._is_restored(name, now)),
        }
        if any(getattr(part.claim, key) != value for key, value in stands.items()):
            self._restate(name, **stands)
        if part.claim.state == READY and view.needs_ready(instance):
            self._restate(instance.name, state=PLAYING)
            return [
                Tell(instance.name, part.claim.generation, {"type": "play", "epoch": part.claim.epoch}),
                self._state_of(instance.name, view),
            ]
        return []

    def _is_restored(self, name: str, now: float) -> bool:
        due = self.restoring_s.get(name, now)
        self.next_look_s = min(self.next_look_s, due) if now < due else self.next_look_s
        return now < due

    def _is_outranked(self, name: str, part: Part, view: View, now: float) -> bool:
        """Whether consumers may listen to somebody else: another holder here stands above, or, for some time now, an epoch is known
        that nobody here holds. That one may belong to a holder whose words are on their way, so it is given time to show itself."""
        believed = view.ledger.believed(name)
        if believed is not None and believed.node != view.me:
            return True
        if view.ledger.epochs.get(name, 0) <= part.claim.epoch:
            self.outranked_since_s.pop(name, None)
            return False
        since = self.outranked_since_s.setdefault(name, now)
        due = since + self.timing.unclaimed_s
        if now < due:
            self.next_look_s = min(self.next_look_s, due)
            return False
        del self.outranked_since_s[name]
        return True

    def _claim_anew(self, name: str, part: Part, view: View) -> list[Effect]:
        """Somebody holds it at a higher epoch, or has seen one: consumers would listen to that. The winner claims above it."""
        epoch = view.ledger.next_epoch(name)
        believed = view.ledger.believed(name)
        above = view.names.get(believed.node, "") if believed is not None and believed.node != view.me else ""
        self._restate(name, epoch=epoch)
        view.ledger.saw(name, epoch)
        told = Tell(name, part.claim.generation, {"type": "play", "epoch": epoch})
        met = Report("claimed_anew", {"instance": name, "above": above, "epoch": epoch})
        return [told, met] if part.claim.state == PLAYING else [met]

    def _take_over(self, instance: Instance, part: Part, view: View, *, planned: bool) -> list[Effect]:
        """The standby becomes the holder. A loaded one plays at once; one that still loads plays when it is ready."""
        name = instance.name
        epoch = view.ledger.next_epoch(name)
        ready = part.claim.state == READY
        self._move(name, Part(
            replace(
                part.claim, part=HOLDER, state=PLAYING if ready else STARTING, epoch=epoch, planned=planned, heard=view.side, first=epoch,
            ),
            part.standby, part.published,
        ))
        view.ledger.saw(name, epoch)
        play: list[Effect] = [Tell(name, part.claim.generation, {"type": "play", "epoch": epoch})] if ready else []
        return [*play, *self._took_over(name, view, planned=planned), self._state_of(name, view)]

    def _end(self, name: str, why: str, *, rests: bool = False) -> list[Effect]:
        part = self.parts.pop(name)
        return [
            Halt(name, part.claim.generation, rests=rests),
            Report("role_state", {"instance": name, "state": "stopped", "why": why}),
        ]

    def renew(self, roles: frozenset[str], view: View) -> list[Effect]:
        """Another deployment is played from now on, in which these roles are not what they were: their processes are started anew."""
        self.forgive()
        effects: list[Effect] = []
        for name, part in list(self.parts.items()):
            if role_name(name) not in roles or name not in {instance.name for instance in view.instances}:
                continue
            generation = self.generations[name] = self.next_generation(name)
            self._restate(name, state=STARTING, generation=generation, pid=0, frames_port=0, requests_port=0, trouble="")
            effects += [Halt(name, part.claim.generation), Launch(name, generation, part.claim.epoch, part.standby),
                        self._state_of(name, view)]
        return effects

    def _took_over(self, name: str, view: View, *, planned: bool = False) -> list[Report]:
        """The take-over in words, unless this is the first time that anybody is seen to hold it, or it was this node before.
        `cause` is "planned", "lost" (the machine is gone) or "failed" (the machine is here and no longer plays it)."""
        node, machine = self.last_holder.get(name, ("", ""))
        self.last_holder[name] = (view.me, view.names.get(view.me, ""))
        if node in ("", view.me):
            return []
        cause = "planned" if planned else "failed" if node in view.names else "lost"
        return [Report("takeover", {"instance": name, "from": machine, "to": view.names.get(view.me, ""), "cause": cause})]
