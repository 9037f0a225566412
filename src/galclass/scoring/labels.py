"""The meaning of a model's outputs: its classes, their groups, and the questions with votes.

Takes plain JSON values, returns checked dataclasses; and back. Lists keep the order, which is that of the outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from galclass.morphology import CLASSES, GROUPS, Answer, Question
from galclass.scoring.checks import Checker

INPUT_NAME = "cutouts"
PROBABILITIES = "probabilities"
EMBEDDING = "embedding"
VOTE_FRACTIONS = "vote_fractions"
RAW_VOTES, RAW_CONCENTRATIONS = "raw_votes", "raw_concentrations"
"""Names of the input and the outputs of the graph."""

OUTPUTS = {
    1: (PROBABILITIES, VOTE_FRACTIONS, EMBEDDING),
    2: (PROBABILITIES, EMBEDDING, VOTE_FRACTIONS, RAW_VOTES, RAW_CONCENTRATIONS),
}
"""Outputs that each format of a signature names."""

VOTERS = 45
"""Volunteers that a galaxy is shown to, unless otherwise known."""

MAX_VOTE_COLUMNS = 256
MAX_VOTERS = 100
MAX_CLASSES = 256
MAX_QUESTIONS = 64
MAX_ANSWERS = 32
MAX_LABEL = 64
"""Longest name of a class, group, question or answer: it becomes part of a column's name."""

_TAKEN = ("class", "group")

_VOTES_KEYS = ("questions", "voters", "raw", "debiased", "debiased_concentrations")

Groups = Mapping[str, tuple[str, ...]]


def our_classes_and_groups(classes: tuple[str, ...], groups: Groups | None) -> bool:
    """Whether these are the 13 classes of Galaxy Zoo in our order and their four groups."""
    return classes == CLASSES and groups is not None and dict(groups) == dict(GROUPS)


def question_columns(questions: Sequence[Question]) -> tuple[str, ...]:
    """Return the stems `<question>_<answer>` of all answers, in order."""
    return tuple(column for question in questions for column in question.columns)


def plain_groups(groups: Groups | None) -> list[dict[str, Any]] | None:
    """Return groups as JSON; None: the classes have none."""
    return None if groups is None else [{"name": name, "classes": list(own)} for name, own in groups.items()]


