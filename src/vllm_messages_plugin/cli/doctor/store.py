"""Diagnoses the store that the environment names: its tables, leases and free space."""

from collections.abc import Iterator, Mapping

from vllm_messages_plugin.cli.doctor.line import Line, fail, ok, warn
from vllm_messages_plugin.cli.store.steps import (
    StoreFailedError,
    StorePlace,
    UsageError,
    free_bytes,
    is_installed,
    with_store,
)

NAME = "VLLM_MESSAGES_STORE"
OFF = "off: files, batches and message threads are refused"
GiB = 1 << 30
LITTLE_SPACE = GiB
NOT_INSTALLED = "not installed: files, batches, threads refused; pip install 'vllm-messages-plugin[store]'"
DOWN = "repair it: until then files and batches are refused with 503, and messages work"
IDLE = "start a server on this store, with VLLM_MESSAGES_BATCH_CONCURRENCY above 0"


def store(environ: Mapping[str, str]) -> Iterator[Line]:
    """Yield the lines about the store. Nothing in it is changed."""
    database, data = environ.get(NAME, ""), environ.get("VLLM_MESSAGES_DATA", "")
    if database == "off":
        yield ok("store", OFF)
    elif not is_installed():
        yield ok("store", NOT_INSTALLED)
    else:
        yield from _installed(StorePlace(database, data, environ.get(f"{NAME}_CONTENTS", "")))


def _installed(place: StorePlace) -> Iterator[Line]:
    from vllm_messages_plugin.store.inspection import inspect_store
    from vllm_messages_plugin.store.opening import data_directory

    try:
        found = with_store(place, inspect_store)
    except (UsageError, StoreFailedError) as error:
        yield fail("store", str(error), DOWN)
        return
    if found.revision is None:
        yield ok("store", f"{found.database}: nothing was stored yet")
    elif found.revision > found.latest:
        text = (
            f"{found.database} has tables of revision {found.revision}, this version those of {found.latest}"
        )
        yield fail("store", text, "update the plugin on this server")
    elif not found.is_current:
        yield ok("store", f"{found.database}: a server updates its tables at the first use")
    else:
        yield ok("store", f"{found.database}: {found.files} files, {sum(found.batches.values())} batches")
        yield _items(found.open_items, found.leased_items)
    if not place.contents:
        yield _space(free_bytes(data_directory(place.data)))


def _items(waiting: int, leased: int) -> Line:
    if waiting and not leased:
        return warn("batches", f"{waiting} items wait, and no server works on any", IDLE)
    return ok("batches", f"{waiting} items wait or run, {leased} of them leased by a server")


def _space(free: int) -> Line:
    if free < LITTLE_SPACE:
        return warn(
            "space", f"{free / GiB:.1f} GiB are free", "make room, or prune: vllm-messages store prune"
        )
    return ok("space", f"{free / GiB:.1f} GiB are free")
