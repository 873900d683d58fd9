// Times are written in UTC by the server; here they become those of the reader's own zone.

const two = (number) => String(number).padStart(2, "0");

export function localTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    element.dataset.local = "";
    if (element.classList.contains("relative")) continue;
    const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    const minute = `${two(at.getHours())}:${two(at.getMinutes())}`;
    const second = `${minute}:${two(at.getSeconds())}`;
    const shown = element.textContent.trim();
    if (/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(shown)) element.textContent = `${day} ${second}`;
    else if (/^\d{4}-\d\d-\d\d \d\d:\d\d$/.test(shown)) element.textContent = `${day} ${minute}`;
    else if (/^\d\d:\d\d:\d\d$/.test(shown)) element.textContent = second;
    else if (/^\d\d:\d\d$/.test(shown)) element.textContent = minute;
  }
}
