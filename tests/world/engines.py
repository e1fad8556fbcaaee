"""One dialect and one cache of compiled statements for all engines of a process. Nothing of a database is shared.

A world opens its records many times, each time with an engine that would compile every statement anew; an ingester does that once.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine

from cloud_ingest.stores.records import open as opening

_shared: list[tuple[Any, Any]] = []


@contextmanager
def sharing_what_is_compiled() -> Generator[None]:
    """Inside, engines of the records share it."""
    real: Callable[..., Engine] = opening.create_engine

    def create(*args: object, **more: object) -> Engine:
        engine = real(*args, **more)
        if not _shared:
            _shared.append((engine.dialect, engine._compiled_cache))
        dialect, engine._compiled_cache = _shared[0]
        engine.dialect = engine.pool._dialect = dialect
        return engine

    opening.create_engine = create
    try:
        yield
    finally:
        opening.create_engine = real
