// Keeps the page of a data set or a job as the service sees it: progress by the events themselves, everything
// else by taking over the parts of the page that the server rendered anew.

import { follow } from "./events.js";
import { askPage, duration, pause } from "./http.js";

const live = document.getElementById("live");
const connection = document.getElementById("connection");
const number = new Intl.NumberFormat("en");
const LOOK_AGAIN = 10_000; // for what no event tells of, such as that there is no worker

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

function take(page) {
  document.title = page.title;
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    if (!fresh || fresh.innerHTML === part.innerHTML) continue;
    const held = part.contains(document.activeElement) ? document.activeElement : null;
    const open = [...part.querySelectorAll("details")].map((one) => one.open);
    part.replaceChildren(...fresh.childNodes);
    [...part.querySelectorAll("details")].forEach((one, n) => { one.open = open[n] ?? one.open; });
    if (held) (part.querySelector(`[data-key="${held.dataset.key}"]`) ?? document.getElementById("main")).focus();
  }
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
  } else if (progress.phase === "condense") {
    bar.value = progress.iteration;
    const now = progress.evaluating;
    const [network, networks, epoch, epochs] = now ? [now.network, now.networks, now.epoch, now.epochs].map(number.format) : [];
    text.textContent = `iteration ${number.format(progress.iteration)} of ${number.format(progress.iterations)}${now ? `; now evaluating its images: network ${network} of ${networks}, epoch ${epoch} of ${epochs}` : ""}`;
    document.getElementById("bar-left").textContent = ` · ${duration(progress.seconds_left)} left in this phase`;
    document.dispatchEvent(new Event("curve"));
  } else if (progress.epochs) {
    bar.value = Math.floor(bar.value) + Math.min(progress.epoch / progress.epochs, 0.99);
    text.textContent = text.textContent.replace(/; now.*|$/, `; now ${progress.method ?? "features"}, epoch ${number.format(progress.epoch)} of ${number.format(progress.epochs)}`);
  }
}

function tell(connected) {
  connection.replaceChildren();
  if (connected) return;
  const notice = document.createElement("div");
  notice.className = "notice warn";
  notice.textContent = "The connection to the service is broken. What is shown may be old; it is tried again and again.";
  connection.append(notice);
}

if (live?.dataset.stream) {
  const timer = setInterval(refresh, LOOK_AGAIN);
  for await (const event of follow(live.dataset.stream, live.dataset.seq, tell)) {
    if (event.type === "progress") show(event.data.data);
    else if (event.type === "end") break;
    else refresh();
  }
  clearInterval(timer);
  location.reload(); // what has ended has another page: a result, a report
}
