"""Old import paths work for one release, say where the new ones are, and are the same objects."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from galclass import moved
from galclass.cutouts import CutoutParameters
from galclass.prepare.store import Store

OLD_PACKAGES = {name: import_module(name) for name in ("galclass.service", "galclass.database")}


@pytest.fixture(autouse=True)
def as_in_a_new_process() -> Iterator[None]:
    before = dict(sys.modules)
    for name in [*moved.MODULES, *moved.PACKAGES]:
        sys.modules.pop(name, None)
    yield
    for name in [*moved.MODULES, *moved.PACKAGES]:
        sys.modules.pop(name, None)
    sys.modules.update(before)


@pytest.mark.parametrize("old", sorted(set(moved.MODULES) - {moved.IN_DATABASES}))
def test_an_old_path_is_the_new_module_and_warns_of_it(old: str) -> None:
    pytest.importorskip("torch" if ".train." in old else "galclass")
    new = import_module(moved.MODULES[old])
    with pytest.warns(DeprecationWarning, match=f"^{old} is now {new.__name__};"):
        found = import_module(old)
    assert found is new
    assert new.__spec__ is not None
    assert new.__spec__.name == moved.MODULES[old]  # the new module is left as it was


@pytest.mark.parametrize("name", sorted(moved.PACKAGES["galclass.preprocess"]))
def test_every_name_of_the_old_package_has_a_home(name: str) -> None:
    home = import_module(moved.PACKAGES["galclass.preprocess"][name])
    package = import_module("galclass.preprocess")
    with pytest.warns(DeprecationWarning, match=f"^galclass.preprocess.{name} is now "):
        assert getattr(package, name) is getattr(home, name)


@pytest.mark.parametrize(
    ("package", "name", "home"),
    [
        ("galclass.service", "create_app", "galclass.service.server.app"),
        ("galclass.service", "serve", "galclass.service.server.run"),
        ("galclass.service", "publish_stage", "galclass.database.publish"),
        ("galclass.database", "register_stage", "galclass.tuning.register"),
        ("galclass.database", "score_stage", "galclass.database.stages"),
    ],
)
def test_names_that_packages_handed_on_are_still_there(package: str, name: str, home: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"^{package}.{name} is now {home}.{name};"):
        assert getattr(OLD_PACKAGES[package], name) is getattr(import_module(home), name)


def test_the_warning_names_the_line_that_imports() -> None:
    code = compile("from galclass.preprocess.store import Store as Old", "notebook.py", "exec")
    names: dict[str, object] = {}
    with pytest.warns(DeprecationWarning, match="is now galclass.prepare.store") as caught:
        exec(code, names)
    assert names["Old"] is Store
    assert [one.filename for one in caught] == ["notebook.py"]


def test_a_pickle_of_an_earlier_version_is_read() -> None:
    parameters = CutoutParameters(size_px=64)
    data = pickle.dumps(parameters, protocol=0).replace(b"galclass.cutouts.extract", b"galclass.preprocess.cutouts")
    assert b"galclass.preprocess.cutouts" in data
    with pytest.warns(DeprecationWarning, match="galclass.preprocess.cutouts is now galclass.cutouts.extract"):
        assert pickle.loads(data) == parameters


def test_functions_installed_in_a_database_by_an_earlier_version_find_the_scorer() -> None:
    code = (
        'import sys\nif "galclass.scoring.backend" not in sys.modules:\n    pass\n'
        "from galclass.scoring.backend import BackEnd\n"
        "import galclass.scoring.plpython as new\n"
        "print(BackEnd is new.BackEnd, 'galclass.scoring.backend' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
    assert done.stderr == ""  # nobody who calls a function in SQL can do anything about it


@pytest.mark.parametrize("name", ["galclass.preprocess.nothing", "galclass.nothing", "galclass.service.nothing"])
def test_what_never_was_is_not_found(name: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=f"No module named '{name}'"):
        import_module(name)


def test_an_unknown_name_of_an_old_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'galclass.preprocess' has no attribute 'nothing'"):
        _ = import_module("galclass.preprocess").nothing
    with pytest.raises(AttributeError, match=r"module 'galclass.service' has no attribute 'nothing'"):
        _ = OLD_PACKAGES["galclass.service"].nothing


def test_an_empty_folder_left_by_an_update_does_not_hide_an_old_path(tmp_path: Path) -> None:
    (tmp_path / "preprocess" / "__pycache__").mkdir(parents=True)
    code = f"import galclass; galclass.__path__.append({str(tmp_path)!r}); from galclass.preprocess import cutout"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_installing_twice_changes_nothing() -> None:
    before = list(sys.meta_path)
    moved.install()
    assert sys.meta_path == before
