// Follow a log: append new lines; stop following by itself when somebody scrolls up.
const pane = document.getElementById("log");
const more = document.getElementById("log-more");
const state = document.getElementById("log-state");
const MOST = 5000;
const JOIN_MS = 400;
let following = true;
let unseen = 0;
let waiting = [];
// What each replica's log began with on this connection, until it is joined to what is shown.
let begins = new Map();

function atEnd() {
  return pane.scrollHeight - pane.scrollTop - pane.clientHeight < 30;
}

function toEnd() {
  pane.scrollTop = pane.scrollHeight;
  following = true;
  unseen = 0;
  more.hidden = true;
}

function show(line) {
  const row = document.createElement("p");
  if (line.level) row.className = line.level;
  const at = document.createElement(line.at === "-" ? "span" : "a");
  at.className = "at";
  if (line.at !== "-") {
    const here = new URLSearchParams(location.search);
    here.set("at", line.at);
    at.href = `?${here}#log`;
    at.textContent = line.at.slice(11, 23);
  }
  const from = document.createElement("span");
  from.className = "from";
  from.textContent = `${line.source.slice(0, 6)} `;
  row.append(at, line.at === "-" ? "" : " ", from, line.text.replace(/\r\n?/g, "\n"));
  return row;
}

function take(line) {
  if (line.level === "note" || begins.get(line.source) === null) waiting.push(line);
  else if (begins.has(line.source)) begins.get(line.source).lines.push(line);
  else begins.set(line.source, { at: Date.now(), lines: [line] });
}

// A stream begins with the latest lines, so that none is lost; those that are shown are left out.
function join() {
  for (const [source, begin] of begins) {
    if (!begin || Date.now() - begin.at < JOIN_MS) continue;
    waiting.push(...withoutShown(source, begin.lines));
    begins.set(source, null);
  }
}

function withoutShown(source, lines) {
  const isIts = (row) => row.querySelector(".from")?.textContent === `${source.slice(0, 6)} `;
  const rows = [...pane.querySelectorAll("p:not(.note)")].filter(isIts);
  const shown = rows.map((row) => row.textContent);
  const texts = lines.map((line) => show(line).textContent);
  for (let end = texts.length; end > 0 && shown.length; end -= 1) {
    if (texts[end - 1] !== shown.at(-1)) continue;
    const many = Math.min(end, shown.length);
    if (texts.slice(end - many, end).join("\n") === shown.slice(-many).join("\n")) return lines.slice(end);
  }
  return lines;
}

setInterval(() => {
  join();
  if (!waiting.length) return;
  const fragment = document.createDocumentFragment();
  for (const line of waiting) fragment.append(show(line));
  unseen += waiting.length;
  waiting = [];
  pane.querySelector("[data-empty]")?.remove();
  pane.append(fragment);
  if (following) {
    while (pane.children.length > MOST) pane.firstElementChild.remove();
    toEnd();
  } else {
    more.hidden = false;
    more.querySelector("b").textContent = unseen;
  }
}, 120);

pane.addEventListener("scroll", () => {
  if (atEnd()) toEnd();
  else following = false;
});
more.addEventListener("click", toEnd);

async function follow() {
  const answer = await fetch(pane.dataset.stream);
  // Whoever may not read it any more is told why by the page itself.
  if (answer.status === 403) location.reload();
  if (!answer.ok) throw new Error(answer.statusText);
  begins = new Map();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  state.textContent = state.dataset.following;
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const text of lines) if (text) take(JSON.parse(text));
  }
}

async function keepFollowing() {
  for (let wait = 1000; ; wait = Math.min(wait * 2, 10000)) {
    try {
      await follow();
      wait = 1000;
    } catch {
      // The next round tries again; the words beside the log say so.
    }
    state.textContent = state.dataset.waiting;
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

toEnd();
if (pane.dataset.stream) keepFollowing();
