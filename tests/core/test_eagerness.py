"""Looking for the next message before sleeping: where it pays, and only there."""

from __future__ import annotations

from mesh.core.eagerness import CROWDED_S, PAUSE_MAX, PAUSE_MIN, QUICK_S, ROUND, Eagerness

QUICK, SLOW = QUICK_S / 2, QUICK_S * 5


def tries_of(eager: Eagerness, waits: int, finds: bool) -> int:
    """So many waits in a row, each for a quick message: how many of them looked."""
    tried = 0
    for _ in range(waits):
        if not eager.tries():
            eager.waited(QUICK, tried=False)
            continue
        tried += 1
        if finds:
            eager.found()
        else:
            eager.waited(QUICK, tried=True)
    return tried


def test_nobody_looks_before_messages_have_come_quickly() -> None:
    # Given a thread whose messages are far apart
    eager = Eagerness()
    # When it waits for some of them
    looked = []
    for _ in range(100):
        looked.append(eager.tries())
        eager.waited(SLOW, tried=looked[-1])
    # Then it never looked
    assert not any(looked)


def test_quick_messages_are_looked_for_as_long_as_they_are_found() -> None:
    # Given a thread that has slept for one quick message
    eager = Eagerness()
    eager.waited(QUICK, tried=False)
    # When every further one is there within the time of looking, then it looks each time
    assert tries_of(eager, 100 * ROUND, finds=True) == 100 * ROUND


def test_one_slow_message_ends_the_looking_until_the_next_quick_one() -> None:
    # Given a thread that looks
    eager = Eagerness()
    eager.waited(QUICK, tried=False)
    # When one message takes long
    eager.waited(SLOW, tried=eager.tries())
    # Then it sleeps for the next, and looks again when that was quick
    assert not eager.tries()
    eager.waited(QUICK, tried=False)
    assert eager.tries()


def test_looking_in_vain_costs_less_than_a_hundredth_of_the_messages() -> None:
    # Given a thread whose quick messages never come while it looks
    eager = Eagerness()
    eager.waited(QUICK, tried=False)
    tries_of(eager, 10 * PAUSE_MAX, finds=False)  # the pauses have grown
    # When it waits for many more
    waits = 10 * (PAUSE_MAX + ROUND)
    # Then it looked for next to none
    assert 0 < tries_of(eager, waits, finds=False) <= waits / 100


def test_a_round_that_pays_makes_the_next_pause_short_again() -> None:
    # Given a thread whose pauses have grown
    eager = Eagerness()
    eager.waited(QUICK, tried=False)
    tries_of(eager, 10 * PAUSE_MAX, finds=False)
    while not eager.tries():
        eager.waited(QUICK, tried=False)
    while tries_of(eager, 1, finds=True) == 0:
        pass
    # When looking pays for two rounds, and then no more
    tries_of(eager, 2 * ROUND, finds=True)
    tries_of(eager, 2 * ROUND, finds=False)
    asleep = 0
    while not eager.tries():
        eager.waited(QUICK, tried=False)
        asleep += 1
    # Then it is soon tried again
    assert asleep < PAUSE_MAX / 8


def test_one_look_during_which_another_kept_the_core_is_enough_to_pause() -> None:
    for found in (True, False):
        # Given a thread that looks, and finds
        eager = Eagerness()
        eager.waited(QUICK, tried=False)
        tries_of(eager, ROUND // 2, finds=True)
        # When one look takes as long as somebody else's turn on the core, whether it finds something or not
        if found:
            eager.found(CROWDED_S * 2)
        else:
            eager.waited(CROWDED_S * 2, tried=True, looked_s=CROWDED_S * 2)
            eager.waited(QUICK, tried=False)
        # Then it sleeps from here on, and tries again later
        asleep = 0
        while not eager.tries():
            eager.waited(QUICK, tried=False)
            asleep += 1
        assert PAUSE_MIN - 1 <= asleep <= PAUSE_MIN
