// Keep the page current: one stream per tab says what changed, the page reads itself and morphs.
import { isHeld, morph } from "./morph.js";

const pill = document.getElementById("live");
const announcer = document.getElementById("announce");
const topics = (document.body.dataset.topics || "").split(" ").filter(Boolean);
let stream = null;
let reading = false;
let again = false;
let cost = 0;
let latest = Date.now();
let lostAt = 0;
let announced = announcer.textContent.trim();
let leaving = 0;

export async function refresh() {
  if (reading) {
    again = true;
    return;
  }
  reading = true;
  const began = performance.now();
  try {
    await read();
  } catch {
    lost();
  }
  cost = performance.now() - began;
  reading = false;
  if (again) {
    again = false;
    setTimeout(refresh, Math.min(2000, cost * 2));
  }
}

async function read() {
  const answer = await fetch(location.href, { headers: { "X-Kijabi-Live": "1" } });
  if (answer.redirected && new URL(answer.url).pathname.startsWith("/login/")) {
    location.reload();
    return;
  }
  const gone = document.getElementById("gone");
  if (answer.status === 404 && gone) gone.hidden = false;
  else if (!answer.ok) lost();
  else {
    if (gone) gone.hidden = true;
    adopt(await answer.text());
    if (stream?.readyState === EventSource.OPEN) back();
  }
}

export function adopt(html) {
  const next = new DOMParser().parseFromString(html, "text/html");
  document.title = next.title;
  for (const region of document.querySelectorAll("[data-live]")) {
    const wanted = next.getElementById(region.id);
    if (wanted) morph(region, wanted);
  }
  const verdict = next.getElementById("announce").textContent.trim();
  if (verdict !== announced) announcer.textContent = announced = verdict;
  // Only the answer to a form carries notices; they stay until somebody closes them.
  document.getElementById("said").append(...next.getElementById("said").children);
  latest = Date.now();
  document.dispatchEvent(new CustomEvent("kijabi:adopted"));
}

function listen() {
  if (!topics.length || stream || document.hidden) return;
  const query = topics.map((topic) => `t=${encodeURIComponent(topic)}`).join("&");
  stream = new EventSource(`/live/?${query}`);
  stream.addEventListener("open", found);
  stream.addEventListener("changed", (event) => {
    const told = JSON.parse(event.data);
    document.body.dataset.broker = told.broker ? "up" : "down";
    refresh();
  });
  stream.addEventListener("goodbye", () => location.reload());
  stream.addEventListener("error", () => {
    lost();
    if (stream && stream.readyState === EventSource.CLOSED) close();
  });
}

function close() {
  if (stream) stream.close();
  stream = null;
}

function found() {
  if (lostAt) refresh();
  back();
}

function back() {
  lostAt = 0;
  pill.hidden = true;
}

function lost() {
  lostAt = lostAt || Date.now();
}

// While there is no stream, or the server hears nothing of the broker, the page asks by itself.
setInterval(() => {
  if (document.hidden || !topics.length) return;
  if (!stream) listen();
  applyWhatWaits();
  // A broker that hangs keeps its connections, so its return is told by nobody either.
  const isTroubled = document.querySelector("#troubles-of-ours *");
  const isBlind = lostAt || isTroubled || document.body.dataset.broker === "down";
  if (isBlind) refresh();
  if (lostAt && Date.now() - lostAt > 3000) {
    pill.hidden = false;
    const seconds = Math.round((Date.now() - latest) / 1000);
    pill.querySelector("b").textContent = seconds;
  }
}, 5000);

document.addEventListener("visibilitychange", () => {
  if (document.hidden) close();
  else {
    listen();
    if (topics.length) refresh();
  }
});

// What a held list put off is shown soon after the hand has left it.
function applyWhatWaits() {
  leaving = 0;
  if ([...document.querySelectorAll("[data-pending]")].some((list) => !isHeld(list))) refresh();
}

for (const name of ["pointerout", "focusout", "change"]) {
  document.addEventListener(name, () => {
    leaving = leaving || setTimeout(applyWhatWaits, 400);
  });
}

document.addEventListener("input", (event) => {
  if (event.target.matches("input, select, textarea")) event.target.dataset.touched = "1";
});

document.addEventListener("click", (event) => {
  const chip = event.target.closest("[data-pending-for]");
  if (!chip) return;
  document.getElementById(chip.dataset.pendingFor).setAttribute("data-released", "");
  refresh();
});

// Forms that stay on the page: send, follow, morph; without scripts they post and reload.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("form[data-stay]") || event.defaultPrevented) return;
  event.preventDefault();
  const button = event.submitter;
  const body = new URLSearchParams(new FormData(form, button));
  if (button) button.disabled = true;
  let answer = null;
  try {
    answer = await fetch(button?.getAttribute("formaction") || form.action, { method: "POST", body });
  } catch {
    lost();
  }
  // Sending it again by itself might do it twice.
  document.getElementById("unanswered").hidden = answer !== null;
  if (answer) await show(answer, form);
  if (button) button.disabled = false;
  if (button?.isConnected && document.activeElement === document.body) button.focus();
});

async function show(answer, form) {
  const there = new URL(answer.url);
  const text = await answer.text();
  if (!answer.ok) {
    document.open();
    document.write(text);
    document.close();
  } else if (there.pathname === location.pathname) {
    form.querySelectorAll("[data-touched]").forEach((field) => delete field.dataset.touched);
    form.closest("details[open]")?.removeAttribute("open");
    adopt(text);
  } else location.href = there.href;
}

listen();
