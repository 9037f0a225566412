"""Files appear whole or not at all, whatever stops the writer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from traces import strace

from galclass.atomic_files import new_folder, replacing, temporary_name, write_text

SOURCE = Path(__file__).resolve().parent.parent / "src" / "galclass"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_write_leaves_the_old_file_alone(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "figures.json"
    write_text(target, "old")

    def write_half() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["figures.json"]


@pytest.mark.parametrize("lasting", [True, False])
def test_the_disk_has_a_file_before_its_name(tmp_path: Path, lasting: bool) -> None:
    log = tmp_path / "log"
    program = "import sys; from pathlib import Path; from galclass.atomic_files import write_bytes as write; "
    program += f"write(Path(sys.argv[1]), b'figures', lasting={lasting})"
    trace = [strace(), "-f", "-y", "-e", "trace=fsync,rename,renameat,renameat2", "-o", str(log)]
    subprocess.run([*trace, sys.executable, "-c", program, str(tmp_path / "figures.json")], check=True)
    calls = re.findall(r"(fsync|rename)[^\n]*figures\.json", log.read_text())
    assert calls == (["fsync", "rename"] if lasting else ["rename"])


@pytest.mark.parametrize(("code", "written"), [("EINVAL", True), ("EOPNOTSUPP", True), ("EIO", False)])
def test_a_file_system_that_cannot_wait_for_the_disk_is_written_to(tmp_path: Path, code: str, written: bool) -> None:
    program = "import sys; from pathlib import Path; from galclass.atomic_files import write_text as write; "
    program += "write(Path(sys.argv[1]), 'figures')"
    trace = [strace(), "-f", "-e", "trace=fsync", "-e", f"inject=fsync:error={code}", "-o", str(tmp_path / "log")]
    done = subprocess.run([*trace, sys.executable, "-c", program, str(tmp_path / "figures.json")], check=False)
    assert (done.returncode == 0) == written
    assert (tmp_path / "figures.json").exists() == written


def test_a_temporary_file_may_be_read_only(tmp_path: Path) -> None:
    log = tmp_path / "log"  # root may open any file, so that what is asked for counts
    program = "import sys; from pathlib import Path; from galclass.atomic_files import replacing\n"
    program += "with replacing(Path(sys.argv[1])) as one: one.touch(); one.chmod(0o400)"
    trace = [strace(), "-f", "-e", "trace=openat", "-o", str(log)]
    subprocess.run([*trace, sys.executable, "-c", program, str(tmp_path / "figures.json")], check=True)
    *_, last = re.findall(r"figures\.json\", ([^)]*)", log.read_text())
    assert last.startswith("O_RDONLY")


def test_an_interrupted_folder_leaves_nothing(tmp_path: Path) -> None:
    def unpack_half() -> None:
        with new_folder(tmp_path / "images") as temporary:
            (temporary / "1.jpg").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack_half()
    assert os.listdir(tmp_path) == []


def test_an_error_names_the_target_instead_of_the_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        write_text(tmp_path / "taken", "text")
    assert caught.value.filename == str(tmp_path / "taken")
    assert os.listdir(tmp_path) == ["taken"]


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path) -> None:
    other = tmp_path / "no-such-file"
    with pytest.raises(FileNotFoundError) as caught, replacing(tmp_path / "copy") as temporary:
        temporary.write_bytes(other.read_bytes())
    assert caught.value.filename == str(other)


def test_two_writers_of_one_process_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    with replacing(target) as first, replacing(target) as second:
        first.write_text("first")
        second.write_text("second")
    assert target.read_text() == "first"  # the outer block ends last
    assert os.listdir(tmp_path) == ["table.csv"]


def test_a_folder_is_made_for_the_target(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "c.txt", "é")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "é".encode()


@pytest.mark.parametrize("stem", ["x" * 250, "é" * 125, "галактика" * 13])
def test_the_longest_names_have_room_for_a_temporary_name(tmp_path: Path, stem: str) -> None:
    target = tmp_path / f"{stem}.csv"
    assert len(os.fsencode(temporary_name(target).name)) <= 255
    assert temporary_name(target).suffix == ".csv"
    write_text(target, "text")
    assert target.read_text() == "text"


def test_no_other_module_renames_files() -> None:
    """`atomic_files` is the one way; what a resumed run has to find again under its own name is the exception."""
    resumed = {"prepare/store.py", "download/part.py", "train/set_aside.py", "atomic_files.py"}
    renames = re.compile(r"os\.(replace|rename)\(|shutil\.move\(|\.rename\(|\w\.replace\(([^,()]|\([^()]*\))*\)$", re.M)
    found = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if renames.search(path.read_text())}
    assert found == resumed


def test_what_a_library_says_of_a_temporary_file_names_the_target(tmp_path: Path) -> None:
    def write_badly() -> None:
        with replacing(tmp_path / "taken.parquet") as temporary:
            raise OSError(f"Failed to open local file '{temporary}'")

    with pytest.raises(OSError, match=r"open local file '.*/taken\.parquet'") as caught:
        write_badly()
    assert str(os.getpid()) not in str(caught.value)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"/file"), new_folder(tmp_path / "file" / "images"):
        pytest.fail("there is no such folder")
