"""classifier/regular_files.py: what is no file is neither waited for nor read without end."""

import os
import socket
from pathlib import Path

import pytest

from classifier.regular_files import open_regular, read_regular

pytestmark = pytest.mark.usefixtures("in_time")


def test_a_file_is_read_whole_also_by_a_link_and_where_it_does_not_tell_its_size(tmp_path: Path) -> None:
    file, link = tmp_path / "a", tmp_path / "link"
    file.write_bytes(b"1234")
    link.symlink_to(file)
    assert read_regular(file, most=4) == read_regular(link) == b"1234"
    told = Path("/proc/self/status")
    assert told.stat().st_size == 0
    assert read_regular(told).startswith(b"Name:")
    with open_regular(file) as opened:
        assert [opened.read(2), opened.read()] == [b"12", b"34"]


def test_a_longer_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"1234")
    with pytest.raises(OSError, match="it is over 3 bytes"):
        read_regular(file, most=3)
    os.truncate(file, 1 << 40)  # nothing of it takes room, until somebody reads it
    with pytest.raises(OSError, match="it is over 67108864 bytes"):
        read_regular(file)
    with pytest.raises(OSError, match="it is over 274877906944 bytes"):
        read_regular(file, most=1 << 38)  # for which there is no memory
    with pytest.raises(OSError, match="it is over 3 bytes"):
        read_regular(Path("/proc/self/status"), most=3)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, words in (
        (tmp_path / "pipe", "it is a pipe, and no file"),
        (Path("/dev/zero"), "it is a device, and no file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file"),
        (tmp_path / "a\0b", "its path holds the character NUL"),
    ):
        with pytest.raises(OSError, match=words) as refused:
            read_regular(path)
        assert words in str(refused.value.strerror)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError, match="No such device"):
            read_regular(tmp_path / "socket")


def test_what_is_refused_is_closed(tmp_path: Path) -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match=r"directory|device"):
            read_regular(path)
    assert len([*Path("/proc/self/fd").iterdir()]) == before
