"""The docs follow the code: generated pages are current, names agree, the site builds with every link sound."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from galclass.cli import cli
from galclass.morphology import CLASS_NAMES, CLASSES, GROUPS

ROOT = Path(__file__).resolve().parent.parent
MORPHOLOGY_JS = (ROOT / "src" / "galclass" / "web" / "js" / "morphology.js").read_text(encoding="utf-8")


def test_the_command_line_page_is_what_the_help_says() -> None:
    script = str(ROOT / "scripts" / "write_cli_docs.py")
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_command_shows_an_example() -> None:
    def walk(command: click.Command, path: str) -> list[str]:
        missing = [] if "Example:" in (command.help or "") else [path]
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                missing += walk(below, f"{path} {name}")
        return missing

    assert walk(cli, "galclass") == []


def test_the_glossary_names_the_classes_as_the_code_does() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([ESA]B?[a-z]?) \| ([^|]+) \| (\w+) \|$", text, flags=re.MULTILINE)
    group_of = {leaf: group for group, leaves in GROUPS.items() for leaf in leaves}
    assert rows == [(leaf, CLASS_NAMES[leaf], group_of[leaf]) for leaf in CLASSES]


def test_the_page_names_the_classes_as_the_code_does() -> None:
    order = re.search(r"CLASSES = \[(.*?)\]", MORPHOLOGY_JS)
    assert order is not None
    assert tuple(re.findall(r'"(\w+)"', order[1])) == CLASSES
    names = re.search(r"CLASS_NAMES = \{(.*?)\};", MORPHOLOGY_JS, flags=re.DOTALL)
    assert names is not None
    assert dict(re.findall(r'(\w+): "([^"]+)"', names[1])) == dict(CLASS_NAMES)
    groups = re.search(r"GROUPS = \{(.*?)\};", MORPHOLOGY_JS, flags=re.DOTALL)
    assert groups is not None
    found = {name: tuple(re.findall(r'"(\w+)"', row)) for name, row in re.findall(r"(\w+): \[(.*?)\]", groups[1])}
    assert found == dict(GROUPS)


def test_every_galclass_command_of_the_docs_exists() -> None:
    context = click.Context(cli)
    known = set(cli.list_commands(context))
    for page in (ROOT / "docs").rglob("*.md"):
        blocks = "\n".join(re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL))
        for name in re.findall(r"^galclass ([a-z]+)", blocks, flags=re.MULTILINE):
            assert name in known, f"{page.name}: galclass {name}"


@pytest.mark.slow
def test_the_site_builds_with_every_link_sound(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "site" / "cli" / "index.html").exists()


def test_decisions_are_numbered_without_gaps_in_one_format_and_listed() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [int(page.name[:4]) for page in pages]
    last_without_gaps = 36
    assert [number for number in numbers if number <= last_without_gaps] == [*range(1, last_without_gaps + 1)]
    assert len(set(numbers)) == len(numbers)
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {page.name[:4]}: "), page.name
        assert f"decisions/{page.name}" in listed, page.name
        parts = re.findall(r"^\*\*([A-Z]\w+)", text, flags=re.MULTILINE)
        assert "Decision" in parts, page.name
        assert {"Context", "Why", "Consequences"} & set(parts), page.name
