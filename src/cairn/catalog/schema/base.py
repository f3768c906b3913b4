"""What every table is declared with."""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, Text

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMING)

# SQLite numbers rows by itself only in a column declared exactly INTEGER.
Serial = BigInteger().with_variant(Integer(), "sqlite")
CASCADE = "CASCADE"


def owning_repo() -> Column[str]:
    """The owning repo; its rows go when it goes."""
    return Column(
        "repo", Text, ForeignKey("repos.uid", ondelete=CASCADE), primary_key=True, nullable=False
    )
