// A request's answer comes by the page's event stream, which the server ends with the last pending answer. Gradio's page
// loses the answer to a request that it makes after that end and before it has read so far. So the streams are numbered
// here, the server says with each accepted request which of them ended last, and the request goes on once that end is
// read: the page then opens a new stream. See event_streams.py.
(() => {
  const load = window.fetch;
  const read = []; // for each stream, a promise that the page has read its end
  const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms)); // where a broken line swallowed the end

  window.fetch = async (asked, options) => {
    const address = new URL(asked.url ?? asked, document.baseURI);
    if (address.pathname.endsWith("/queue/data")) {
      address.searchParams.set("stream", read.length);
      const request = new Request(asked, options);
      read.push(new Promise((resolve) => request.signal.addEventListener("abort", resolve))); // how gradio closes it
      return load(new Request(address, request));
    }
    const answer = await load(asked, options);
    if (address.pathname.endsWith("/queue/join")) {
      await Promise.race([read[answer.headers.get("x-ended-stream")], later(3000)]);
    }
    return answer;
  };
})();
