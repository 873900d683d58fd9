// The log that grows: rows come over one stream of server-sent events and go to the top of the table.

import { localTimes } from "./times.js";

const MOST = 500;
const part = document.querySelector("[data-stream]");
const body = part?.querySelector("tbody");
const state = document.querySelector("[data-live-state]");
const button = document.querySelector("[data-pause]");

let paused = false;
let waiting = [];

function show(name, text) {
  state.dataset.state = name;
  state.textContent = text;
}

function add(html) {
  const made = new DOMParser().parseFromString(`<table><tbody>${html}</tbody></table>`, "text/html");
  localTimes(made);
  const there = new Set([...body.rows].map((row) => row.dataset.event));
  const rows = [...made.querySelectorAll("tr")].filter((row) => !there.has(row.dataset.event ?? ""));
  rows.forEach((row) => row.classList.add("fresh"));
  body.prepend(...rows);
  while (body.rows.length > MOST) body.rows[body.rows.length - 1].remove();
  document.querySelector("[data-empty]")?.remove();
}

if (body) {
  button.hidden = false;
  const source = new EventSource(part.dataset.stream);
  source.addEventListener("open", () => { if (!paused) show("on", "live"); });
  source.addEventListener("error", () => show("off", "connecting again …"));
  source.addEventListener("rows", (event) => {
    const html = JSON.parse(event.data);
    if (!paused) return add(html);
    waiting.push(html);
    if (waiting.length > 100) waiting.shift();
    show("paused", `paused, ${waiting.length} updates wait`);
  });
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    button.textContent = paused ? "Go on" : "Pause";
    if (paused) return show("paused", "paused");
    waiting.forEach(add);
    waiting = [];
    show("on", "live");
  });
  addEventListener("pagehide", () => source.close());
}
