"""An id that no database can be asked for is an unknown one, and no failure of the store."""

import pytest

from vllm_messages_plugin.store.opening import Store
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.pages import PageQuery


@pytest.mark.parametrize("id_", ["", "a\0b", "\ud800", "ü", "x" * 100_000])
async def test_an_odd_id_is_an_unknown_one(store: Store, id_: str) -> None:
    asked = (
        store.files.get("me", id_),
        store.batches.get("me", id_),
        store.threads.get("me", id_),
        store.files.page("me", PageQuery(after_id=id_)),
        store.batches.page("me", PageQuery(before_id=id_)),
    )
    statuses = []
    for each in asked:
        with pytest.raises(MessagesError) as refused:
            await each
        statuses.append(refused.value.status)
    assert statuses == [404, 404, 404, 400, 400]
    assert await store.files.find("me", [id_]) == []
