"""Ports: chosen apart, and refused in words before anything starts."""

import socket

import pytest

from fraud.errors import BadConfig
from fraud.local.ports import check_ports, choose_ports, is_free

HOST = "127.0.0.1"


@pytest.mark.parametrize("address", [HOST, "0.0.0.0"])  # noqa: S104  a stranger may listen anywhere
def test_a_busy_port_is_named_with_what_wants_it_and_its_setting(address):
    with socket.create_server((address, 0)) as other:
        port = other.getsockname()[1]
        assert not is_free(HOST, port)
        with pytest.raises(
            BadConfig, match=rf"port {port}, which mlflow wants, is in use .* set FRAUD_LOCAL_X"
        ):
            check_ports(HOST, [("mlflow", port, "FRAUD_LOCAL_X")])
    assert is_free(HOST, port)


def test_a_port_wanted_twice_is_refused():
    port = choose_ports(HOST, {"a": 0})["a"]
    with pytest.raises(BadConfig, match=f"port {port} is wanted by a and by b; set B_PORT"):
        check_ports(HOST, [("a", port, "A_PORT"), ("b", port, "B_PORT")])


def test_a_port_that_may_not_be_used_is_refused():
    with pytest.raises(BadConfig, match="cannot be used"):  # no address of this machine
        check_ports("203.0.113.1", [("a", 12345, "A_PORT")])


def test_chosen_ports_are_free_and_differ_and_fixed_ones_stay():
    chosen = choose_ports(HOST, {"a": 0, "b": 7, "c": 0})
    assert chosen["b"] == 7
    assert len(set(chosen.values())) == 3
    assert all(is_free(HOST, chosen[name]) for name in "ac")
