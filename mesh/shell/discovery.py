"""Who may be in the room: one mDNS record for each node, announced and browsed on every interface.

    discovery = Discovery(on_found, on_addresses, on_trouble, loopback_only=False)
    await discovery.start(record)      announces at once; never raises for want of a network
    discovery.update(record)           announces a change;  discovery.record is mine as announced, with my addresses
    await discovery.stop()             says goodbye

`on_found(NodeRecord)` comes for every record that is new or changed, also one of another installation (compare
`installation_hash`) and one of my own UUID from another boot (two machines that share a disk image); never my
own. `on_addresses(addresses)` comes when mine change. `on_trouble(sentence)` comes when mDNS does not work, in
words for a technician; seeds and known peers serve without it.

A record says that a node *may* exist: the dead stay in caches for up to 75 minutes, so nothing is ever
concluded from a record that stays, and goodbyes are not listened to. Names are UUIDs and thus unique: the
probing for conflicts that mDNS does (1.5 s) is left out, which the library calls cooperating responders.
Questions ask for answers by multicast only, because a unicast answer reaches just one of several nodes on one
computer. Decided against: avahi (another daemon to install, Linux only) and one's own multicast protocol
(technicians have tools for mDNS).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace

from zeroconf import DNSQuestionType, DNSText, RecordUpdate, RecordUpdateListener, ServiceStateChange, Zeroconf
from zeroconf import Error as ZeroconfError
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from mesh.shell.interfaces import LOOPBACK, WIFI, WIRED, Interface, LinkWatch, all_interfaces
from mesh.shell.machine import host_mark
from mesh.shell.record import LOCALHOST, SERVICE_TYPE, NodeRecord, from_properties, instance_name, to_properties

__all__ = ["Discovery", "NodeRecord"]

ANNOUNCE_S = 30.0
RETRY_S = 5.0
ASK_MS = 1_500
ASKING_MAX = 50
SEEN_MAX = 1_000
RECORDS_MAX = 20_000  # between two announcements; a whole conference's devices do not say so much
_TXT, _IN = 16, 1  # RFC 1035, section 3.2
_SEEDS_SERVE = "machines are still found by seeds and from memory"


class Discovery:
    """This node's record on the network, and everyone else's. `bad_records` counts what was ignored."""

    def __init__(
        self,
        on_found: Callable[[NodeRecord], None],
        on_addresses: Callable[[tuple[str, ...]], None],
        on_trouble: Callable[[str], None],
        *,
        loopback_only: bool = False,
    ) -> None:
        self._on_found, self._on_addresses, self._on_trouble = on_found, on_addresses, on_trouble
        self._loopback_only = loopback_only
        self._host = host_mark()
        self._zeroconf: AsyncZeroconf | None = None
        self._browser: AsyncServiceBrowser | None = None
        self._info: AsyncServiceInfo | None = None
        self._watch = LinkWatch(self._kick)
        self._wake = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[None]] = set()
        self._seen: dict[str, NodeRecord] = {}
        self._joined: dict[str, int] = {}  # address: index of its interface
        self._words = _Words(self._tell)
        self._heard = _Heard()
        self.record: NodeRecord | None = None
        self.bad_records = 0
        self.trouble: str | None = None

    async def start(self, record: NodeRecord) -> None:
        """Announces this node and looks for others, now and whenever the network changes."""
        interfaces = self._interfaces()
        self.record = replace(record, host=self._host, addresses=_offered(interfaces, self._loopback_only))
        self._words.listen()
        if not self._loopback_only:
            self._watch.start()
        await self._open(interfaces)
        self._keeper = asyncio.get_running_loop().create_task(self._keep())

    def update(self, record: NodeRecord) -> None:
        """Announces a changed record of this node; its addresses are filled in here."""
        assert self.record is not None, "start comes first"
        self.record = replace(record, host=self._host, addresses=self.record.addresses)
        self._kick()

    async def stop(self) -> None:
        """Says goodbye and closes. May be called twice, and after a start that failed."""
        self._watch.close()
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        await self._close()
        self._words.deafen()

    async def _keep(self) -> None:
        """Follows the network: joins what came, leaves what went, announces again, tries again what failed."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), RETRY_S if self._zeroconf is None else ANNOUNCE_S)
            self._wake.clear()
            interfaces = self._interfaces()
            self._note_addresses(interfaces)
            if self._zeroconf is None:
                await self._open(interfaces)
            else:
                await self._refresh(interfaces)

    def _kick(self) -> None:
        self._wake.set()

    def _interfaces(self) -> list[Interface]:
        """Where to speak: everywhere that is up; loopback too, for other nodes on this computer."""
        found = [each for each in all_interfaces() if each.up or each.kind == LOOPBACK]
        if self._loopback_only:
            found = [each for each in found if each.address == LOCALHOST]
        return found

    def _note_addresses(self, interfaces: list[Interface]) -> None:
        assert self.record is not None
        offered = _offered(interfaces, self._loopback_only)
        if offered != self.record.addresses:
            self.record = replace(self.record, addresses=offered)
            self._on_addresses(offered)

    async def _open(self, interfaces: list[Interface]) -> None:
        if not interfaces:
            self._tell("this machine has no network interface, not even loopback")
            return
        try:
            self._zeroconf = AsyncZeroconf(interfaces=[each.address for each in interfaces])
            await self._zeroconf.zeroconf.async_wait_for_start()
            self._joined = {each.address: each.index for each in interfaces}
            self._heard = _Heard()
            self._zeroconf.zeroconf.async_add_listener(self._heard, None)
            self._browser = AsyncServiceBrowser(
                self._zeroconf.zeroconf, SERVICE_TYPE, handlers=[self._happened], question_type=DNSQuestionType.QM
            )
            self._info = self._service()
            await self._zeroconf.async_register_service(self._info, cooperating_responders=True)
        except (OSError, ZeroconfError, RuntimeError) as error:
            self._tell(f"mDNS cannot start ({_why(error)}); {_SEEDS_SERVE}")
            await self._close()
            return
        self._tell(_silent_interfaces(interfaces))

    async def _refresh(self, interfaces: list[Interface]) -> None:
        assert self._zeroconf is not None
        if self._heard.records > RECORDS_MAX:
            self._tell(f"mDNS is flooded: {self._heard.records:,} records within {ANNOUNCE_S:.0f} s; it is begun again, and {_SEEDS_SERVE}")
            await self._close()
            self._kick()
            return
        self._heard.records = 0
        wanted = {each.address: each.index for each in interfaces}
        try:
            # First what is said, then where: an interface that is joined is greeted with what is said by then.
            self._info = self._service()
            await self._zeroconf.async_update_service(self._info)
            if wanted != self._joined:
                # An address that moved to another interface must be left before it is joined there.
                kept = [address for address, index in self._joined.items() if wanted.get(address) == index]
                if len(kept) < len(self._joined):
                    await self._zeroconf.async_update_interfaces(kept)
                await self._zeroconf.async_update_interfaces(list(wanted))
                self._joined = wanted
                self._tell(_silent_interfaces(interfaces))
        except (OSError, ZeroconfError, RuntimeError) as error:
            self._tell(f"mDNS failed ({_why(error)}) and is begun again; {_SEEDS_SERVE}")
            await self._close()
            self._kick()

    async def _close(self) -> None:
        for task in list(self._asking):
            task.cancel()
        zeroconf, self._zeroconf, self._browser, self._info, self._joined = self._zeroconf, None, None, None, {}
        if zeroconf is not None:
            with contextlib.suppress(OSError, ZeroconfError, RuntimeError):
                await zeroconf.async_close()

    def _service(self) -> AsyncServiceInfo:
        assert self.record is not None
        return AsyncServiceInfo(
            SERVICE_TYPE,
            instance_name(self.record.node),
            port=self.record.control_port,
            properties=to_properties(self.record),
            server=f"{self.record.node}.local.",
            parsed_addresses=list(self.record.addresses) or [LOCALHOST],
        )

    def _happened(self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change is ServiceStateChange.Removed:
            return
        try:
            info = AsyncServiceInfo(service_type, name, properties=_newest_text(zeroconf, name))
        except ZeroconfError:  # a name that only ends like one of ours
            self.bad_records += 1
            return
        if info.text:
            self._read(info)
        elif len(self._asking) < ASKING_MAX:
            task = asyncio.get_running_loop().create_task(self._ask(info))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        else:
            self.bad_records += 1

    async def _ask(self, info: AsyncServiceInfo) -> None:
        """The name came without its text: asks for it."""
        if self._zeroconf is not None:
            with contextlib.suppress(OSError, ZeroconfError):
                await info.async_request(self._zeroconf.zeroconf, ASK_MS, DNSQuestionType.QM)
        if info.text:
            self._read(info)
        else:
            self.bad_records += 1

    def _read(self, info: AsyncServiceInfo) -> None:
        try:
            properties = info.properties
        except (ValueError, IndexError):
            properties = {}
        record = from_properties(info.name, properties, self._host)
        if record is None:
            self.bad_records += 1
            return
        mine = self.record
        if (mine and (record.node, record.boot) == (mine.node, mine.boot)) or self._seen.get(record.node) == record:
            return
        self._seen.pop(record.node, None)
        self._seen[record.node] = record
        if len(self._seen) > SEEN_MAX:
            self._seen.pop(next(iter(self._seen)))
        self._on_found(record)

    def _tell(self, words: str | None) -> None:
        if words and words != self.trouble:
            self._on_trouble(words)
        self.trouble = words


class _Heard(RecordUpdateListener):
    """How many records came, of whatever kind. The library bounds those that it keeps, but not what it remembers of when each would
    have ended: a flood of them is a hundred bytes a record for an hour."""

    def __init__(self) -> None:
        super().__init__()
        self.records = 0

    def async_update_records(self, zc: Zeroconf, now: float, records: list[RecordUpdate]) -> None:
        self.records += len(records)

    def async_update_records_complete(self) -> None:
        """Nothing is left to do."""


class _Words(logging.Handler):
    """What the library would print on the terminal becomes trouble that is told."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = tell
        self._logger = logging.getLogger("zeroconf")

    def listen(self) -> None:
        self._logger.addHandler(self)
        self._logger.propagate = False

    def deafen(self) -> None:
        self._logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        words = record.getMessage().splitlines()
        self._say(f"mDNS: {words[0] if words else 'failed'}")


def _newest_text(zeroconf: Zeroconf, name: str) -> bytes:
    """The text that came last: a changed record stands in the cache for a second beside the one it replaces.

    The one replaced is given a fresh date and a second to live, so it is known by how soon it ends, not by its age.
    """
    texts = [each for each in zeroconf.cache.get_all_by_details(name, _TXT, _IN) if isinstance(each, DNSText)]
    return max(texts, key=lambda each: each.created + 1000 * each.ttl).text if texts else b""


def _offered(interfaces: list[Interface], loopback_only: bool) -> tuple[str, ...]:
    """What others should dial: never loopback, except in a rehearsal, where there is nothing else."""
    kept = [each.address for each in interfaces if loopback_only or each.kind != LOOPBACK]
    return tuple(dict.fromkeys(kept))


def _silent_interfaces(interfaces: list[Interface]) -> str | None:
    silent = [f"{i.name} ({i.address})" for i in interfaces if i.kind in (WIRED, WIFI) and not i.multicast]
    if not silent:
        return None
    return f"{', '.join(silent)} carries no multicast, so mDNS finds nobody there; {_SEEDS_SERVE}"


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
