// Parts of a page that are fetched anew every few seconds: <section data-live="/url" data-seconds="5">.
// Only while the page is seen, one request at a time, and never under somebody's hands.

import { localTimes } from "./times.js";

const LONGEST = 60;

export function keepLive(root) {
  for (const part of root.querySelectorAll("[data-live]")) keep(part);
}

function keep(part) {
  const every = Math.max(2, Number(part.dataset.seconds) || 5);
  let wait = every;
  let timer = 0;
  let note = null;

  const later = () => {
    clearTimeout(timer);
    // What the server is still counting is there soon.
    const soon = wait === every && part.querySelector("[data-soon]") ? 1 : wait;
    if (!document.hidden) timer = setTimeout(refresh, soon * 1000);
  };
  async function refresh() {
    try {
      const answer = await fetch(part.dataset.live, { headers: { "X-Fragment": "1" }, redirect: "error" });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const text = await answer.text();
      const busy = part.contains(document.activeElement) || part.matches(":has(dialog[open])") ||
        !(getSelection()?.isCollapsed ?? true) && part.contains(getSelection().anchorNode);
      if (!busy) replace(part, text);
      note?.remove();
      note = null;
      wait = every;
    } catch {
      // The relay restarts, or the session has ended: ask less and less often.
      if (!note) part.before(note = stale());
      wait = Math.min(LONGEST, wait * 2);
    }
    later();
  }
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden) refresh();
  });
  later();
}

function stale() {
  const note = document.createElement("p");
  note.className = "notice wait";
  note.setAttribute("role", "status");
  note.textContent = "What is shown is of before: the relay does not answer, or you are no longer logged in.";
  return note;
}

function replace(part, text) {
  const made = new DOMParser().parseFromString(text, "text/html");
  localTimes(made);
  const open = [...part.querySelectorAll("details")].map((one) => one.open);
  part.replaceChildren(...made.body.childNodes);
  part.querySelectorAll("details").forEach((one, place) => { one.open = open[place] ?? one.open; });
  part.dispatchEvent(new CustomEvent("refreshed", { bubbles: true }));
}
