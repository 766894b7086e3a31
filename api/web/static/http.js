// Requests to the service of this page.

// The answer, or an Error with the sentence of the problem it was.
export async function ask(method, address, { headers = {}, body, signal } = {}) {
  let answer;
  try {
    answer = await fetch(address, { method, headers, body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw Object.assign(new Error("The service does not answer."), { status: 0 });
  }
  if (answer.ok) return answer;
  if (answer.status === 401) {
    location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
  }
  throw Object.assign(new Error(await sentenceOf(answer)), { status: answer.status });
}

// What a refusal says, as a sentence that others can follow: a problem's detail has no full stop.
export async function sentenceOf(answer) {
  const problem = await answer.json().catch(() => null);
  const text = problem?.detail || `The service answered ${answer.status}`;
  return text.replace(/^[a-z](?=[a-z']* )/, (first) => first.toUpperCase()).replace(/[^.!?…]$/, "$&.");
}

export async function askJson(method, address, value, options = {}) {
  const content = value === undefined ? {} : { body: JSON.stringify(value) };
  const type = value === undefined ? {} : { "Content-Type": "application/json" };
  return (await ask(method, address, { ...content, ...options, headers: { ...type, ...options.headers } })).json();
}

// The page at an address, parsed.
export async function askPage(address, options = {}) {
  const answer = await fetch(address, { headers: { Accept: "text/html" }, ...options });
  if (answer.redirected && new URL(answer.url).pathname === "/sign-in") location.assign(answer.url);
  if (!answer.ok && answer.status !== 422) {
    throw Object.assign(new Error(`The service answered ${answer.status}.`), { status: answer.status });
  }
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

// Rejects at once when it is aborted.
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let n = 0;
  while (count >= 999.5 && n < units.length - 1) { count /= 1000; n += 1; }
  return `${n ? Number(count.toPrecision(3)) : count} ${units[n]}`;
}

export function duration(seconds) {
  if (!(seconds >= 1)) return "under 1 s";
  const whole = Math.round(seconds);
  const parts = [[Math.floor(whole / 86400), "d"], [Math.floor(whole / 3600) % 24, "h"], [Math.floor(whole / 60) % 60, "min"], [whole % 60, "s"]];
  const first = parts.findIndex(([count]) => count > 0);
  return parts.slice(first, first + 2).filter(([count]) => count > 0).map(([count, unit]) => `${count} ${unit}`).join(" ");
}
