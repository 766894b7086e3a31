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
  const problem = await answer.json().catch(() => ({ detail: `The service answered ${answer.status}.` }));
  throw Object.assign(new Error(problem.detail), { status: answer.status });
}

export async function askJson(method, address, value) {
  const content = value === undefined ? {} : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) };
  return (await ask(method, address, content)).json();
}

// The page at an address, parsed.
export async function askPage(address, options = {}) {
  const answer = await fetch(address, { headers: { Accept: "text/html" }, ...options });
  if (answer.redirected && new URL(answer.url).pathname === "/sign-in") location.assign(answer.url);
  if (!answer.ok && answer.status !== 422) throw new Error(`The service answered ${answer.status}.`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

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
