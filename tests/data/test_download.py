"""Downloads, from a stand-in for the archive on the loopback address."""

import hashlib
import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import refuses

from neuroblend.data import download
from neuroblend.data.download import download_dandiset
from neuroblend.errors import InputError
from neuroblend.nlb.datasets import find_dataset

TRAIN = "sub-Jenkins/sub-Jenkins_ses-small_desc-train_behavior+ecephys.nwb"
TEST = "sub-Jenkins/sub-Jenkins_ses-small_desc-test_ecephys.nwb"
NAMES = [Path(path).name for path in (TEST, TRAIN)]
SIZE = 50_000
CHUNK = 4096
STAMP = "2021-09-01T00:00:00Z"


def download_dataset(name: str, folder: Path, **options: Any) -> list[Path]:
    return download_dandiset(find_dataset(name).dandiset, folder, **options)


class Archive:
    """What the stand-in holds, how it misbehaves, and what it was asked for."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.files = {path: rng.bytes(SIZE) for path in (TRAIN, TEST, "readme.txt")}
        self.digests = {
            path: {"dandi:sha2-256": hashlib.sha256(content).hexdigest()}
            for path, content in self.files.items()
        }
        self.published = True
        self.knows_range = True
        self.cuts: list[str] = []  # files whose next answer ends half way
        self.status = 200  # of everything
        self.asked: list[tuple[str, str | None]] = []  # (file, Range)
        self.sent: list[tuple[str, int]] = []
        self.url = ""

    @property
    def version(self) -> str:
        return "0.220113.0408" if self.published else "draft"

    def answer(self, path: str) -> object:
        """Return what the archive's API says, as of server version 0.4."""
        root = self.url.removesuffix("/api")
        dandiset = "/api/dandisets/000140/"
        assets = f"{dandiset}versions/{self.version}/assets/"
        paths = list(self.files)
        if path == "/api/info/":
            return {
                "version": "0.4.0",
                "cli-minimal-version": "0.60.0",
                "cli-bad-versions": [],
                "services": {"api": {"url": self.url}, "webui": {"url": root}},
            }
        if path == dandiset:
            versions = {name: self._version(name) for name in ("draft", "0.220113.0408")}
            newest = versions[self.version] if self.published else None
            return {
                "identifier": "000140",
                "created": STAMP,
                "modified": STAMP,
                "contact_person": "Pei, Felix",
                "embargo_status": "OPEN",
                "draft_version": versions["draft"],
                "most_recent_published_version": newest,
            }
        if path == assets:
            listed = [self._asset(i, paths[i]) for i in range(len(paths))]
            return {"count": len(listed), "next": None, "previous": None, "results": listed}
        if found := re.fullmatch(re.escape(assets) + "([0-9])/", path):
            return {"digest": self.digests[paths[int(found[1])]]}
        return None

    def _version(self, name: str) -> dict[str, Any]:
        count = {"asset_count": len(self.files), "size": SIZE * len(self.files)}
        dates = {"created": STAMP, "modified": STAMP}
        return {"version": name, "name": "MC_Maze_Small", "status": "Valid"} | count | dates

    def _asset(self, index: int, path: str) -> dict[str, Any]:
        held = {"asset_id": str(index), "blob": f"blob-{index}", "zarr": None}
        return held | {"path": path, "size": SIZE, "created": STAMP, "modified": STAMP}


class Handler(BaseHTTPRequestHandler):
    archive: Archive

    def log_message(self, *_args: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if self.archive.status != 200:
            self._send(self.archive.status, b"{}")
        elif found := re.fullmatch("/api/assets/([0-9])/download/", path):
            self._send(302, b"", Location=f"/blobs/{found[1]}")
        elif path.startswith("/blobs/"):
            self._send_file(list(self.archive.files)[int(path[-1])])
        elif (content := self.archive.answer(path)) is not None:
            self._send(200, json.dumps(content).encode())
        else:
            self._send(404, b'{"detail": "Not found."}')

    def _send(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def _send_file(self, path: str) -> None:
        wanted = self.headers["Range"]
        name, content = Path(path).name, self.archive.files[path]
        self.archive.asked.append((name, wanted))
        start = 0
        self.send_response(206 if wanted and self.archive.knows_range else 200)
        if wanted and self.archive.knows_range:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_header("Content-Range", f"bytes {start}-{SIZE - 1}/{SIZE}")
        self.send_header("Content-Length", str(SIZE - start))
        self.end_headers()
        end = SIZE
        if name in self.archive.cuts:
            self.archive.cuts.remove(name)
            end = (start + SIZE) // 2
            self.close_connection = True
        self.archive.sent.append((name, end - start))
        self.wfile.write(content[start:end])


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    monkeypatch.setenv("DANDI_NO_ET", "1")  # or the client asks elsewhere whether it is the newest
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    pytest.importorskip("dandi.dandiapi", reason="the [dandi] extra is not installed")
    monkeypatch.setattr(download, "_CHUNK", CHUNK)
    monkeypatch.setattr(download, "_WAIT_S", 0.0)
    held = Archive()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"archive": held}))
    held.url = f"http://127.0.0.1:{server.server_port}/api"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield held
    server.shutdown()
    server.server_close()
    thread.join()


