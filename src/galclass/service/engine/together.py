"""Single images of many requests, scored together: code and weights are loaded into the CPU's caches once for all.

Takes images one by one, returns the prediction of each; those that arrive while a round runs form the next round.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from galclass.errors import RequestError

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")

_TURNS = 3
"""Turns of the event loop before a round begins. In one a response is sent, in the next what its client sends now is
read, in the third its request comes here: begun at once, rounds were half as large and a third slower an image."""


class Together(Generic[Key, Item, Result]):
    """Forms rounds of items with the same key; belongs to one event loop.

    Parameters
    ----------
    run : callable
        Awaited with a key and the items of a round, returns as many results.
    most : callable
        Returns how many items of a key a round may have.
    rounds : int
        Rounds that run at one time.
    max_waiting : int
        Items that may wait; further ones are refused with `overloaded`.
    """

    def __init__(
        self,
        run: Callable[[Key, list[Item]], Awaitable[Sequence[Result]]],
        most: Callable[[Key], int],
        rounds: int,
        max_waiting: int,
    ) -> None:
        self._run = run
        self._most = most
        self._free = rounds
        self._max_waiting = max_waiting
        self._count = 0
        self._starts = False
        self._waiting: dict[Key, deque[tuple[Item, asyncio.Future[Result]]]] = {}  # in the order of their turns
        self._tasks: set[asyncio.Task[None]] = set()

    async def add(self, key: Key, item: Item) -> Result:
        """Return the result of an item once its round has run.

        Raises
        ------
        RequestError
            `overloaded`; and whatever the round of the item raises.
        """
        if self._count >= self._max_waiting:
            raise RequestError("overloaded", "the server is overloaded", advice="try again shortly")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._soon(loop)
        self._waiting.setdefault(key, deque()).append((item, future))
        self._count += 1
        return await future

    def _soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin rounds once the requests that have already arrived are read, too."""
        if not self._starts:
            self._starts = True
            loop.call_soon(self._turn, loop, _TURNS)

    def _turn(self, loop: asyncio.AbstractEventLoop, left: int) -> None:
        if left:
            loop.call_soon(self._turn, loop, left - 1)
        else:
            self._starts = False
            self._start()

    def _start(self) -> None:
        """Begin as many rounds as may run."""
        while self._free and self._waiting:
            key, waiting = next(iter(self._waiting.items()))
            count = share(len(waiting), self._most(key))
            round_ = [waiting.popleft() for _ in range(count)]
            self._count -= count
            del self._waiting[key]
            if waiting:
                self._waiting[key] = waiting  # behind the other keys
            round_ = [one for one in round_ if not one[1].done()]  # whose request has not been cancelled
            if round_:
                self._free -= 1
                task = asyncio.create_task(self._finish(key, round_))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _finish(self, key: Key, round_: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._run(key, [item for item, _ in round_])
            for (_, future), result in zip(round_, results, strict=True):
                if not future.done():
                    future.set_result(result)
        except BaseException as error:
            for _, future in round_:
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._free += 1
            if self._waiting:
                self._soon(asyncio.get_running_loop())


def share(waiting: int, most: int) -> int:
    """Return how many to take now, so that all get their turn in as few rounds of like size as possible.

    Of 9 that wait, 8 and then 1 with the 7 that come back meanwhile would make one in nine wait for two full rounds.
    """
    return math.ceil(waiting / math.ceil(waiting / max(most, 1)))
