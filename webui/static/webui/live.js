// Keep the page current: one stream per tab says what changed, the page reads itself and morphs.
import { morph } from "./morph.js";

const pill = document.getElementById("live");
const topics = (document.body.dataset.topics || "").split(" ").filter(Boolean);
let stream = null;
let reading = false;
let again = false;
let cost = 0;
let latest = Date.now();
let lostAt = 0;

export async function refresh() {
  if (reading) {
    again = true;
    return;
  }
  reading = true;
  const began = performance.now();
  try {
    const answer = await fetch(location.href, { headers: { "X-Kijabi-Live": "1" } });
    if (answer.redirected && new URL(answer.url).pathname.startsWith("/login/")) location.reload();
    if (answer.ok) adopt(await answer.text());
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

export function adopt(html) {
  const next = new DOMParser().parseFromString(html, "text/html");
  document.title = next.title;
  for (const region of document.querySelectorAll("[data-live]")) {
    const wanted = next.getElementById(region.id);
    if (wanted) morph(region, wanted);
  }
  const said = next.getElementById("announce");
  const announcer = document.getElementById("announce");
  if (said && announcer && said.textContent.trim() !== announcer.textContent.trim()) {
    announcer.textContent = said.textContent.trim();
  }
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
  // A broker that hangs keeps its connections, so its return is told by nobody either.
  const isTroubled = document.querySelector("#notices [data-trouble]");
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
    refresh();
  }
});

document.addEventListener("input", (event) => {
  if (event.target.matches("input, select, textarea")) event.target.dataset.touched = "1";
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-pending-for]")) {
    document.activeElement?.blur();
    const list = document.getElementById(event.target.closest("[data-pending-for]").dataset.pendingFor);
    list.querySelectorAll(":checked").forEach((box) => (box.checked = false));
    list.removeAttribute("data-list");
    refresh().then(() => list.setAttribute("data-list", ""));
    event.target.closest("[data-pending-for]").hidden = true;
  }
});

// Forms that stay on the page: send, follow, morph; without scripts they post and reload.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("form[data-stay]") || event.defaultPrevented) return;
  event.preventDefault();
  const button = event.submitter;
  const body = new FormData(form, button);
  if (button) button.disabled = true;
  try {
    const answer = await fetch(button?.getAttribute("formaction") || form.action, { method: "POST", body: new URLSearchParams(body) });
    const there = new URL(answer.url);
    const text = await answer.text();
    if (there.pathname === location.pathname || !answer.ok) {
      form.querySelectorAll("[data-touched]").forEach((field) => delete field.dataset.touched);
      form.closest("details[open]")?.removeAttribute("open");
      adopt(text);
      if (!answer.ok) document.open(), document.write(text), document.close();
    } else location.href = there.href;
  } catch {
    lost();
    form.submit();
  } finally {
    if (button) button.disabled = false;
  }
});

listen();
