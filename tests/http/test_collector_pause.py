"""Python's garbage collector is paused while a request of many objects is prepared, and only then."""

import gc
import weakref
from collections.abc import Iterator

import pytest
from starlette.types import Scope

from vllm_messages_plugin.http.collector_pause import (
    MANY_OBJECTS,
    PAUSE_SECONDS,
    CollectorPause,
    forget_frames,
    pause_ended,
    pause_for,
)

LARGE = MANY_OBJECTS + 1


@pytest.fixture(autouse=True)
def collector_is_left_on() -> Iterator[None]:
    assert gc.isenabled()
    yield
    assert gc.isenabled()


def test_a_large_request_pauses_the_collector_until_its_response_was_made() -> None:
    scope: Scope = {}
    with pause_ended(scope):
        pause_for(LARGE, scope)
        assert not gc.isenabled()


def test_a_small_request_leaves_the_collector_on() -> None:
    scope: Scope = {}
    with pause_ended(scope):
        pause_for(MANY_OBJECTS, scope)
        assert gc.isenabled()


def test_the_pause_ends_with_a_request_that_fails() -> None:
    with pytest.raises(ValueError, match="failed"):
        _fail_while_paused()


def _fail_while_paused() -> None:
    scope: Scope = {}
    with pause_ended(scope):
        pause_for(LARGE, scope)
        raise ValueError("failed")


def test_overlapping_requests_share_a_pause() -> None:
    first: Scope = {}
    second: Scope = {}
    with pause_ended(first):
        pause_for(LARGE, first)
        with pause_ended(second):
            pause_for(LARGE, second)
        assert not gc.isenabled()


def test_a_request_that_comes_late_does_not_prolong_the_pause() -> None:
    now = [0.0]
    pause = CollectorPause(lambda: now[0])
    assert pause.begin()
    now[0] = PAUSE_SECONDS + 1
    assert not pause.begin()
    pause.end()
    assert pause.begin()
    pause.end()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        assert not CollectorPause().begin()
        assert not gc.isenabled()
    finally:
        gc.enable()


class Value:
    """Something that a weak reference can refer to."""


def _failed() -> tuple[Exception, weakref.ref[Value]]:
    value = Value()
    found = weakref.ref(value)
    try:
        error = ValueError("refused")
        raise error
    except ValueError as raised:
        return raised, found


def test_what_frames_of_a_raised_error_hold_is_freed_without_the_collector() -> None:
    gc.disable()
    try:
        error, value = _failed()
        assert value() is not None
        forget_frames(error)
        assert value() is None
    finally:
        gc.enable()


def test_the_causes_of_an_error_let_go_as_well() -> None:
    gc.disable()
    try:
        cause, value = _failed()
        error = RuntimeError("outer")
        error.__cause__ = cause
        cause.__context__ = error
        forget_frames(error)
        assert value() is None
    finally:
        gc.enable()
