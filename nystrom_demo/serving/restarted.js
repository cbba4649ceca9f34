// Says on a page left open that the server has restarted, or no longer answers. Gradio itself tells only a page that
// was waiting for an answer.
(() => {
  const EVERY_MS = 15000;
  // The page's own address as gradio has it: behind a sub-path the document's may end without a slash.
  const root = window.gradio_config?.root ?? document.baseURI;
  const address = new URL("gradio_api/app_id", root.replace(/\/?$/, "/"));
  let first = null; // the server's id when the page opened; each start draws a new one
  let misses = 0;

  function say(text, withReload) {
    const old = document.getElementById("server-note");
    if (old?.firstChild.textContent === text) return;
    old?.remove();
    if (!text) return;
    const note = document.createElement("div");
    note.id = "server-note";
    note.setAttribute("role", "alert");
    note.append(Object.assign(document.createElement("span"), { textContent: text }));
    if (withReload) {
      const button = Object.assign(document.createElement("button"), { textContent: "Reload the page" });
      button.addEventListener("click", () => location.reload());
      note.append(button);
    }
    document.body.append(note);
  }

  async function look() {
    if (document.visibilityState !== "visible") return;
    let id = null;
    try {
      const answer = await fetch(address, { cache: "no-store" });
      if (answer.ok) id = await answer.text();
    } catch {
      // A server that is gone: counted as a miss below.
    }
    misses = id === null ? misses + 1 : 0;
    first ??= id;
    if (misses > 1) say("The server does not answer.", false);
    else if (id !== null && id !== first) say("The server has restarted since this page was opened.", true);
    else if (id !== null) say("", false);
  }

  look();
  setInterval(look, EVERY_MS);
  document.addEventListener("visibilitychange", look);
  window.addEventListener("online", look);
})();
