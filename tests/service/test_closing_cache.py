"""A cache that closes what it drops."""

from __future__ import annotations

from galclass.service.engine.closing_cache import ClosingCache


class _Thing:
    is_closed = False

    def close(self) -> None:
        self.is_closed = True


def test_the_least_recently_used_is_closed_and_in_the_end_all_are() -> None:
    cache: ClosingCache[str, _Thing] = ClosingCache(2)
    things = {name: _Thing() for name in "abc"}
    cache["a"], cache["b"] = things["a"], things["b"]
    assert cache.get("a") is things["a"]
    cache["c"] = things["c"]
    assert [one.is_closed for one in things.values()] == [False, True, False]
    cache.close()
    assert not cache
    assert all(one.is_closed for one in things.values())
