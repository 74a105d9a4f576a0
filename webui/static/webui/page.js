// Small comforts: ticking times, copy buttons, steppers, keys and the palette. Pages work without.
import "./live.js";

const words = document.body.dataset;

function span(seconds) {
  if (seconds < 90) return words.seconds.replace("0", seconds);
  if (seconds < 5400) return words.minutes.replace("0", Math.round(seconds / 60));
  if (seconds < 129600) return words.hours.replace("0", Math.round(seconds / 3600));
  return words.days.replace("0", Math.round(seconds / 86400));
}

setInterval(() => {
  if (document.hidden) return;
  for (const time of document.querySelectorAll("time[datetime]")) {
    const seconds = Math.round((Date.now() - new Date(time.dateTime)) / 1000);
    const text = seconds < 0 ? words.coming.replace("0", span(-seconds)) : words.past.replace("0", span(seconds));
    if (time.textContent !== text) time.textContent = text;
  }
}, 1000);

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    await navigator.clipboard.writeText(copy.dataset.copy);
    const said = document.getElementById("announce");
    said.textContent = words.copied;
    copy.classList.add("done");
  }
  const step = event.target.closest("[data-step]");
  if (step) {
    const field = step.parentElement.querySelector("input");
    field.value = Math.max(0, Number(field.value || 0) + Number(step.dataset.step));
    field.dataset.touched = "1";
  }
  const all = event.target.closest("[data-all]");
  if (all) {
    for (const box of document.querySelectorAll(`input[name="${all.dataset.all}"]`)) box.checked = all.checked;
  }
});

const palette = document.getElementById("palette");
const field = palette?.querySelector("input");
const found = palette?.querySelector("[data-found]");
let asked = 0;

async function search() {
  const mine = ++asked;
  const answer = await fetch(`/search/?q=${encodeURIComponent(field.value)}`);
  if (!answer.ok || mine !== asked) return;
  const next = new DOMParser().parseFromString(await answer.text(), "text/html");
  found.replaceChildren(...next.getElementById("found").children);
}

function open() {
  if (!palette || palette.open) return;
  palette.showModal();
  field.value = "";
  search();
}

let timer = 0;
field?.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(search, 150);
});

palette?.addEventListener("keydown", (event) => {
  const links = [...found.querySelectorAll("a")];
  const at = links.indexOf(document.activeElement);
  if (event.key === "ArrowDown") links[Math.min(at + 1, links.length - 1)]?.focus();
  else if (event.key === "ArrowUp") (at > 0 ? links[at - 1] : field).focus();
  else if (event.key === "Enter" && document.activeElement === field) links[0]?.click();
  else return;
  event.preventDefault();
});

const PLACES = { o: "/", d: "/deployments/", n: "/nodes/", j: "/jobs/", e: "/events/" };
let went = 0;

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "k") {
    event.preventDefault();
    open();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]") || words.keys === "off") return;
  if (Date.now() - went < 1500 && PLACES[event.key]) location.href = PLACES[event.key];
  else if (event.key === "g") went = Date.now();
  else if (event.key === "/") {
    event.preventDefault();
    document.querySelector("input[type=search]")?.focus();
  } else if (event.key === "?") document.getElementById("keys")?.showModal();
  else if (event.key === "l") document.querySelector("[data-key=l]")?.click();
  else if (event.key === "s") document.querySelector("[data-key=s]")?.focus();
  else if (event.key === "j" || event.key === "k") {
    const rows = [...document.querySelectorAll("[data-list] a[data-row]")];
    const at = rows.indexOf(document.activeElement);
    rows[Math.max(0, Math.min(rows.length - 1, at + (event.key === "j" ? 1 : -1)))]?.focus();
  }
});
