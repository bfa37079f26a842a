"""What a key may send in a second.

Revision ID: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the two limits; NULL is none."""
    for name in ("requests_per_s", "pixels_per_s"):
        op.add_column("api_key", sa.Column(name, sa.BigInteger))
