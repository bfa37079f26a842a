"""The gateway's own tables: keys, and who is logged in to the pages. Money's tables are `cost`'s."""

import sqlalchemy as sa

metadata = sa.MetaData()

keys = sa.Table(
    "api_key",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, sa.CheckConstraint("role IN ('app', 'finance', 'admin')", name="api_key_role"), nullable=False),
    sa.Column("secret_sha256", sa.Text, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("revoked_at", sa.DateTime(timezone=True)),
    sa.Column("requests_per_s", sa.BigInteger),
    sa.Column("pixels_per_s", sa.BigInteger),
)
sa.Index(
    "api_key_name_in_use", keys.c.name, unique=True, sqlite_where=keys.c.revoked_at.is_(None), postgresql_where=keys.c.revoked_at.is_(None)
)

web_sessions = sa.Table(
    "web_session",
    metadata,
    sa.Column("id_sha256", sa.Text, primary_key=True),
    sa.Column("key_id", sa.Text, nullable=False),
    # HMAC of the key's hash under the session's token: a session ends with the secret that began it.
    sa.Column("key_proof", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
)
sa.Index("web_session_by_expiry", web_sessions.c.expires_at)

answers = sa.Table(
    "answer",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("client", sa.String(128), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    # The JSON that was sent, deflated where it is long.
    sa.Column("body", sa.LargeBinary, nullable=False),
    # JSON of what the client thought of it.
    sa.Column("feedback", sa.Text),
)
sa.Index("answer_by_time", answers.c.at_us)
