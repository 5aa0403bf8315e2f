"""A store between Auth and the real one, whose faults tests switch on and off."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from callcov_auth.errors import AuthUnavailable
from callcov_auth.store.protocol import Store


class FaultyStore:
    """Passes every call on to ``store`` until ``fail`` was called; ``calls`` counts them by name."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._methods: tuple[str, ...] = ()
        self._fault: Callable[[], Exception] | None = None
        self.calls: Counter[str] = Counter()

    def fail(
        self, *methods: str, fault: Callable[[], Exception] = lambda: AuthUnavailable(reason="store_dead")
    ) -> None:
        """Raise what ``fault`` makes from these methods; with none named, from all but ``aclose``."""
        self._methods, self._fault = methods, fault

    def mend(self) -> None:
        self._fault = None

    def _is_hit(self, method: str) -> bool:
        return method in self._methods if self._methods else method != "aclose"

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            if self._fault is not None and self._is_hit(name):
                raise self._fault()
            return await getattr(self._store, name)(*args, **kwargs)

        return call
