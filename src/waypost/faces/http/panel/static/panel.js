// What every page has where scripts run: keys, times of the reader's own zone, copy buttons, and
// parts that are fetched anew while the page is seen. Pages work without it.

import { localTimes } from "./times.js";
import { listenToKeys } from "./keys.js";
import { keepLive } from "./live.js";

localTimes(document);
listenToKeys(document);
keepLive(document);

for (const block of document.querySelectorAll(".copy")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "small";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(block.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  if (navigator.clipboard) block.append(button);
}

document.querySelector('.places [aria-current="page"]')?.scrollIntoView({ block: "nearest", inline: "center" });
