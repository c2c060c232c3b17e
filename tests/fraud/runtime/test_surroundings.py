"""The environment of our programs: no proxy between them, and names of files in any alphabet."""

import os
import subprocess
import sys

import httpx
import pytest
import requests.utils

from fraud.local.parts import _inherited
from fraud.model.client import ModelClient, ModelClientSettings
from fraud.runtime.surroundings import settle

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture
def proxied(monkeypatch):
    for name in PROXIES:
        monkeypatch.setenv(name, "socks5://127.0.0.1:9" if "all" in name.lower() else "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "intern.example")


@pytest.mark.usefixtures("proxied")
def test_a_part_calls_loopback_directly_and_all_else_through_the_proxy(monkeypatch):
    environment = _inherited()
    assert environment["http_proxy"] == "http://127.0.0.1:9"
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, environment[name])
    for host in ("127.0.0.1:5000", "localhost:1", "intern.example"):
        assert not requests.utils.get_environ_proxies(f"http://{host}/")
    assert requests.utils.get_environ_proxies("https://repo.example/jars")["https"] == "http://127.0.0.1:9"


@pytest.mark.usefixtures("proxied")
def test_the_client_of_the_model_server_asks_no_proxy():
    with ModelClient(ModelClientSettings(url="http://127.0.0.1:1")) as client:
        assert isinstance(client._http, httpx.Client)
        assert client._http._mounts == {}


@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"LANG": "POSIX"}, {}])
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Java always has UTF-8")
def test_names_of_files_have_all_characters_in_any_locale(locale):
    environment = dict(locale)
    settle(environment)
    assert environment["LC_ALL"] == "C.UTF-8"


def test_a_locale_of_unicode_stays():
    environment = {"LANG": "de_DE.utf8"}
    settle(environment)
    assert "LC_ALL" not in environment


def test_a_command_settles_its_own_environment():
    code = (
        "import os\nfrom fraud.cli import app\ntry: app(['--help'])\nfinally: print(os.environ['no_proxy'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "no_proxy": "a"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split()[-1] == "a,127.0.0.1,localhost,::1"
