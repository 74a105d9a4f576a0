// Small comforts: ticking times, copy buttons, steppers, keys and the palette. Pages work without.
import "./live.js";

const words = document.body.dataset;

function span(seconds) {
  if (seconds < 90) return words.seconds.replace("0", seconds);
  if (seconds < 5400) return words.minutes.replace("0", Math.round(seconds / 60));
  if (seconds < 129600) return words.hours.replace("0", Math.round(seconds / 3600));
  return words.days.replace("0", Math.round(seconds / 86400));
}

// The server's clock is the one that counts; a page out of the browser's store tells an old time.
const visit = performance.getEntriesByType("navigation")[0];
const isFresh = visit?.transferSize !== 0;
// When its first byte came, not when this runs: a slow page would show what was as still to come.
const came = performance.timeOrigin + (visit?.responseStart || performance.now());
const ahead = isFresh ? came - new Date(words.now) : 0;

function told(time) {
  const seconds = Math.round((Date.now() - ahead - new Date(time.dateTime)) / 1000);
  if (time.dataset.count) return span(Math.max(0, time.dataset.count === "down" ? -seconds : seconds));
  return seconds < 0 ? words.coming.replace("0", span(-seconds)) : words.past.replace("0", span(seconds));
}

setInterval(() => {
  if (document.hidden) return;
  for (const time of document.querySelectorAll("time[datetime]")) {
    const text = told(time);
    if (time.textContent !== text) time.textContent = text;
  }
}, 1000);

document.addEventListener("click", (event) => {
  const copy = event.target.closest("button[data-copy]");
  if (copy) copyFrom(copy);
  const step = event.target.closest("[data-step]");
  if (step) {
    const field = step.parentElement.querySelector("input");
    field.value = Math.max(0, Number(field.value || 0) + Number(step.dataset.step));
    field.dataset.touched = "1";
  }
  event.target.closest("[data-close]")?.closest(".notice").remove();
});

async function copyFrom(button) {
  const text = button.dataset.copy;
  // A page over plain http has no navigator.clipboard.
  const isCopied = navigator.clipboard
    ? await navigator.clipboard.writeText(text).then(() => true, () => false)
    : copySelected(text);
  if (!isCopied) {
    prompt(words.copy, text);
    return;
  }
  document.getElementById("announce").textContent = words.copied;
  button.dataset.done = words.copied;
}

function copySelected(text) {
  const before = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "vh";
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  before?.focus();
  return isCopied;
}

// "Tick all" ticks as a person would, and says whether all are ticked.
const boxes = (all) => [...document.querySelectorAll(`input[name="${all.dataset.all}"]`)];

document.addEventListener("change", (event) => {
  const all = event.target.closest("[data-all]");
  if (all) {
    for (const box of boxes(all)) {
      box.checked = all.checked;
      box.dataset.touched = "1";
    }
  }
  countTicks();
});

function countTicks() {
  for (const all of document.querySelectorAll("[data-all]")) {
    const found = boxes(all);
    all.checked = found.length > 0 && found.every((box) => box.checked);
  }
}

document.addEventListener("kijabi:adopted", countTicks);

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
  const isTyping = event.target.closest("input, textarea, select, [contenteditable], dialog");
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping || words.keys === "off") return;
  // Else the letter would be typed into the field that it brings the focus to.
  if (press(event.key)) event.preventDefault();
});

// Do what a single key stands for; return whether it stands for anything.
function press(key) {
  if (Date.now() - went < 1500 && PLACES[key]) location.href = PLACES[key];
  else if (key === "g") went = Date.now();
  else if (key === "/") document.querySelector("input[type=search]")?.focus();
  else if (key === "?") document.getElementById("keys")?.showModal();
  else if (key === "l" || key === "f") document.querySelector(`[data-key=${key}]`)?.click();
  else if (key === "s") document.querySelector("[data-key=s]")?.focus();
  else if (key === "j" || key === "k") {
    const rows = [...document.querySelectorAll("[data-list] a[data-row]")];
    const at = rows.indexOf(document.activeElement);
    rows[Math.max(0, Math.min(rows.length - 1, at + (key === "j" ? 1 : -1)))]?.focus();
  } else return false;
  return true;
}
