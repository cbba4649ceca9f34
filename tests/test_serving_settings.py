"""The environment sets the server; with none set it suits a laptop, with SPACE_ID a Space."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from nystrom_demo.checkpoints.bundled import BOX_VARIABLE
from nystrom_demo.serving.settings import PREFIX, Settings, settings_table

HOSTING = Path(__file__).parents[1] / "docs" / "hosting.md"


def test_with_nothing_set_only_this_machine_is_served():
    settings = Settings.from_env({})
    assert settings == Settings()
    assert settings.host == "127.0.0.1" and settings.loopback_only and settings.hub and not settings.frame_ancestors


def test_a_space_is_served_to_all_and_framed_by_spaces_only_and_loads_nothing_from_the_hub():
    settings = Settings.from_env({"SPACE_ID": "someone/demo", "SPACE_HOST": "someone-demo.hf.space"})
    assert (settings.host, settings.port, settings.proxy_hops) == ("0.0.0.0", 7860, 1)
    assert settings.frame_ancestors == ("https://huggingface.co", "https://someone-demo.hf.space")
    assert settings.origins == ("https://someone-demo.hf.space",)
    assert settings.space and not settings.hub and not settings.loopback_only


@pytest.mark.parametrize("public", [{"HOST": "0.0.0.0"}, {"PROXY_HOPS": "1"}, {"ORIGINS": "https://a.example"}])
def test_visitors_from_elsewhere_load_from_the_hub_only_where_the_host_says_so(public):
    environment = {PREFIX + name: text for name, text in public.items()}
    assert not Settings.from_env(environment).hub
    assert Settings.from_env(environment | {"NYSTROM_DEMO_HUB": "on"}).hub


def test_each_field_has_its_variable():
    environment = {
        "PORT": "7913", "HOST": "0.0.0.0", "DEVICE": "cpu", "THREADS": "3", "WORKERS": "5", "QUEUE": "70",
        "QUEUE_PER_CLIENT": "7", "QUEUE_PER_SESSION": "2", "MEMORY_GB": "1.5", "TEXT_CHARS": "130", "TEXT_TOKENS": "11",
        "BODY_KB": "13", "SESSIONS": "17", "STREAMS": "19", "STREAMS_PER_CLIENT": "9", "PROXY_HOPS": "2", "HUB": "off",
        "ORIGINS": "https://a.example, http://b.example:8080/", "FRAME_ANCESTORS": "https://c.example", "MCP": "yes",
        "CHECKPOINT_ROOT": ".", "REQUEST_SECONDS": "7.5", "DEADLINE_SECONDS": "90", "METRICS": "on", "PICKLES": "on",
        "ROOT_PATH": "/a", "UNREAD_MB": "3", "CONNECTIONS": "23", "CONNECTIONS_PER_CLIENT": "21",
    }  # fmt: skip
    assert set(environment) == {field.name.upper() for field in fields(Settings)} - {"SPACE"}
    settings = Settings.from_env({PREFIX + name: text for name, text in environment.items()})
    assert (settings.port, settings.workers, settings.memory_gb, settings.queue_per_client) == (7913, 5, 1.5, 7)
    assert settings.origins == ("https://a.example", "http://b.example:8080")
    assert settings.hub is False and settings.mcp is True


def test_one_clients_part_of_the_queue_is_never_more_than_the_queue():
    assert Settings.from_env({"NYSTROM_DEMO_QUEUE": "5"}).queue_per_client == 5


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("PORT", "http", "NYSTROM_DEMO_PORT must be a whole number from 1 to 65535, got 'http'"),
        ("PORT", "0", "must be a whole number from 1 to 65535"),
        ("WORKERS", "2.5", "NYSTROM_DEMO_WORKERS must be a whole number"),
        ("MEMORY_GB", "nan", "NYSTROM_DEMO_MEMORY_GB must be a number from 0 to 65536, got 'nan'"),
        ("HUB", "maybe", "NYSTROM_DEMO_HUB must be on or off, got 'maybe'"),
        ("DEVICE", "tpu", "NYSTROM_DEMO_DEVICE must be one of auto, cpu, cuda, mps"),
        ("DEVICE", "auto:1", "NYSTROM_DEMO_DEVICE must be one of auto, cpu, cuda, mps, or as cuda:1, got 'auto:1'"),
        ("DEVICE", "cuda:first", "NYSTROM_DEMO_DEVICE must be one of auto, cpu, cuda, mps, or as cuda:1"),
        ("CHECKPOINT_ROOT", "/no/such", "NYSTROM_DEMO_CHECKPOINT_ROOT must be a folder, got '/no/such'"),
        ("WORKER", "7", "NYSTROM_DEMO_WORKER is no setting. Settings are NYSTROM_DEMO_BODY_KB, "),
        ("ORIGINS", "example.org", "NYSTROM_DEMO_ORIGINS must list origins such as https://example.org"),
        (
            "HOST",
            "http://a",
            "NYSTROM_DEMO_HOST must be a host name or an address such as 0.0.0.0 or ::1, got 'http://a'",
        ),
        ("ROOT_PATH", "/a/../b", "NYSTROM_DEMO_ROOT_PATH must be a path such as /attention, got '/a/../b'"),
        ("FRAME_ANCESTORS", "https://a;script-src", "NYSTROM_DEMO_FRAME_ANCESTORS must list origins"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(name, text, words):
    with pytest.raises(ValueError, match=words):
        Settings.from_env({PREFIX + name: text})


def test_every_field_is_explained():
    explained = re.findall(r"^\| `(NYSTROM_DEMO_\w+)` \| .+ \| .+ \|$", settings_table(), re.M)
    wanted = {PREFIX + field.name.upper() for field in fields(Settings)} - {"NYSTROM_DEMO_SPACE"}
    assert sorted(explained) == sorted(wanted | {BOX_VARIABLE})


def test_the_page_on_hosting_has_the_table_as_the_settings_make_it():
    assert settings_table() in HOSTING.read_text()


@pytest.mark.parametrize(
    ("name", "host"), [("0.0.0.0", "0.0.0.0"), ("[::1]", "::1"), ("box", "box"), ("", "127.0.0.1")]
)
def test_gradios_own_variable_says_where_to_listen_unless_ours_does(name, host):
    assert Settings.from_env({"GRADIO_SERVER_NAME": name}).host == host
    assert Settings.from_env({"GRADIO_SERVER_NAME": name, "NYSTROM_DEMO_HOST": "10.0.0.1"}).host == "10.0.0.1"


@pytest.mark.parametrize(("text", "path"), [("/a", "/a"), ("a/b/", "/a/b"), ("/", "")])
def test_the_path_of_a_proxy_begins_with_a_slash_and_ends_without(text, path):
    assert Settings.from_env({"NYSTROM_DEMO_ROOT_PATH": text}).root_path == path
