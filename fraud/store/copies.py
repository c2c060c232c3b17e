"""Copies of a whole feature store of one instant, taken while it is used, and put back.

LMDB copies itself within one reading transaction. Of Redis or Valkey, ``redis-cli`` or ``valkey-cli`` takes a
snapshot as a replica would; to put it back, a server of its own reads it, and its keys are sent to the store.
An older copy needs what the log has got since: the stream's next start folds it (``fraud.log.catch_up``).
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import urlsplit

import lmdb
import redis

from fraud.errors import BadConfig, BadInput, Unavailable
from fraud.runtime.waiting import wait_until
from fraud.store.redis.url import Target, read_url
from fraud.store.ring import is_sharded

LMDB_FILE: Final = "data.mdb"
SNAPSHOT: Final = "dump.rdb"
SNAPSHOT_S: Final = 3_600.0
"""How long a server may take for its snapshot, seconds."""
_START_S: Final = 600.0
_GROUP: Final = 500


def copy_store(url: str, folder: Path) -> None:
    """Copy a store into a folder.

    Raises
    ------
    BadConfig
        When a program that copies is missing, or the store has several servers.
    Unavailable
        When the store does not answer.
    """
    _check_single(url)
    parts = urlsplit(url)
    if parts.scheme == "lmdb":
        try:
            with lmdb.open(parts.path, readonly=True, max_dbs=1, create=False) as found:
                found.copy(str(folder), compact=True)
        except lmdb.Error as error:
            raise Unavailable(f"the feature store in {parts.path} cannot be copied: {error}") from error
        return
    words = [_program("cli"), *_login(read_url(url)), "--rdb", str(folder / SNAPSHOT)]
    _run(words, f"the feature store at {read_url(url).where} cannot be copied")


def can_copy(url: str) -> bool:
    """Whether a store in Redis or Valkey can be copied here."""
    return not is_sharded(url) and any(map(shutil.which, _names("cli")))


def _check_single(url: str) -> None:
    """Refuse several servers: their copies would be of several instants, and no log is folded onto those."""
    if is_sharded(url):
        raise BadConfig(
            "a feature store over several servers is not copied: the log makes it again "
            "(`fraud replay rebuild-store --replace`); leave the part `store` out with --part"
        )


def restore_store(url: str, folder: Path) -> None:
    """Put a copy in a store's place; what the store holds is gone.

    A stream that runs notices it, and a scoring service counts nothing until the stream's next start.

    Raises
    ------
    BadInput
        When the folder holds a copy of another kind of store.
    BadConfig, Unavailable
        As of :func:`copy_store`.
    """
    _check_single(url)
    parts = urlsplit(url)
    name = LMDB_FILE if parts.scheme == "lmdb" else SNAPSHOT
    if not (folder / name).exists():
        raise BadInput(f"the backup holds no {name}: it is of another kind of store than {parts.scheme}://")
    if parts.scheme == "lmdb":
        store = Path(parts.path)
        store.mkdir(parents=True, exist_ok=True)
        partial = store / f"{LMDB_FILE}.partial"
        shutil.copyfile(folder / LMDB_FILE, partial)
        partial.replace(store / LMDB_FILE)
        (store / "lock.mdb").unlink(missing_ok=True)  # of readers of the file before
        return
    target = read_url(url)
    with target.open() as client, _served(folder) as copy:
        try:
            _send_keys(copy, client, target.prefix)
        except redis.RedisError as error:
            raise Unavailable(f"the feature store at {target.where} was not put back: {error}") from error


def _send_keys(copy: redis.Redis, client: redis.Redis, prefix: str) -> None:
    """Send all keys, the one that lets writers in last: until then none may write."""
    meta = f"{prefix}:meta"
    client.delete(meta)
    for keys in _grouped(client.scan_iter(f"{prefix}:*", count=_GROUP)):
        client.unlink(*keys)
    for keys in _grouped(copy.scan_iter(f"{prefix}:*", count=_GROUP)):
        with copy.pipeline(transaction=False) as reading, client.pipeline(transaction=False) as writing:
            names = [key for key in keys if key != meta.encode()]
            for key in names:
                reading.dump(key)
            for key, value in zip(names, reading.execute(), strict=True):
                writing.restore(key, 0, value, replace=True)
            writing.execute()
    client.delete(f"{prefix}:term")  # the server's own
    client.restore(meta, 0, copy.dump(meta) or b"", replace=True)


def _grouped(keys: Iterator[bytes]) -> Iterator[list[bytes]]:
    while found := list(islice(keys, _GROUP)):
        yield found


@contextmanager
def _served(folder: Path) -> Iterator[redis.Redis]:
    """Let a server of one's own read a snapshot."""
    with TemporaryDirectory(prefix="snapshot-") as home:  # a socket's path must be short
        shutil.copyfile(folder / SNAPSHOT, Path(home) / SNAPSHOT)
        socket = f"{home}/s"
        command = [_program("server"), "--port", "0", "--unixsocket", socket, "--dir", home]
        command += ["--dbfilename", SNAPSHOT, "--save", "", "--logfile", f"{home}/log"]
        with subprocess.Popen(command) as process, redis.Redis(unix_socket_path=socket) as client:
            try:
                is_up = wait_until(lambda: process.poll() is not None or _answers(client), _START_S)
                if not is_up or process.poll() is not None:
                    said = Path(f"{home}/log").read_text()[-1_000:]
                    raise BadInput(f"the snapshot cannot be read by this server: {said}")
                yield client
            finally:
                process.kill()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:  # also while it reads
        return False


def _login(target: Target) -> list[str]:
    with target.open() as client:
        pool: Any = client.connection_pool
        given = pool.connection_kwargs
        if "path" in given:
            words = ["-s", given["path"]]
        else:
            host, port = (
                pool.get_master_address() if target.sentinels else (given["host"], given.get("port", 6379))
            )
            words = ["-h", str(host), "-p", str(port)]
        if issubclass(target.options.get("connection_class", object), redis.SSLConnection):
            words += ["--tls", *(["--cacert", given["ssl_ca_certs"]] if given.get("ssl_ca_certs") else [])]
        for name in ("username", "password"):
            if given.get(name):
                words += [{"username": "--user", "password": "--pass"}[name], str(given[name])]
        return words


def _names(kind: str) -> tuple[str, str]:
    return f"valkey-{kind}", f"redis-{kind}"


def _program(kind: str) -> str:
    names = _names(kind)
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise BadConfig(
            f"neither {names[0]} nor {names[1]} is here: install valkey-tools or redis-tools, and the server "
            "to put a copy back; without a copy, only the log can rebuild the store"
        )
    return found


def _run(words: list[str], what: str) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=SNAPSHOT_S)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{what} within {SNAPSHOT_S:.0f} s") from error
    if done.returncode or not Path(words[-1]).exists():
        raise Unavailable(f"{what}: {(done.stderr or done.stdout)[-1_000:]}")
