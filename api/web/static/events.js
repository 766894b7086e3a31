// A stream of events, followed through broken connections. EventSource could not begin behind what the page
// already shows, and gives up at the first error that has a status.

import { duration, pause, sentenceOf } from "./http.js";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 10_000;

// Yields {type, data} after the event `seq`; the last one is of the type `end`. `report(trouble)` is called with
// a sentence when the connection breaks or is refused, and with null when it is there (again).
export async function* follow(address, seq, report) {
  let wait = FIRST_WAIT;
  for (;;) {
    try {
      const answer = await fetch(address, { headers: { Accept: "text/event-stream", "Last-Event-ID": String(seq) } });
      if (answer.status === 401 || answer.status === 404) { location.reload(); return; }
      if (answer.ok) {
        report(null);
        for await (const event of read(answer.body)) {
          wait = FIRST_WAIT;
          if (event.id) seq = event.id;
          yield event;
          if (event.type === "end") return;
        }
      } else { // it is there, and says itself how often it wants to be asked
        wait = Math.max(wait, 1000 * (Number(answer.headers.get("Retry-After")) || 1));
        const advice = answer.status === 429 ? " Close pages that you do not need." : "";
        report(`${await sentenceOf(answer)}${advice} What is shown may be old; it is tried again in ${duration(wait / 1000)}.`);
      }
    } catch {
      report("The connection to the service is broken. What is shown may be old; it is tried again and again.");
    }
    await pause(wait);
    wait = Math.min(2 * wait, LONGEST_WAIT);
  }
}

async function* read(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value.replaceAll("\r", "");
    let end;
    while ((end = text.indexOf("\n\n")) >= 0) {
      const event = parse(text.slice(0, end));
      text = text.slice(end + 2);
      if (event) yield event;
    }
  }
}

function parse(block) {
  const found = {};
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) found[line.slice(0, colon)] = line.slice(colon + 1).replace(/^ /, "");
  }
  return found.event ? { type: found.event, id: found.id, data: JSON.parse(found.data || "null") } : null;
}
