from tests.cost.conftest import empty_sqlite, postgres_server, postgres_url, sqlite_url, url

__all__ = ["empty_sqlite", "postgres_server", "postgres_url", "sqlite_url", "url"]
