"""Insert thousands of small rows at once: the SQL is made once, and each row is a tuple of values.

Django makes an object, and a piece of SQL, of each row, which takes longer than the database does.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection, models

# The values of a row, in the order of the fields.
Row = Sequence[str | int]


def insert(
    model: type[models.Model],
    fields: Sequence[str],
    rows: Sequence[Row],
    *,
    unique: Sequence[str] = (),
) -> None:
    """Insert rows of plain columns; where `unique` fields meet a row, it gets the other values."""
    if not rows:
        return
    known = {field.name: field.column for field in model._meta.concrete_fields}  # noqa: SLF001, too
    columns = {name: _quoted(str(known[name])) for name in fields}
    places = ", ".join(["%s"] * len(fields))
    into = f"{_quoted(model._meta.db_table)} ({', '.join(columns.values())})"  # noqa: SLF001, Django's
    sql = f"INSERT INTO {into} VALUES ({places})"  # noqa: S608, names of our own
    if unique:
        changes = (f"{columns[f]} = EXCLUDED.{columns[f]}" for f in fields if f not in unique)
        target = ", ".join(columns[name] for name in unique)
        sql += f" ON CONFLICT ({target}) DO UPDATE SET {', '.join(changes)}"
    with connection.cursor() as cursor:
        cursor.executemany(sql, rows)


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
