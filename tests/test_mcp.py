"""The named endpoints as MCP tools, called over HTTP by the protocol's own client, where the host turned them on."""

import asyncio
import importlib.util
from ast import literal_eval

import pytest
from browser import serving

from nystrom_demo import tasks
from nystrom_demo.errors import UserError
from nystrom_demo.serving.launch import start
from nystrom_demo.serving.settings import Settings
from nystrom_demo.ui.page import build_app

TEXT = "john smith went to paris and saw the river"
NAMES = {"fill_mask", "classify", "tag", "answer", "choose", "compare_attention", "time_attention"}

needs_mcp = pytest.mark.skipif(importlib.util.find_spec("mcp") is None, reason="pip install 'gradio[mcp]' brings mcp")


@pytest.mark.skipif(importlib.util.find_spec("mcp") is not None, reason="mcp is installed")
def test_without_the_package_the_server_does_not_start_and_says_what_it_lacks():
    with pytest.raises(UserError, match=r"NYSTROM_DEMO_MCP needs the package mcp; pip install 'gradio\[mcp\]'"):
        start(None, Settings(mcp=True), ready_check=lambda: None)


@pytest.fixture(scope="module")
def url(tiny_checkpoints):
    with serving(build_app(tiny_checkpoints), Settings(mcp=True)) as demo:
        yield demo.local_url.rstrip("/")


def ask(url, work):
    """What `work(session)` gives with an open MCP session."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def run():
        address = f"{url}/gradio_api/mcp/"
        async with streamable_http_client(address) as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            return await work(session)

    return asyncio.run(run())


@needs_mcp
def test_a_model_finds_the_seven_tools_and_what_each_argument_means(url):
    tools = {tool.name: tool for tool in ask(url, lambda session: session.list_tools()).tools}
    assert set(tools) == NAMES
    for tool in tools.values():
        assert len(tool.description) > 30
        for name, argument in tool.inputSchema["properties"].items():
            assert argument.get("description"), f"{tool.name} does not say what {name} is"
    assert tools["classify"].description.startswith("How likely each label")
    assert "0 for exact attention" in tools["classify"].inputSchema["properties"]["num_landmarks"]["description"]


@needs_mcp
def test_a_tool_gives_the_packages_own_answer(url, tiny_checkpoints):
    result = ask(url, lambda session: session.call_tool("classify", {"text": TEXT, "num_landmarks": 0}))
    wanted = tasks.classify(tiny_checkpoints["sequence-classification"], TEXT).probabilities
    assert not result.isError and literal_eval(result.content[0].text) == pytest.approx(wanted)


@needs_mcp
def test_a_tool_refuses_in_the_endpoints_own_sentence(url):
    result = ask(url, lambda session: session.call_tool("classify", {"text": " ", "num_landmarks": 0}))
    assert result.isError and "text must not be empty" in result.content[0].text
