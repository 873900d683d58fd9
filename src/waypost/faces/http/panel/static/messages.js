// The boxes before messages: what is chosen stays chosen when the list is fetched anew, and how
// many there are is said beside the buttons. Without scripts the form works as it is.

for (const form of document.querySelectorAll("[data-choice]")) {
  const chosen = new Set();

  const tell = () => {
    const label = form.querySelector("[data-chosen]");
    if (label) label.textContent = chosen.size ? `With the ${chosen.size} chosen:` : "With the chosen ones:";
    for (const button of form.querySelectorAll(".chosen-actions button")) button.disabled = !chosen.size;
  };
  form.addEventListener("change", (event) => {
    if (event.target.name !== "chosen") return;
    if (event.target.checked) chosen.add(event.target.value);
    else chosen.delete(event.target.value);
    tell();
  });
  form.addEventListener("refreshed", () => {
    const there = new Set();
    for (const box of form.querySelectorAll('input[name="chosen"]')) {
      there.add(box.value);
      box.checked = chosen.has(box.value);
    }
    for (const one of chosen) if (!there.has(one)) chosen.delete(one);
    tell();
  });
  for (const box of form.querySelectorAll('input[name="chosen"]:checked')) chosen.add(box.value);
  tell();
}
