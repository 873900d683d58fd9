// Tests of connections in a dialog over the page: each step is shown when it is done. Closing it ends
// the test. Without scripts the same form opens a page that grows.

import { localTimes } from "./times.js";

document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-test]")) return;
  event.preventDefault();
  run(event.target);
});

async function run(form) {
  const dialog = opened(form.elements.route.value);
  const steps = dialog.querySelector("ol");
  const state = dialog.querySelector("[data-state]");
  const ending = new AbortController();
  dialog.addEventListener("close", () => { ending.abort(); dialog.remove(); });
  try {
    const answer = await fetch(form.action, {
      method: "POST", body: new URLSearchParams(new FormData(form)), signal: ending.signal,
      headers: { Accept: "application/x-ndjson" },
    });
    if (!answer.ok) throw new Error(`the relay answered ${answer.status}; load the page again`);
    for await (const line of lines(answer.body)) {
      const part = new DOMParser().parseFromString(`<ol>${JSON.parse(line)}</ol>`, "text/html");
      localTimes(part);
      steps.append(...part.querySelector("ol").children);
      steps.lastElementChild.scrollIntoView({ block: "nearest" });
    }
    state.remove();
  } catch (fault) {
    if (!ending.signal.aborted) state.textContent = `The test has ended early: ${fault.message}`;
  }
}

function opened(route) {
  const dialog = document.createElement("dialog");
  dialog.className = "test";
  dialog.dataset.result = "";
  const title = document.createElement("h2");
  title.id = "test-title";
  title.textContent = `Test of route ${route}`;
  dialog.setAttribute("aria-labelledby", title.id);
  const steps = document.createElement("ol");
  steps.className = "steps";
  const state = document.createElement("p");
  state.className = "muted";
  state.dataset.state = "";
  state.setAttribute("role", "status");
  state.textContent = "Under way …";
  const close = document.createElement("form");
  close.method = "dialog";
  const button = document.createElement("button");
  button.textContent = "Close";
  close.append(button);
  dialog.append(title, steps, state, close);
  document.querySelector("main").append(dialog);
  dialog.showModal();
  return dialog;
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    yield* parts.filter(Boolean);
  }
  if (rest) yield rest;
}
