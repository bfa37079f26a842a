"""Databases with the ledger's tables, made by the migration that production runs."""

import importlib.util
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations

ROOT = Path(__file__).parents[2]
MIGRATION = ROOT / "gateway" / "migrations" / "versions" / "0002_ledger.py"


def migrate(engine):
    spec = importlib.util.spec_from_file_location("migration_0002", MIGRATION)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        module.upgrade()
