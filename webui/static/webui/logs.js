// Follow a log: append new lines; stop following by itself when somebody scrolls up.
const pane = document.getElementById("log");
const more = document.getElementById("log-more");
const state = document.getElementById("log-state");
const MOST = 5000;
let following = true;
let unseen = 0;
let waiting = [];

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
  row.append(at, line.at === "-" ? "" : " ", from, line.text);
  return row;
}

setInterval(() => {
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
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  state.textContent = state.dataset.following;
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const text of lines) if (text) waiting.push(JSON.parse(text));
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
