"""Save rows by one statement, whose SQL is made once: each row is a tuple of values.

Django makes a piece of SQL of each row, and in `bulk_update` of each of its fields, which takes
longer than the database does: thousands of rows a tenth of the time, and one row as well.
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


def update(rows: Sequence[models.Model], fields: Sequence[str]) -> None:
    """Save these fields of rows of one model that are there; their values are plain ones."""
    if not rows:
        return
    meta = rows[0]._meta  # noqa: SLF001, Django's
    known = {field.name: field for field in meta.concrete_fields}
    columns = [known[name] for name in fields]
    changes = ", ".join(f"{_quoted(str(field.column))} = %s" for field in columns)
    key = _quoted(str(meta.pk.column))
    sql = f"UPDATE {_quoted(meta.db_table)} SET {changes} WHERE {key} = %s"  # noqa: S608, names of our own
    values = [
        [*(f.get_db_prep_save(getattr(row, f.attname), connection) for f in columns), row.pk]
        for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(sql, values)


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
