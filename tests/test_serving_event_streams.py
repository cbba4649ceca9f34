"""A page that asks while it has yet to read the end of its event stream gets its answer all the same."""

import pytest
from browser import TIMEOUT_MS
from test_serving_http import Server
from waiting import wait_until

from nystrom_demo.serving.event_streams import EndedStreams

END = b'data: {"msg":"close_stream","event_id":null}\n\n'
# The page's streams reach it only once `release` is called, as on a line that is still busy with a long answer.
SLOW_LINE = """
const load = window.fetch, released = new Promise((resolve) => (window.release = resolve));
window.fetch = async (asked, options) => {
  const answer = await load(asked, options);
  if (!String(asked.url ?? asked).includes("/queue/data")) return answer;
  const held = new TransformStream({ transform: (chunk, to) => released.then(() => to.enqueue(chunk)) });
  return new Response(answer.body.pipeThrough(held), answer);
};
"""


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.close()


def test_only_the_end_of_a_numbered_stream_is_noted():
    ended = EndedStreams()
    ended.note({"session_hash": "a", "stream": "0"}, b'data: {"msg":"process_completed"}\n\n')
    ended.note({"session_hash": "b"}, END)  # a program's, not a page's
    ended.note({"session_hash": "c", "stream": "x"}, END)
    assert [ended.headers(session) for session in "abc"] == [[], [], []]
    ended.note({"session_hash": "a", "stream": "0"}, END)
    ended.note({"session_hash": "a", "stream": "1"}, END)
    assert ended.headers("a") == [(b"x-ended-stream", b"1")]


def test_the_pages_whose_streams_ended_longest_ago_are_forgotten():
    ended = EndedStreams(pages=2)
    for session in "abac":
        ended.note({"session_hash": session, "stream": "0"}, END)
    assert [bool(ended.headers(session)) for session in "abc"] == [True, False, True]


def test_what_accepts_a_request_names_the_stream_that_ended_last(server):
    def ask():
        return server.join("echo", ["one", "words", 5, True], session="page").headers.get("x-ended-stream")

    def read(number):
        query = {"session_hash": "page", "stream": number}
        return server.http.get("/gradio_api/queue/data", params=query).text

    told = []
    for number in range(3):
        told.append(ask())
        assert END.decode() in read(number)
    assert told == [None, "0", "1"]


@pytest.mark.browser
def test_a_request_made_before_the_page_has_read_its_streams_end_is_answered(server, chromium):
    page = chromium.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.add_init_script(SLOW_LINE)
    try:
        page.goto(server.url)
        with page.expect_response("**/queue/join?*"):
            page.click("#go")
        pending = server.demo._queue.pending_event_ids_session
        wait_until(lambda: not any(list(pending.values())))  # the server has answered, and ended the stream
        with page.expect_response("**/queue/join?*"):
            page.click("#sweep")
        page.evaluate("release()")
        page.wait_for_function("document.querySelector('#answer textarea').value.startsWith('step')")
    finally:
        page.close()
