"""A T-SQL grammar for the generated text: sqlglot's, and the forms that it lacks.

`parse_tsql` refuses text that is kept whole instead of being read (`Command`), so EXECUTE cannot hide a mistake.
"""

from __future__ import annotations

import re

from sqlglot import exp
from sqlglot.dialects.tsql import TSQL
from sqlglot.tokens import TokenType


class Grammar(TSQL):
    """T-SQL with INSERT ... EXECUTE, WITH RESULT SETS, OUTPUT arguments and THROW."""

    class Parser(TSQL.Parser):
        """Reads a statement or raises."""

        def _parse_ddl_select(self):
            if self._match(TokenType.EXECUTE):
                return self._parse_execute()
            return super()._parse_ddl_select()

        def _parse_execute(self):
            execute = super()._parse_execute()
            if self._match_text_seq("WITH", "RESULT", "SETS"):
                columns = self._parse_wrapped(lambda: self._parse_schema())
                execute.set("expressions", [*execute.expressions, columns])
            return execute

        def _parse_expression(self):
            found = super()._parse_expression()
            self._match_text_seq("OUTPUT")
            return found

        def _parse_statement(self):
            if self._match_text_seq("THROW"):
                values = self._parse_csv(self._parse_bitwise)
                if len(values) != 3:
                    self.raise_error("THROW takes a number, a message and a state")
                return self.expression(exp.Anonymous(this="THROW", expressions=values))
            return super()._parse_statement()


def parse_tsql(text: str) -> list[exp.Expression]:
    """Return the statements of all batches.

    Raises
    ------
    sqlglot.errors.ParseError, AssertionError
        If a statement is not read.
    """
    found = []
    for batch in re.split(r"^GO$", text, flags=re.MULTILINE):
        for statement in Grammar().parse(batch):
            if statement is not None and not isinstance(statement, exp.Semicolon):
                opaque = [one.sql()[:200] for one in statement.find_all(exp.Command)]
                assert not opaque, f"read as opaque text: {opaque}"
                found.append(statement)
    return found
