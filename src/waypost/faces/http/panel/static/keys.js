// Single keys: g and a letter goes to a page, / searches, ? shows them all, j and k walk a list.
// They can be turned off (WCAG 2.1.4), and never act while somebody writes.

const OFF = "waypost-keys-off";

export function listenToKeys(root) {
  const dialog = root.getElementById("keys");
  if (!dialog) return;
  const places = new Map();
  for (const link of root.querySelectorAll("[data-key]")) places.set(link.dataset.key, link.href);
  const isOff = () => localStorage.getItem(OFF) === "1";
  const opener = root.querySelector("[data-keys]");
  opener.hidden = false;
  opener.addEventListener("click", () => dialog.showModal());
  const box = dialog.querySelector("[data-keys-off]");
  box.checked = isOff();
  box.addEventListener("change", () => localStorage.setItem(OFF, box.checked ? "1" : "0"));

  let went = 0;
  root.addEventListener("keydown", (event) => {
    const writes = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key === "Escape" && writes && !dialog.open) writes.blur();
    if (writes || dialog.open || isOff() || event.ctrlKey || event.metaKey || event.altKey) return;
    const now = performance.now();
    if (now - went < 1500 && places.has(event.key)) {
      went = 0;
      event.preventDefault();
      location.assign(places.get(event.key));
      return;
    }
    went = 0;
    if (event.key === "g") went = now;
    else if (event.key === "?") dialog.showModal();
    else if (event.key === "/") search(root, event, places);
    else if (event.key === "j" || event.key === "k") walk(root, event);
  });
}

function search(root, event, places) {
  const field = root.querySelector("[data-search], input[type=search]");
  event.preventDefault();
  if (field) {
    field.focus();
    field.select();
  } else if (places.has("m")) location.assign(places.get("m"));
}

// To the first link or button of the next row.
function walk(root, event) {
  const rows = [...root.querySelectorAll("main tbody tr")].filter((row) => row.querySelector("a, button"));
  if (!rows.length) return;
  event.preventDefault();
  const here = rows.findIndex((row) => row.contains(root.activeElement));
  const step = event.key === "j" ? 1 : -1;
  const next = here < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, here + step));
  const target = rows[next].querySelector("a, button");
  target.focus();
  target.scrollIntoView({ block: "nearest" });
}
