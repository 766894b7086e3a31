// The estimate beside the form follows its settings, without a button.

import { askPage } from "./http.js";

const form = document.getElementById("job"); // its `action` property is a button of that name
let running = null;
let timer = null;

async function estimate() {
  running?.abort();
  running = new AbortController();
  const body = new URLSearchParams(new FormData(form));
  body.set("action", "estimate");
  const box = document.getElementById("estimate");
  box.setAttribute("aria-busy", "true");
  try {
    const page = await askPage(form.getAttribute("action"), { method: "POST", body, signal: running.signal });
    const fresh = page.getElementById("estimate");
    const facts = (root) => root.querySelector(".facts, p");
    if (fresh) facts(box).replaceWith(facts(fresh));
  } catch (error) {
    if (error.name === "AbortError") return;
    box.querySelector(".facts, p").replaceWith(Object.assign(document.createElement("p"), { textContent: "The service does not answer: there is no estimate now." }));
  }
  box.removeAttribute("aria-busy");
}

document.getElementById("estimate-button").hidden = true;
form.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(estimate, 300);
});
form.addEventListener("submit", () => setTimeout(() => { for (const one of form.querySelectorAll("button")) one.disabled = true; }));
addEventListener("pageshow", () => { for (const one of form.querySelectorAll("button")) one.disabled = false; });
// What was typed before this ran, or is there again after going back.
if ([...form.elements].some((one) => one.value !== (one.defaultValue ?? one.value))) estimate();
