"""Threads that stand for processes. One runs at a time; the clock jumps to what comes next.

What an actor does takes the time that `charge` says, and the time that it sleeps. Actors that are
due at the same moment run in the order in which they asked, so that a simulation repeats.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_STACK = 1 << 19


class Killed(BaseException):
    """Ends the thread of an actor whose process is dead. Nothing that it does then counts."""


class Event:
    """Something that happens once, unless it is cancelled."""

    def __init__(self, happen: Callable[[], object] | Actor) -> None:
        self.happen = happen
        self.is_cancelled = False


class Actor:
    """A process of the simulation.

    due     what ends its sleep
    ticks   what it does again and again meanwhile
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.turn = threading.Semaphore(0)
        self.due: Event | None = None
        self.ticks: list[Event] = []
        self.is_dead = False


class World:
    """The clock, the actors, and what is to happen.

    `charge` gives the seconds that were needed for what was done since it was called last.
    """

    def __init__(self, charge: Callable[[], float] = lambda: 0.0) -> None:
        self.now = 0.0
        self._charge = charge
        self._events: list[tuple[float, int, Event]] = []
        self._numbers = itertools.count()
        self._threads: list[tuple[Actor, threading.Thread]] = []
        self._main = Actor("main")
        self.current = self._main
        self._error: BaseException | None = None

    def at(self, moment: float, happen: Callable[[], object] | Actor) -> Event:
        """Call a function, which does not sleep, or wake an actor, at a moment."""
        event = Event(happen)
        heapq.heappush(self._events, (moment, next(self._numbers), event))
        return event

    def start(self, name: str, work: Callable[[], object]) -> Actor:
        """A new actor, whose turn comes when this one sleeps."""
        actor = Actor(name)
        before = threading.stack_size(_STACK)
        thread = threading.Thread(target=self._live, args=(actor, work), name=name, daemon=True)
        thread.start()
        threading.stack_size(before)
        self._threads.append((actor, thread))
        actor.due = self.at(self.now, actor)
        return actor

    def sleep(self, seconds: float) -> None:
        """Let the others go on; back after so many seconds, or when somebody wakes this actor."""
        seconds += self._charge()
        if seconds:
            self.current.due = self.at(self.now + seconds, self.current)
            self.pause()

    def pause(self) -> None:
        """Let the others go on until somebody wakes this actor."""
        actor = self.current
        following = self._next_actor()
        if following is not actor:
            self.current = following
            following.turn.release()
            actor.turn.acquire()
            if actor.is_dead:
                raise Killed
        self._charge()

    def wake(self, actor: Actor) -> None:
        """End an actor's sleep now."""
        if not actor.is_dead:
            _cancel(actor)
            actor.due = self.at(self.now, actor)

    def die(self) -> None:
        """The current actor is never woken again."""
        self.current.is_dead = True
        for tick in self.current.ticks:
            tick.is_cancelled = True
        self.pause()

    @contextmanager
    def repeat(self, action: Callable[[], object], seconds: float) -> Iterator[None]:
        """A block of the current actor during which a function is called every so many seconds."""
        actor = self.current

        def tick() -> None:
            actor.ticks = [self.at(self.now + seconds, tick)]
            action()

        actor.ticks = [self.at(self.now + seconds, tick)]
        try:
            yield
        finally:
            actor.ticks[0].is_cancelled = True

    def run(self) -> None:
        """Go on until nothing more is to happen or an actor fails; then end all threads."""
        try:
            self.pause()
        finally:
            for actor, thread in self._threads:
                actor.is_dead = True
                actor.turn.release()
                thread.join()
        if self._error is not None:
            raise self._error

    def _live(self, actor: Actor, work: Callable[[], object]) -> None:
        actor.turn.acquire()
        with suppress(Killed):
            try:
                if actor.is_dead:
                    return
                work()
            except Exception as error:  # noqa: BLE001 - `run` raises it
                self._error = error
            self.current = self._next_actor()
            self.current.turn.release()

    def _next_actor(self) -> Actor:
        """Whose turn it is now: the main thread's, where nothing is left or an actor has failed."""
        while self._events and self._error is None:
            self.now, _, event = heapq.heappop(self._events)
            if event.is_cancelled:
                continue
            if isinstance(event.happen, Actor):
                event.happen.due = None
                return event.happen
            event.happen()
        return self._main


def _cancel(actor: Actor) -> None:
    if actor.due is not None:
        actor.due.is_cancelled = True
        actor.due = None
