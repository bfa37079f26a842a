"""The tables of drift and canaries. Alembic makes them (`gateway/migrations`); a test holds both alike."""

import sqlalchemy as sa

metadata = sa.MetaData()

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

observations = sa.Table(
    "quality_observation",
    metadata,
    sa.Column("id", _ROW_ID, primary_key=True),
    sa.Column("provider", sa.String(64), nullable=False),
    sa.Column("feature", sa.String(16), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    # JSON of values by property, and of labels.
    sa.Column("seen", sa.Text, nullable=False),
)
sa.Index("quality_observation_of_stream", observations.c.provider, observations.c.feature, observations.c.id)

references = sa.Table(
    "quality_reference",
    metadata,
    sa.Column("provider", sa.String(64), primary_key=True),
    sa.Column("feature", sa.String(16), primary_key=True),
    # Pictures after this one count: the reference is made of the first of them.
    sa.Column("after_id", sa.BigInteger, nullable=False),
    # The last picture of the reference, and its rows as JSON; NULL until there are enough.
    sa.Column("last_id", sa.BigInteger),
    sa.Column("rows", sa.Text),
    # JSON of how far each property had moved when that was last looked at.
    sa.Column("latest", sa.Text),
    sa.Column("pictures", sa.BigInteger, nullable=False),
)

alarms = sa.Table(
    "quality_alarm",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    # drift or canary
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("provider", sa.String(64), nullable=False),
    sa.Column("feature", sa.String(16), nullable=False),
    sa.Column("property", sa.String(32), nullable=False),
    # JSON of the rest.
    sa.Column("told", sa.Text, nullable=False),
    sa.Column("delivered_at_us", sa.BigInteger),
    sa.Column("ended_at_us", sa.BigInteger),
)
sa.Index("quality_alarm_by_time", alarms.c.at_us)

leases = sa.Table(
    "lease",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("holder", sa.String(64), nullable=False),
    sa.Column("until_us", sa.BigInteger, nullable=False),
)

canary_runs = sa.Table(
    "canary_run",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("provider", sa.String(64), nullable=False),
    sa.Column("feature", sa.String(16), nullable=False),
    sa.Column("model", sa.String(256), nullable=False),
    # JSON: by digest, what was answered.
    sa.Column("answers", sa.Text, nullable=False),
    # Whether later runs are held against this one.
    sa.Column("baseline", sa.Boolean, nullable=False),
    sa.Column("changed", sa.Boolean, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
)
sa.Index("canary_run_by_time", canary_runs.c.provider, canary_runs.c.feature, canary_runs.c.at_us)
