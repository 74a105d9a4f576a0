// Run a command and show what it says while it says it; leaving the page ends the command.
const form = document.getElementById("run");
const output = document.getElementById("run-output");
const state = document.getElementById("run-state");

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.submitter;
  button.disabled = true;
  output.hidden = false;
  output.textContent = "";
  state.textContent = "…";
  try {
    const body = new URLSearchParams(new FormData(form));
    const answer = await fetch(form.dataset.stream, { method: "POST", body });
    if (!answer.ok) state.textContent = await answer.text();
    else await show(answer.body.pipeThrough(new TextDecoderStream()).getReader());
  } catch (error) {
    state.textContent = String(error);
  }
  button.disabled = false;
});

async function show(reader) {
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines.filter(Boolean)) {
      const item = JSON.parse(line);
      if ("outcome" in item) state.textContent = item.message;
      else output.append(item.text);
    }
  }
}