def check_whole(folder: Path, archive: Archive, names: list[str] = NAMES) -> None:
    assert sorted(file.name for file in folder.iterdir()) == names
    contents = {Path(path).name: content for path, content in archive.files.items()}
    assert all((folder / name).read_bytes() == contents[name] for name in names)


def test_a_dataset_comes_whole_and_tells_how_far(tmp_path, archive) -> None:
    told: list[tuple[str, int, int]] = []
    folder, tell = tmp_path / "new" / "folder", lambda *now: told.append(now)
    found = download_dataset("mc_maze_small", folder, api_url=archive.url, progress=tell)
    assert found == [folder / name for name in NAMES]
    check_whole(found[0].parent, archive)
    assert archive.asked == [(name, None) for name in NAMES]
    done = [n for name, n, most in told if name == NAMES[0] and most == SIZE]
    assert done[0] == 0 and done[-1] == SIZE and done == sorted(set(done))


def test_a_cut_connection_is_resumed_with_the_rest_alone(tmp_path, archive) -> None:
    archive.cuts = [NAMES[0]]
    download_dataset("mc_maze_small", tmp_path, api_url=archive.url)
    check_whole(tmp_path, archive)
    first, rest, other = archive.asked
    assert first == (NAMES[0], None) and other == (NAMES[1], None)
    start = int(re.fullmatch("bytes=([0-9]+)-", rest[1] or "")[1])  # type: ignore[index]
    assert SIZE // 2 - CHUNK < start <= SIZE // 2
    assert archive.sent[:2] == [(NAMES[0], SIZE // 2), (NAMES[0], SIZE - start)]


def test_a_part_of_an_earlier_run_is_gone_on_with(tmp_path, archive) -> None:
    archive.cuts = [NAMES[0]] * 5
    with pytest.raises(InputError, match=r"goes on where it ended.*/000140 and put them into"):
        download_dataset("mc_maze_small", tmp_path, api_url=archive.url)
    part = tmp_path / f"{NAMES[0]}.part"
    assert list(tmp_path.iterdir()) == [part]
    done = part.stat().st_size
    archive.asked.clear()
    download_dataset("mc_maze_small", tmp_path, api_url=archive.url)
    assert archive.asked == [(NAMES[0], f"bytes={done}-"), (NAMES[1], None)]
    check_whole(tmp_path, archive)


@pytest.mark.parametrize(("n_bytes", "knows_range"), [(SIZE // 3, False), (SIZE + 1, True)])
def test_a_part_that_cannot_be_resumed_is_started_anew(
    tmp_path, archive, n_bytes, knows_range
) -> None:
    archive.knows_range = knows_range
    (tmp_path / f"{NAMES[0]}.part").write_bytes(b"x" * n_bytes)
    download_dataset("mc_maze_small", tmp_path, api_url=archive.url)
    assert archive.sent[0] == (NAMES[0], SIZE)
    check_whole(tmp_path, archive)


def test_a_whole_part_is_checked_and_not_fetched(tmp_path, archive) -> None:
    (tmp_path / f"{NAMES[1]}.part").write_bytes(archive.files[TRAIN])
    download_dandiset("140", tmp_path, "*train*", api_url=archive.url)
    assert archive.asked == []
    check_whole(tmp_path, archive, [NAMES[1]])


def test_another_checksum_leaves_nothing(tmp_path, archive) -> None:
    archive.digests[TEST] = {"dandi:sha2-256": "0" * 64}
    message = rf"{re.escape(NAMES[0])} came with sha2-256 \w+, wanted 000000000000, and was removed"
    refuses(message, download_dataset, "mc_maze_small", tmp_path, api_url=archive.url)
    assert list(tmp_path.iterdir()) == []


def test_size_counts_where_the_archive_has_an_etag_alone(tmp_path, archive) -> None:
    archive.digests[TEST] = {"dandi:dandi-etag": "0" * 32 + "-1"}
    for _ in range(2):
        download_dataset("mc_maze_small", tmp_path, api_url=archive.url)
        check_whole(tmp_path, archive)
    assert len(archive.asked) == 2


def test_files_that_are_there_are_fetched_only_if_they_differ(tmp_path, archive) -> None:
    (tmp_path / NAMES[0]).write_bytes(archive.files[TEST])
    (tmp_path / NAMES[1]).write_bytes(bytes(SIZE))  # of the right size
    told: list[tuple[str, int, int]] = []
    download_dataset(
        "mc_maze_small", tmp_path, api_url=archive.url, progress=lambda *now: told.append(now)
    )
    assert archive.asked == [(NAMES[1], None)]
    assert told[0] == (NAMES[0], SIZE, SIZE)
    check_whole(tmp_path, archive)


def test_the_draft_is_taken_where_nothing_is_published(tmp_path, archive) -> None:
    archive.published = False
    download_dandiset("000140", tmp_path, "*.txt", api_url=archive.url)
    check_whole(tmp_path, archive, ["readme.txt"])


@pytest.mark.parametrize(
    ("number", "pattern", "message"),
    [
        ("000999", "*.nwb", "000999 cannot be downloaded: No such Dandiset: 000999"),
        ("000140", "*.mat", r"version 0.220113.0408: no file matches '\*.mat'. There are: readme"),
    ],
)
def test_what_the_archive_lacks_is_told(
    tmp_path, archive, caplog, number, pattern, message
) -> None:
    refuses(message, download_dandiset, number, tmp_path / "new", pattern, api_url=archive.url)
    assert not (tmp_path / "new").exists()
    assert not [record for record in caplog.records if record.name.startswith("dandi")]


def test_files_of_one_name_are_refused(tmp_path, archive) -> None:
    archive.files["elsewhere/readme.txt"] = archive.files["readme.txt"]
    archive.digests["elsewhere/readme.txt"] = {}
    with pytest.raises(InputError, match=r"several files are named readme.txt"):
        download_dandiset("000140", tmp_path, "*.txt", api_url=archive.url)


def test_an_archive_that_is_out_of_order(tmp_path, archive) -> None:
    archive.status = 503
    with pytest.raises(InputError, match=r"503 Server Error.*by hand from .*/dandiset/000140 "):
        download_dataset("mc_maze_small", tmp_path, api_url=archive.url)


def test_an_archive_that_is_down_is_told_in_one_line(tmp_path, archive, capfd) -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/api"
        with pytest.raises(InputError) as caught:
            download_dataset("mc_maze", tmp_path / "new", api_url=url)
    assert str(caught.value) == (
        f"dandiset 000128 cannot be downloaded: Connection refused at {url}/info/. Run it again "
        "(it goes on where it ended), or fetch the files by hand from "
        f"https://dandiarchive.org/dandiset/000128 and put them into {tmp_path / 'new'}"
    )
    assert not (tmp_path / "new").exists()
    assert capfd.readouterr() == ("", "")


def test_the_address_is_the_clients(archive) -> None:
    from dandi.consts import known_instances

    assert known_instances["dandi"].api == download.API_URL


def test_without_the_client_the_message_tells_how_to_get_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "dandi", None)
    monkeypatch.setitem(sys.modules, "dandi.dandiapi", None)
    refuses(r"pip install 'neuroblend\[dandi\]'", download_dataset, "mc_rtt", tmp_path)


def test_a_name_that_is_not_known(tmp_path) -> None:
    refuses("did you mean 'mc_maze_small'", download_dataset, "mc_maze_smal", tmp_path)


@pytest.mark.parametrize("number", ["", "mc", "0001400", "1/../2", "١٤٠"])
def test_a_number_that_is_none(tmp_path, number) -> None:
    refuses("wanted its number, such as 000140", download_dandiset, number, tmp_path)


def test_a_folder_that_is_a_file(tmp_path) -> None:
    file = tmp_path / "file"
    file.touch()
    refuses("a file, wanted a folder", download_dataset, "mc_rtt", file)
