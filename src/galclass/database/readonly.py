"""What a statement without the right to write may do: read tables and compute, nothing else, in any role.

A read-only transaction is not enough. On SQLite ATTACH makes files; on PostgreSQL a superuser's COPY runs programs and
many functions write files, end sessions or change settings. So SQLite is asked for every action of a statement, and
PostgreSQL gets it as a cursor, which takes queries only, after the functions that it names were looked up.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, text

from galclass.errors import DatabaseError

_ADVICE = "run it with --write if it is meant to change something"

_ACTIONS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
_PRAGMAS = frozenset({
    "table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list",
    "foreign_key_check", "database_list", "function_list", "module_list", "pragma_list", "collation_list",
    "compile_options", "quick_check", "integrity_check",
})  # fmt: skip
_PRAGMAS_WITHOUT_VALUE = frozenset({
    "user_version", "schema_version", "application_id", "encoding", "page_count", "page_size", "freelist_count",
    "journal_mode",
})  # fmt: skip
_FUNCTIONS = frozenset({"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"})
_OPCODES_BETWEEN_LOOKS = 100_000  # a millisecond or so


def _reads_only(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    """Return whether a read-only statement may perform an action, as SQLite's authorizer."""
    allowed = action in _ACTIONS
    if action == sqlite3.SQLITE_UPDATE:  # SQLite asks so for json_each and its like; a real one it refuses by itself
        allowed = first == "sqlite_master"
    elif action == sqlite3.SQLITE_FUNCTION:
        allowed = (second or "").lower() not in _FUNCTIONS
    elif action == sqlite3.SQLITE_PRAGMA:
        name = (first or "").lower()
        allowed = name in _PRAGMAS or (name in _PRAGMAS_WITHOUT_VALUE and second is None)
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _stays_in_the_file(action: int, _: str | None, second: str | None, *__: str | None) -> int:
    """Return the same for a statement that may write: no other files, no loaded code."""
    other_files = action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH)
    code = action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _FUNCTIONS
    return sqlite3.SQLITE_DENY if other_files or code else sqlite3.SQLITE_OK


@contextmanager
def guarded_sqlite(connection: sqlite3.Connection, *, write: bool) -> Iterator[None]:
    """Let a connection do what a statement may, and notice Ctrl-C while one runs."""
    if not write:
        connection.execute("PRAGMA query_only = ON")
    connection.set_authorizer(_stays_in_the_file if write else _reads_only)
    connection.set_progress_handler(lambda: 0, _OPCODES_BETWEEN_LOOKS)  # entering Python is what runs signal handlers
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)
        connection.set_authorizer(None)
        connection.execute("PRAGMA query_only = OFF")


_QUERY_WORDS = frozenset({"select", "values", "table", "with"})
_DIRECT_WORDS = frozenset({"show", "explain"})
_SKIPPED = re.compile(r"(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/|\()*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_EXPLAIN = re.compile(
    r"explain\s*(?:\(\s*(?:analy[sz]e|verbose|costs|settings|buffers|wal|timing|summary|format|generic_plan|memory|serialize)"
    r"\b[\w\s,']*\)|(?:analy[sz]e\b\s*)?(?:verbose\b)?)",
    re.IGNORECASE | re.ASCII,
)
_RUNS = re.compile(r"analy[sz]e", re.IGNORECASE)
_LONGEST_NAME = 63

_HARMLESS = (
    "random", "random_normal", "gen_random_uuid", "clock_timestamp", "timeofday", "pg_relation_size", "pg_table_size",
    "pg_total_relation_size", "pg_indexes_size", "pg_database_size", "pg_tablespace_size",
)  # fmt: skip
"""Volatile functions of the catalog that change nothing."""

