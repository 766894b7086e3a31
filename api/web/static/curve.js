// The loss curves of one job or of several, by uPlot.

import { askJson } from "./http.js";

const place = document.getElementById("curve");
const dashes = [[], [8, 4], [2, 3], [12, 3, 2, 3], [4, 2]]; // colour must not be the only difference
const jobs = place.dataset.jobs.split(" ");
const names = jobs.length === 1 ? [place.dataset.names] : place.dataset.names.split(" ");
const steps = [1, 10, 100, 1e3, 1e4, 1e5].flatMap((n) => [n, 2 * n, 5 * n]); // there is no half iteration
const curves = jobs.map(() => ({ at: [], loss: [] }));
let plot = null;

// Where the curve will be: that it is on its way, why it is not there, or nothing.
const note = Object.assign(document.createElement("p"), { className: "quiet", role: "status" });
place.append(note);
function say(text, action = null) {
  note.hidden = !text;
  note.replaceChildren(text, ...(action ? [" ", action] : []));
}

async function load(n) {
  const curve = curves[n];
  for (let more = true; more; ) {
    const after = curve.at.at(-1) ?? 0;
    const page = await askJson("GET", `/v1/jobs/${jobs[n]}/metrics?limit=1000&after=${after}`);
    for (const point of page.data) { curve.at.push(point.iteration); curve.loss.push(point.loss); }
    more = page.has_more;
  }
}

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// As wide as the axis at most, whatever a loss grows to.
function short(value) {
  const size = Math.abs(value);
  return size >= 1e5 || (size && size < 1e-3) ? value.toExponential(1) : String(Number(value.toPrecision(5)));
}

function draw() {
  const filled = curves.some((curve) => curve.at.length > 1);
  place.hidden = !filled && jobs.length === 1; // a job's own page says itself that there is none yet
  say(filled ? "" : "There is no curve: these jobs have recorded no loss.");
  if (!filled) return;
  const data = uPlot.join(curves.map((curve) => [curve.at, curve.loss]));
  if (plot) {
    plot.setData(data);
    name(data);
    return;
  }
  const axis = { stroke: style("--quiet"), grid: { stroke: style("--line"), width: 1 }, ticks: { stroke: style("--line"), width: 1 }, font: "12px system-ui" };
  plot = new uPlot({
    width: place.clientWidth,
    height: 260,
    scales: { x: { time: false } },
    axes: [{ ...axis, incrs: steps, label: "iteration", labelSize: 18, labelFont: axis.font }, { ...axis, size: 64, values: (_, values) => values.map(short) }],
    series: [
      { label: "iteration" },
      ...names.map((label, n) => ({ label, stroke: style(`--curve-${n + 1}`), dash: dashes[n], width: 2, spanGaps: true, points: { show: false } })),
    ],
  }, data, place);
  name(data);
}

function name([iterations]) {
  const canvas = place.querySelector("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Loss by iteration, up to ${iterations.at(-1)}: ${names.join(", ")}`);
}

let drawing = Promise.resolve();
let waiting = false;
function update() {
  if (waiting) return;
  waiting = true;
  drawing = drawing.then(async () => {
    waiting = false;
    try {
      await Promise.all(jobs.map((_, n) => load(n)));
      draw();
    } catch (error) {
      const again = Object.assign(document.createElement("button"), { type: "button", textContent: "Load it again" });
      again.addEventListener("click", () => { say("The curve is being loaded."); update(); });
      say(`The curve ${plot ? "may be old" : "could not be loaded"}. ${error.message}`, again);
    }
  });
}

function redraw() {
  plot?.destroy();
  plot = null;
  draw();
}

document.addEventListener("curve", update);
addEventListener("resize", () => plot?.setSize({ width: place.clientWidth, height: 260 }));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
say("The curve is being loaded.");
update();
