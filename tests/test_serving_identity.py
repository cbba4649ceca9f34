"""Who sends a request is read in one way, whatever the headers and the address look like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nystrom_demo.errors import UserError
from nystrom_demo.serving.identity import client_address, client_of, hostname, is_foreign, parameters

ADDRESSES = st.ip_addresses(v=4).map(str)
LINES = st.lists(
    st.lists(st.one_of(ADDRESSES, st.sampled_from(["", " ", "unknown", "1.2.3.4:80"])), max_size=4), max_size=4
)


def asked(*headers, peer="10.0.0.1", query=b""):
    return {
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "client": peer and (peer, 1234),
        "query_string": query,
    }


def forwarded(*lines, peer="10.0.0.1"):
    return asked(*(("x-forwarded-for", line) for line in lines), peer=peer)


def test_the_clients_address_is_what_our_own_proxies_appended():
    scope = forwarded("6.6.6.6, 1.2.3.4, 10.0.0.7")
    assert client_address(scope, 0) == "10.0.0.1"
    assert client_address(scope, 1) == "10.0.0.7"
    assert client_address(scope, 2) == "1.2.3.4"
    assert client_address(asked(), 2) == "10.0.0.1"
    assert client_address(asked(peer=None), 0) == "unknown"


@given(LINES, st.integers(0, 3))
def test_lines_of_a_header_are_one_list(lines, hops):
    split = forwarded(*(", ".join(line) for line in lines))
    joined = forwarded(", ".join(", ".join(line) for line in lines))
    assert client_address(split, hops) == client_address(joined, hops)


@given(LINES, ADDRESSES)
def test_what_a_client_claims_does_not_count_where_a_proxy_appends(lines, address):
    claimed = [", ".join(line) for line in lines]
    assert client_address(forwarded(*claimed, address), 1) == address
    assert client_address(forwarded(", ".join([*claimed, address])), 1) == address


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=90), max_size=3), st.integers(0, 2))
def test_whatever_a_proxy_writes_there_is_an_address_of_bounded_length(lines, hops):
    address = client_address(forwarded(*lines), hops)
    assert 0 < len(address) <= 64


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_an_address_of_ipv6_counts_as_its_network(address, host):
    network = int(address) >> 64 << 64
    same = type(address)(network | host)
    if not (address.ipv4_mapped or address.is_loopback or same.ipv4_mapped or same.is_loopback):
        assert client_address(asked(peer=str(address)), 0) == client_address(asked(peer=str(same)), 0)


@pytest.mark.parametrize(
    ("written", "client"),
    [("1.2.3.4:567", "1.2.3.4"), ("[::1]:80", "::1"), ("::ffff:1.2.3.4", "1.2.3.4"), ("2001:db8::7", "2001:db8::/64"),
     ("[", "["), ("_hidden", "_hidden"), ("[2001:db8::7]", "2001:db8::/64")],
)  # fmt: skip
def test_an_address_is_the_same_however_it_is_written(written, client):
    assert client_address(forwarded(written), 1) == client


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=5))
def test_parameters_are_read_as_they_were_written(values):
    from urllib.parse import urlencode

    assert parameters(asked(query=urlencode(values).encode())) == values


@pytest.mark.parametrize("query", [b"a=1&a=2", b"a=&a=", b"session_hash=x&b=1&session%5Fhash=y"])
def test_a_parameter_that_comes_twice_is_refused(query):
    with pytest.raises(UserError, match="may come once"):
        parameters(asked(query=query))


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ([("host", "a:1")], False),
        ([("host", "a:1"), ("origin", "http://a:1")], False),
        ([("host", "A:1"), ("origin", "http://a:1")], False),
        ([("host", "a:1"), ("origin", "https://b.example")], False),  # allowed below
        ([("host", "a:1"), ("origin", "http://a:2")], True),
        ([("host", "a:1"), ("origin", "http://[")], True),
        ([("host", "["), ("origin", "http://[")], True),
        ([("host", ""), ("origin", "")], True),
        ([("host", "a:1"), ("origin", "null")], True),
        ([("host", "a:1"), ("origin", "http://a:1"), ("origin", "http://evil")], True),
        ([("host", "a:1"), ("host", "evil"), ("origin", "http://evil")], True),
    ],
)
def test_a_page_of_another_origin_is_foreign(headers, foreign):
    assert is_foreign(asked(*headers), ("https://b.example",)) is foreign


@given(st.text(st.characters(max_codepoint=255), max_size=30), st.text(st.characters(max_codepoint=255), max_size=30))
def test_no_origin_and_no_host_is_too_odd_to_be_read(origin, host):
    scope = asked(("origin", origin), ("host", host))
    assert isinstance(is_foreign(scope, ()), bool) and isinstance(hostname(scope), str)


def test_two_hosts_are_none():
    assert hostname(asked(("host", "localhost"))) == "localhost" and hostname(asked(("host", "[::1]:80"))) == "::1"
    assert hostname(asked(("host", "localhost"), ("host", "localhost"))) == ""


def test_a_request_that_did_not_come_through_the_guard_is_of_no_known_client():
    assert client_of(None) == "unknown"
