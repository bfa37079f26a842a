"""What the resources are made of."""

from dataclasses import dataclass

import sqlalchemy as sa

from gateway.dispatch import Dispatcher
from gateway.keys import Keys
from gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class Parts:
    """Made after fork, once a process, shared by its threads."""

    settings: Settings
    database: sa.Engine
    keys: Keys
    dispatcher: Dispatcher

    def close(self) -> None:
        """Let running calls end, then let go of everything."""
        self.dispatcher.close()
        self.database.dispose()
