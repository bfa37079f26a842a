"""What a key may send in a second.

Revision ID: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the two limits; NULL is none."""
    for name in ("requests_per_s", "pixels_per_s"):
        op.add_column("api_key", sa.Column(name, sa.BigInteger))
