"""The examples of docs/netsharp.md run."""

import re
from pathlib import Path

from galclass.topology.attributes import ALLOWED_ATTRIBUTES
from galclass.topology.check import load_topology
from galclass.topology.network import ACTIVATIONS

PAGE = (Path(__file__).parents[2] / "docs" / "netsharp.md").read_text(encoding="utf-8")


def test_the_example_program_is_sound():
    blocks = re.findall(r"(?:^    .*\n)+", PAGE, flags=re.MULTILINE)
    program = next(block for block in blocks if "input pixels" in block)
    assert load_topology(program, n_classes=13).output.shape == (13,)


def test_the_python_example_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(compile(code, "netsharp.md", "exec"), {})
    assert "hidden conv1 [64, 23, 23]" in capsys.readouterr().out


def test_every_attribute_and_activation_is_described():
    names = {name for allowed in ALLOWED_ATTRIBUTES.values() for name in allowed}
    missing = [name for name in [*names, *ACTIVATIONS] if f"`{name}`" not in PAGE]
    assert missing == []
