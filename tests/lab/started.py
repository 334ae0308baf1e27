"""What a ``with`` block starts and ends, also when only a part of it had started."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Started(ABC):
    """``stop`` may be called again, and after a start that failed."""

    @abstractmethod
    def start(self) -> None:
        """Ready when this returns."""

    @abstractmethod
    def stop(self) -> None:
        """Nothing of it is left."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
