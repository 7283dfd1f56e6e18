"""Ids that clients send, as a database can be asked for them."""


def askable(id_: str) -> str:
    """Return an id, or the empty one, which nothing has, if no stored id can be like it.

    PostgreSQL takes no NUL and neither database a lone surrogate: asking would look like a broken store.
    """
    return id_ if id_.isascii() and id_.isprintable() else ""