_FORBIDDEN = text(r"""
WITH named AS (
    SELECT p.oid, p.proname::text AS name, p.provolatile = 'v' AS volatile,
        p.pronamespace = 'pg_catalog'::regnamespace AS own, o.rolsuper AS trusted
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_roles o ON o.oid = p.proowner
    WHERE p.proname = ANY (CAST(:words AS name[])) OR (p.proname !~ '^[a-z_][a-z0-9_$]*$' AND (
        strpos(:statement, replace(p.proname, '"', '""')) > 0 OR strpos(lower(:statement), p.proname) > 0))
), me AS (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
SELECT 'the function ' || name || ' is VOLATILE: it may change something' FROM named
WHERE volatile AND NOT (own AND name = ANY (CAST(:harmless AS text[])))
UNION ALL SELECT 'the function ' || name || ' belongs to a role that is no superuser and would run with your rights'
FROM named, me WHERE me.rolsuper AND NOT trusted
UNION ALL SELECT 'the view ' || c.relname || ' belongs to a role that is no superuser and would run with your rights'
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles o ON o.oid = c.relowner, me
WHERE c.relkind = 'v' AND me.rolsuper AND NOT o.rolsuper AND (c.relname = ANY (CAST(:words AS name[]))
    OR (c.relname !~ '^[a-z_][a-z0-9_$]*$' AND (
        strpos(:statement, replace(c.relname, '"', '""')) > 0 OR strpos(lower(:statement), c.relname) > 0)))
UNION ALL SELECT 'the function ' || name || ' reads tables and views that cannot be checked' FROM named
WHERE own AND name ~ '^(table|schema|database)_to_xml'
UNION ALL SELECT 'the function ' || name || ' runs a text as SQL, which cannot be checked' FROM named
WHERE name ~ '^(crosstab|connectby|xpath_table)'
UNION ALL SELECT 'the type ' || t.typname || ' belongs to a role that is no superuser'
    || ' and would run its checks with your rights'
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_roles o ON o.oid = t.typowner, me
WHERE t.typtype IN ('b', 'd', 'e', 'r', 'm') AND me.rolsuper AND NOT o.rolsuper AND (
    t.typname = ANY (CAST(:words AS name[])) OR (t.typname !~ '^[a-z_][a-z0-9_$]*$' AND (
        strpos(:statement, replace(t.typname, '"', '""')) > 0 OR strpos(lower(:statement), t.typname) > 0)))
LIMIT 1""")


def run_postgresql_query(connection: Connection, statement: str) -> Any:
    """Run a query in a transaction that is made read-only.

    Returns
    -------
    cursor
        Of the driver; it fetches rows as they are asked for.

    Raises
    ------
    DatabaseError
        If it is not a query, or names a function that may do something else than compute.
    """
    connection.exec_driver_sql("SET TRANSACTION READ ONLY")
    start = _SKIPPED.match(statement)
    word = _WORD.match(statement, start.end() if start else 0)
    kind = word[0].lower() if word else ""
    if kind not in _QUERY_WORDS | _DIRECT_WORDS:
        raise DatabaseError(
            "it is not a query", expected="SELECT, VALUES, TABLE, WITH, EXPLAIN or SHOW", advice=_ADVICE
        )
    _check_names(connection, statement)
    driver: Any = connection.connection.driver_connection
    explained = _EXPLAIN.match(statement, start.end() if start else 0)
    if explained and _RUNS.search(statement):  # EXPLAIN ANALYZE CREATE TABLE is not held to the read-only transaction
        _opened(driver, statement[explained.end() :]).close()
    if kind in _DIRECT_WORDS:  # prepared: the server then takes one statement only
        return driver.execute(statement, prepare=True)
    return _opened(driver, statement)


def _opened(driver: Any, query: str) -> Any:
    """Open a cursor, which PostgreSQL does for queries only."""
    cursor = driver.cursor(name="galclass_rows")
    try:
        cursor.execute(query)
    except BaseException:
        cursor.close()
        raise
    return cursor


def _check_names(connection: Connection, statement: str) -> None:
    if re.search(r'\bU&"', statement, re.IGNORECASE):
        raise DatabaseError('a name with Unicode escapes (U&"...") cannot be checked', advice=_ADVICE)
    names = {word[:_LONGEST_NAME] for word in _WORD.findall(statement)}
    words = sorted(names | {word.lower() for word in names})
    values = {"words": words, "statement": statement, "harmless": list(_HARMLESS)}
    fault = connection.scalar(_FORBIDDEN, values)
    if fault is not None:
        raise DatabaseError(str(fault), advice=_ADVICE)
