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
    if (fresh) show(box, said(fresh));
  } catch (error) {
    if (error.name === "AbortError") return;
    const why = error.status ? error.message : "The service does not answer.";
    show(box, [Object.assign(document.createElement("p"), { textContent: `${why} There is no estimate now.` })]);
  }
  box.removeAttribute("aria-busy");
}

// What stands between the heading and the buttons: the estimate, or what is to be mended first.
function said(box) {
  return [...box.children].filter((one) => !one.matches("h2, button"));
}

function show(box, fresh) {
  const old = said(box);
  const held = old.some((one) => one.contains(document.activeElement)) ? document.activeElement : null;
  for (const one of old) one.remove();
  box.querySelector("h2").after(...fresh);
  if (!held) return;
  const same = [...box.querySelectorAll("a")].find((one) => one.getAttribute("href") === held.getAttribute("href"));
  const heading = box.querySelector("h2"); // not a button: the next key would start the job
  heading.tabIndex = -1;
  (same ?? heading).focus({ preventScroll: true });
}

function changed(one) {
  if (one.localName === "select") return one.selectedIndex !== Math.max(0, [...one.options].findIndex((option) => option.defaultSelected));
  return one.checked !== one.defaultChecked || one.value !== (one.defaultValue ?? one.value);
}

document.getElementById("estimate-button").hidden = true;
form.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(estimate, 300);
});
form.addEventListener("submit", () => setTimeout(() => { for (const one of form.querySelectorAll("button")) one.disabled = true; }));
addEventListener("pageshow", () => {
  for (const one of form.querySelectorAll("button")) one.disabled = false;
  // What was typed before this ran, or is there again after going back.
  if ([...form.elements].some(changed)) estimate();
});
