// Tests of connections in the page: each step is shown when it is done. Without scripts the same form
// opens a page that grows.

import { localTimes } from "./times.js";

const result = document.querySelector("[data-result]");

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!result || !form.matches("[data-test]")) return;
  event.preventDefault();
  const buttons = [...document.querySelectorAll("[data-test] button")];
  buttons.forEach((button) => { button.disabled = true; });
  const name = form.elements.route.value;
  const steps = document.createElement("ol");
  steps.className = "steps";
  const title = document.createElement("h3");
  title.textContent = `Test of ${name}`;
  const busy = document.createElement("p");
  busy.className = "muted";
  busy.textContent = "Under way …";
  result.replaceChildren(title, steps, busy);
  result.scrollIntoView({ block: "nearest" });
  try {
    const answer = await fetch(form.action, {
      method: "POST", body: new URLSearchParams(new FormData(form)), headers: { Accept: "application/x-ndjson" },
    });
    if (!answer.ok) throw new Error(`the relay answered ${answer.status}; load the page again`);
    for await (const line of lines(answer.body)) {
      const part = new DOMParser().parseFromString(`<ol>${JSON.parse(line)}</ol>`, "text/html");
      localTimes(part);
      steps.append(...part.querySelector("ol").children);
      busy.scrollIntoView({ block: "nearest" });
    }
    busy.remove();
  } catch (fault) {
    busy.textContent = `The test has ended early: ${fault.message}`;
  } finally {
    document.querySelectorAll("[data-test] button").forEach((button) => { button.disabled = false; });
  }
});

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