def plain_questions(questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Return questions as JSON; `leads_to` is the question that comes after an answer, null where the tree ends."""
    return [
        {
            "name": question.name,
            "answers": [{"name": answer.column, "leads_to": answer.leads_to} for answer in question.answers],
        }
        for question in questions
    ]


def read_labels(values: Mapping[str, Any], outputs: Mapping[str, Any], check: Checker) -> dict[str, Any]:
    """Read classes, groups and votes of a signature, by the names of its fields, and check the outputs' widths."""
    return (_read_labels_1 if values["format"] == 1 else _read_labels_2)(values, outputs, check)


def _read_labels_1(values: Mapping[str, Any], outputs: Mapping[str, Any], check: Checker) -> dict[str, Any]:
    check.equal("outputs.probabilities", outputs.get(PROBABILITIES), len(CLASSES))
    check.equal("classes", values.get("classes"), list(CLASSES))
    check.equal("groups", values.get("groups"), {group: list(leaves) for group, leaves in GROUPS.items()})
    votes = check.texts("outputs.vote_fractions", outputs.get(VOTE_FRACTIONS), MAX_VOTE_COLUMNS)
    return {"format": 1, "classes": CLASSES, "vote_columns": votes}


def _read_labels_2(values: Mapping[str, Any], outputs: Mapping[str, Any], check: Checker) -> dict[str, Any]:
    classes = read_classes(values.get("classes"), check)
    read: dict[str, Any] = {
        "format": 2,
        "classes": classes,
        "groups": read_groups(values.get("groups"), classes, check),
    }
    read |= {} if values.get("votes") is None else _read_votes(values["votes"], check)
    columns, questions = question_columns(read.get("questions", ())), read.get("questions", ())
    widths = {PROBABILITIES: len(classes), VOTE_FRACTIONS: len(read.get("vote_columns", ()))}
    raw = bool(read.get("raw"))
    widths |= {RAW_VOTES: len(columns) if raw else 0, RAW_CONCENTRATIONS: len(questions) if raw else 0}
    for name, width in widths.items():
        check.equal(f"outputs.{name}", outputs.get(name), width)
    return read


def _read_votes(values: Any, check: Checker) -> dict[str, Any]:
    values = check.mapping("votes", values, _VOTES_KEYS)
    questions = read_questions(values.get("questions"), check)
    columns, spread = question_columns(questions), values.get("debiased_concentrations")
    if len(columns) > MAX_VOTE_COLUMNS:
        check.faults.append(f"votes.questions have more than {MAX_VOTE_COLUMNS} answers")
    raw, debiased = (check.flag(f"votes.{name}", values.get(name)) for name in ("raw", "debiased"))
    if not (raw or debiased):
        check.faults.append("votes must be raw or debiased; without votes it is null")
    concentrations = () if spread is None else check.numbers("votes.debiased_concentrations", spread, len(questions))
    if any(value <= 0 for value in concentrations):
        check.faults.append("votes.debiased_concentrations must be above 0")
    return {
        "questions": questions,
        "raw": raw,
        "voters": check.integer("votes.voters", values.get("voters"), 1, MAX_VOTERS),
        "vote_columns": columns if debiased else (),
        "debiased_concentrations": concentrations,
    }


def read_classes(values: Any, check: Checker) -> tuple[str, ...]:
    """Read the list of classes: at least two, distinct also in lower case, whose columns clash with no others."""
    names = _names("classes", values, MAX_CLASSES, check, least=2)
    if any(sign in name for name in names for sign in '"\\'):
        check.faults.append("no class may have a quotation mark or a backslash: it becomes a key in databases")
    taken = [name for name in names if name.casefold() in _TAKEN]
    if taken:
        check.faults.append(f"no class may be called {taken[0]}: predicted_{taken[0]} is another column")
    return names


def read_groups(values: Any, classes: tuple[str, ...], check: Checker) -> Groups | None:
    """Read the groups, which contain every class once; None if there are none."""
    if values is None:
        return None
    parts = _parts("groups", values, ("name", "classes"), MAX_CLASSES, check)
    names = _names("groups", [part.get("name") for part in parts], MAX_CLASSES, check)
    members = [_names(f"groups[{n}].classes", part.get("classes"), MAX_CLASSES, check) for n, part in enumerate(parts)]
    if not check.faults and sorted(leaf for own in members for leaf in own) != sorted(classes):
        check.faults.append("groups must contain every class once")
    return dict(zip(names, members, strict=False))


def read_questions(values: Any, check: Checker) -> tuple[Question, ...]:
    """Read the questions, which must be a tree or several: no question leads back to itself."""
    parts = _parts("votes.questions", values, ("name", "answers"), MAX_QUESTIONS, check)
    names = _names("votes.questions", [part.get("name") for part in parts], MAX_QUESTIONS, check)
    questions = []
    for name, part in zip(names, parts, strict=False):
        answers = _parts(f"{name}.answers", part.get("answers"), ("name", "leads_to"), MAX_ANSWERS, check)
        own = _names(f"{name}.answers", [one.get("name") for one in answers], MAX_ANSWERS, check, least=2)
        leads = [one.get("leads_to") for one in answers]
        if any(after is not None and after not in names for after in leads):
            check.faults.append(f"{name} leads to a question that does not exist")
        questions.append(Question(name, tuple(map(Answer, own, leads))))
    if not check.faults:
        _check_columns(questions, check)
    return tuple(questions)


def _check_columns(questions: Sequence[Question], check: Checker) -> None:
    columns = question_columns(questions)
    if len(set(columns)) < len(columns):
        check.faults.append("two answers have the same column")
    try:
        in_order(questions)
    except ValueError as error:
        check.faults.append(str(error))


def in_order(questions: Sequence[Question]) -> list[Question]:
    """Return the questions so that each comes after all that lead to it.

    Raises
    ------
    ValueError
        If a question leads back to itself.
    """
    waiting, ordered = list(questions), []
    while waiting:
        led_to = {answer.leads_to for question in waiting for answer in question.answers}
        free = [question for question in waiting if question.name not in led_to]
        if not free:
            raise ValueError(f"the question {waiting[0].name} leads back to itself")
        ordered += free
        waiting = [question for question in waiting if question.name in led_to]
    return ordered


def _parts(name: str, values: Any, keys: Sequence[str], most: int, check: Checker) -> list[dict[str, Any]]:
    if not isinstance(values, list) or not 0 < len(values) <= most:
        check.faults.append(f"{name} must be a list of 1 to {most} objects")
        return []
    return [check.mapping(f"{name}[{number}]", part, keys) for number, part in enumerate(values)]


def _names(name: str, values: Any, most: int, check: Checker, *, least: int = 1) -> tuple[str, ...]:
    """Read different names that can be parts of column names and be separated by "|"."""
    if not isinstance(values, list) or not least <= len(values) <= most:
        check.faults.append(f"{name} must be a list of {least} to {most} names")
        return ()
    good = [one for one in values if isinstance(one, str) and _is_name(one)]
    if len({one.casefold() for one in good}) < len(values):
        check.faults.append(
            f"{name} must be different texts of at most {MAX_LABEL} printable characters without |, in lower case too"
        )
        return ()
    return tuple(good)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MAX_LABEL and text.isprintable() and text.strip() == text and "|" not in text
