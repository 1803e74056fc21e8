// Improvements of the pages, which also work without this script.
"use strict";

// A slider shows its value; moving it unchecks “unknown”.
for (const slider of document.querySelectorAll(".slider")) {
  const range = slider.querySelector("input[type=range]");
  const output = slider.querySelector("output");
  const unknown = slider.querySelector("input[type=checkbox]");
  const show = () => { output.textContent = unknown?.checked ? "–" : range.value; };
  range.addEventListener("input", () => {
    if (unknown) unknown.checked = false;
    show();
  });
  unknown?.addEventListener("change", show);
  window.addEventListener("pageshow", show);
}

// A field with too many choices for a list: what may be meant is fetched while a person types.
for (const list of document.querySelectorAll("datalist[data-from]")) {
  const field = document.querySelector(`[list="${list.id}"]`);
  let waiting, asked = "";
  const suggest = async () => {
    const text = field.value.trim();
    if (text === asked) return;
    asked = text;
    try {
      const answer = await fetch(`${list.dataset.from}&text=${encodeURIComponent(text)}`);
      // A later key may have been answered first.
      if (!answer.ok || text !== asked) return;
      list.replaceChildren(...(await answer.json()).map((value) => new Option("", value)));
    } catch {
      // What is typed counts, with or without suggestions.
    }
  };
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(suggest, 150);
  });
}

// The server validates all fields, with better messages; the browser only stops input that it would post as empty.
for (const form of document.querySelectorAll("form[data-busy]")) {
  const button = form.querySelector("button.primary");
  const label = button.textContent;
  form.noValidate = true;
  form.addEventListener("submit", (event) => {
    const unreadable = [...form.elements].find((field) => field.validity.badInput);
    if (unreadable) {
      event.preventDefault();
      unreadable.reportValidity();
      return;
    }
    button.disabled = true;
    button.textContent = form.dataset.busy;
  });
  // On the way back from another page, the browser may show this one in its last state.
  window.addEventListener("pageshow", () => {
    button.disabled = false;
    button.textContent = label;
  });
}

// Long polling: each request is answered when the prediction has ended or the time is up.
async function reloadWhenEnded(url) {
  for (;;) {
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json", Prefer: "wait=10" } });
      if (answer.status === 404 || (answer.ok && (await answer.json()).finished_at)) break;
    } catch {
      // The network or the server is unreachable for a moment.
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  location.reload();
}

const pending = document.querySelector("[data-poll]");
if (pending) reloadWhenEnded(pending.dataset.poll);

if (navigator.clipboard) {
  for (const code of document.querySelectorAll("[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(code.querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    code.append(button);
  }
}
