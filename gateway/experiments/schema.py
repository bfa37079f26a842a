"""The tables of experiments and of kept pictures. Alembic makes them (`gateway/migrations`); a test holds the two alike."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, String, Table, Text

metadata = MetaData()

experiments = Table(
    "experiments",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("state", String(8), nullable=False),
    # `terms.Terms` as JSON; never changed once started.
    Column("terms", Text, nullable=False),
    # Of the assignment's hash.
    Column("hash_key", LargeBinary, nullable=False),
    Column("created_by", String(128), nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("started_at_us", BigInteger),
    Column("stopped_at_us", BigInteger),
    # Why it was stopped, in words.
    Column("stopped_because", Text, nullable=False),
    # Names that the truth's makers had, as JSON.
    Column("truth_labels", Text, nullable=False),
    # Pictures that were not compared because there was no time for it.
    Column("shed", BigInteger, nullable=False),
)

experiment_pictures = Table(
    "experiment_pictures",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("experiment", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("unit", String(16), nullable=False),
    Column("width", BigInteger, nullable=False),
    Column("height", BigInteger, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    # By arm, as JSON.
    Column("answers", Text, nullable=False),
)
Index("experiment_pictures_by_time", experiment_pictures.c.experiment, experiment_pictures.c.at_us)
Index("experiment_pictures_by_digest", experiment_pictures.c.experiment, experiment_pictures.c.digest)

experiment_truths = Table(
    "experiment_truths",
    metadata,
    Column("experiment", String(64), primary_key=True),
    Column("digest", String(64), primary_key=True),
    # What is there, as JSON.
    Column("things", Text, nullable=False),
)

experiment_verdicts = Table(
    "experiment_verdicts",
    metadata,
    Column("experiment", String(64), primary_key=True),
    Column("digest", String(64), primary_key=True),
    # The arms that are right, as JSON.
    Column("arms", Text, nullable=False),
    Column("judged_by", String(128), nullable=False),
    Column("at_us", BigInteger, nullable=False),
)

kept_pictures = Table(
    "kept_pictures",
    metadata,
    Column("digest", String(64), primary_key=True),
    # Scaled down, without metadata.
    Column("jpeg", LargeBinary, nullable=False),
    Column("kept_at_us", BigInteger, nullable=False),
    Index("kept_pictures_by_time", "kept_at_us"),
)
