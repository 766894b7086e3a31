// Keeps the page of a data set or a job as the service sees it: progress by the events themselves, everything
// else by taking over the parts of the page that the server rendered anew.

import { follow } from "./events.js";
import { askPage, duration, pause } from "./http.js";

const live = document.getElementById("live");
const connection = document.getElementById("connection");
const number = new Intl.NumberFormat("en");
const REFRESH_MS = 10_000; // for what no event reports, such as that there is no worker

let refreshing = null;
let again = false;

// Never two at a time; what happens meanwhile is in the next one.
function refresh() {
  again = true;
  refreshing ??= (async () => {
    while (again) {
      again = false;
      try {
        take(await askPage(location.href));
      } catch {
        await pause(2000);
        again = true;
      }
    }
    refreshing = null;
  })();
  return refreshing;
}

const FOCUSABLE = "a[href], button, input, select, summary, [tabindex]";
const SCROLLING = ".scroll, pre";

function take(page) {
  document.title = page.title;
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    if (!fresh || content(fresh) === content(part)) continue;
    const restore = remember(part);
    part.replaceChildren(...fresh.childNodes);
    restore();
  }
}

// Without what people have unfolded: that is theirs.
function content(part) {
  const copy = part.cloneNode(true);
  for (const one of copy.querySelectorAll("details")) one.open = false;
  return copy.innerHTML;
}

// What people have unfolded, scrolled and focused; returns what makes it so again in the part's new content.
function remember(part) {
  const unfolded = [...named(part, "details")].map(([name, one]) => [name, one.open]);
  const scrolled = [...named(part, SCROLLING)].map(([name, one]) => [name, one.scrollLeft, one.scrollTop]);
  const held = part.contains(document.activeElement) ? document.activeElement : null;
  const [heldName] = [...named(part, FOCUSABLE)].find(([, one]) => one === held) ?? [];
  const place = [...part.querySelectorAll(FOCUSABLE)].indexOf(held);
  return () => {
    const details = named(part, "details");
    for (const [name, open] of unfolded) if (details.has(name)) details.get(name).open = open;
    const regions = named(part, SCROLLING);
    for (const [name, left, top] of scrolled) regions.get(name)?.scrollTo({ left, top, behavior: "instant" });
    if (!held) return;
    const beside = part.querySelectorAll(FOCUSABLE)[place];
    // Never from one button to another: the next key would do what nobody wanted.
    const other = beside?.localName === held.localName && held.localName !== "button" ? beside : document.getElementById("main");
    (named(part, FOCUSABLE).get(heldName) ?? other).focus({ preventScroll: true });
  };
}

// By what they are called, and if several are called alike by their number.
function named(part, selector) {
  const found = new Map();
  for (const one of part.querySelectorAll(selector)) {
    const name = one.dataset.key || one.id || one.ariaLabel || (one.querySelector(":scope > summary") ?? one).textContent.trim();
    let n = 0;
    while (found.has(`${one.localName} ${n} ${name}`)) n += 1;
    found.set(`${one.localName} ${n} ${name}`, one);
  }
  return found;
}

function show(progress) {
  const bar = document.getElementById("bar");
  if (!bar) return refresh();
  const text = document.getElementById("bar-text");
  if ("images" in progress) {
    if (progress.total) { bar.max = progress.total; bar.value = progress.images; }
    text.textContent = number.format(progress.images) + (progress.total ? ` of ${number.format(progress.total)}` : "");
  } else if (progress.phase !== bar.dataset.phase) {
    return refresh();
  } else {
    bar.max = progress.total;
    bar.value = progress.done;
    text.textContent = progress.text;
    document.dispatchEvent(new Event("curve"));
  }
  const left = document.getElementById("bar-left");
  if (left) left.textContent = progress.seconds_left ? ` · ${duration(progress.seconds_left)} left` : "";
}

function report(trouble) {
  if (connection.textContent === (trouble ?? "")) return; // or it would be read out at every try
  connection.replaceChildren();
  if (!trouble) return;
  const notice = document.createElement("div");
  notice.className = "notice warn";
  notice.textContent = trouble;
  connection.append(notice);
}

if (live?.dataset.stream) {
  const timer = setInterval(refresh, REFRESH_MS);
  for await (const event of follow(live.dataset.stream, live.dataset.seq, report)) {
    if (event.type === "progress") show(event.data.data);
    else if (event.type === "end") break;
    else refresh();
  }
  clearInterval(timer);
  location.reload(); // what has ended has another page: a result, a report
}
