// Resumable uploads by tus 1.0, in pieces: each is a request of its own, so that progress is known and a pause
// loses little. What has begun is remembered in localStorage, and goes on after a reload with the same file.

import { ask, askJson, bytes, duration, pause } from "./http.js";

const PIECE = 4 << 20;
const TUS = { "Tus-Resumable": "1.0.0" };
const TRIES = 6;
const AT_ONCE = 2; // more would only share the line

const drop = document.getElementById("drop");
const chooser = document.getElementById("file");
const transfers = document.getElementById("transfers");
const state = document.getElementById("upload-state");
const section = document.querySelector(".upload");
const { what, makes, shows, memory } = section.dataset; // what a whole upload becomes, and where
const limit = Number(section.dataset.limit);

// By file: its address, where it is sent to. The browser tells no path, so these three must do.
const nameOf = (file) => `${file.name}\n${file.size}\n${file.lastModified}`;
const remembered = () => JSON.parse(localStorage.getItem(memory) ?? "{}");
function remember(name, address) {
  const all = remembered();
  if (address) all[name] = address; else delete all[name];
  localStorage.setItem(memory, JSON.stringify(all));
}

// What is sent with every file that is let go of now.
const chosen = () => [...section.querySelectorAll("select")].filter((one) => one.value);

const live = new Map(); // by name of the file: what is being sent, waits, or is paused
const waiting = [];
let sending = 0;

function sendNext() {
  while (sending < AT_ONCE && waiting.length) {
    sending += 1;
    waiting.shift().work().finally(() => { sending -= 1; sendNext(); });
  }
}

class Transfer {
  constructor(file) {
    this.file = file;
    this.name = nameOf(file);
    this.fields = chosen().map((one) => [one.name, one.value]);
    this.box = document.createElement("div");
    this.box.className = "transfer";
    this.title = Object.assign(document.createElement("p"), { textContent: [file.name, ...chosen().map((one) => one.selectedOptions[0].text)].join(", of ") });
    this.bar = Object.assign(document.createElement("progress"), { max: file.size, value: 0 });
    this.bar.setAttribute("aria-label", `Sent of ${file.name}`);
    this.text = document.createElement("p");
    this.button = button("Pause", () => (this.aborter ? this.hold() : this.go()));
    this.box.append(this.title, this.bar, this.text, this.button, " ", button("Discard", () => this.discard()));
    transfers.prepend(this.box);
    live.set(this.name, this);
  }

  go() {
    this.aborter = new AbortController();
    this.button.textContent = "Pause";
    this.text.textContent = "Waits until others are sent.";
    waiting.push(this);
    sendNext();
  }

  // To the end, or until it is paused or fails; never throws.
  async work() {
    const { signal } = this.aborter;
    this.failures = 0;
    this.text.textContent = "Begins.";
    try {
      this.whole ??= await this.send(signal); // its address: what was sent whole is not looked for again
      this.text.textContent = `Sent. It becomes a ${what} now.`;
      this.done(await this.make(this.whole, signal));
    } catch (error) {
      if (error.status === 404) this.whole = null;
      if (signal.aborted) return; // whoever did that has said so
      this.stop();
      this.text.textContent = `${error.message} What was sent is kept: ${error.advice ?? "go on when that is mended"}.`;
      state.textContent = `${this.file.name}: ${error.message}`;
    }
  }

  // Sends what is missing; a broken connection is tried again, ever more slowly, from where the service is.
  async send(signal) {
    const began = performance.now();
    let address = null, offset = 0, from = 0;
    while (address === null || offset < this.file.size) {
      signal.throwIfAborted();
      try {
        if (address === null) {
          [address, offset] = await this.begin(signal);
          from = offset;
          continue;
        }
        this.show(offset, began, from);
        const body = await this.read(offset);
        const headers = { ...TUS, "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" };
        const answer = await ask("PATCH", address, { headers, body, signal });
        offset = Number(answer.headers.get("Upload-Offset"));
        this.failures = 0;
      } catch (error) {
        await this.outwait(error, signal);
        address = null;
      }
    }
    signal.throwIfAborted();
    this.show(offset, began, from);
    return address;
  }

  // Read here and not by the request, which would not tell a file that has gone from a service that has.
  async read(offset) {
    try {
      return await this.file.slice(offset, offset + PIECE).arrayBuffer();
    } catch {
      const message = "The file cannot be read any more: it was changed, moved or deleted since it was chosen.";
      throw Object.assign(new Error(message), { advice: "go on if the file is there again as it was, else discard it and choose it anew" });
    }
  }

  // What it becomes. Named by its upload, so that one whose answer was lost is found again, after a reload too.
  async make(address, signal) {
    const upload_id = address.split("/").at(-1);
    const key = ["page", upload_id, ...this.fields.flat()].join("-"); // with another choice it is another request
    const options = { headers: { "Idempotency-Key": key }, signal };
    const body = { upload_id, name: this.file.name.slice(0, 200), ...Object.fromEntries(this.fields) };
    for (;;) {
      try {
        return await askJson("POST", makes, body, options);
      } catch (error) {
        await this.outwait(error, signal);
      }
    }
  }

  // Throws what does not pass by itself.
  async outwait(error, signal) {
    signal.throwIfAborted();
    const passing = error.status === 0 || [408, 409, 423].includes(error.status) || error.status >= 500;
    if (!passing || (this.failures += 1) > TRIES) throw error;
    this.text.textContent = `${error.message} Trying again.`;
    await pause(300 * 2 ** this.failures, signal);
  }

  async begin(signal) {
    const known = remembered()[this.name];
    const offset = known ? await this.offset(known, signal) : null;
    if (offset !== null) return [known, offset];
    const name = btoa(String.fromCharCode(...new TextEncoder().encode(this.file.name)));
    const headers = { ...TUS, "Upload-Length": String(this.file.size), "Upload-Metadata": `filename ${name}` };
    const made = await ask("POST", "/v1/uploads", { headers, signal });
    const address = made.headers.get("Location");
    remember(this.name, address);
    return [address, 0];
  }

  // Bytes that the service has; null if it does not know the upload (any more).
  async offset(address, signal) {
    try {
      return Number((await ask("HEAD", address, { headers: TUS, signal })).headers.get("Upload-Offset"));
    } catch (error) {
      if (error.status === 404 || error.status === 410) return null;
      throw error;
    }
  }

  show(offset, began, from) {
    this.bar.value = offset;
    const rate = (offset - from) / ((performance.now() - began) / 1000);
    const left = rate > 0 && offset < this.file.size ? `, ${duration((this.file.size - offset) / rate)} left` : "";
    this.text.textContent = `${bytes(offset)} of ${bytes(this.file.size)}${left}`;
  }

  hold() {
    this.stop();
    this.text.textContent = `Paused at ${bytes(this.bar.value)} of ${bytes(this.file.size)}.`;
  }

  // Whether it is being sent or waits.
  stop() {
    this.aborter?.abort();
    this.aborter = null;
    if (waiting.includes(this)) waiting.splice(waiting.indexOf(this), 1);
    this.button.textContent = "Go on";
  }

  // Away only from what needs the page no more: another transfer would break off, and the link of another go.
  done(made) {
    remember(this.name, null);
    live.delete(this.name);
    const address = `${shows}/${made.id}`;
    if (transfers.querySelectorAll(".transfer:not([data-left])").length === 1) { location.assign(address); return; }
    const link = Object.assign(document.createElement("a"), { href: address, textContent: this.file.name });
    const text = document.createElement("p");
    text.append(link, " is sent, and is being read now.");
    const focused = this.box.contains(document.activeElement);
    this.box.replaceChildren(text);
    if (focused) link.focus();
    state.textContent = `${this.file.name} is sent.`;
  }

  async discard() {
    this.stop();
    live.delete(this.name);
    this.box.remove();
    await forget(this.name);
  }
}

function button(text, action) {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: text });
  made.addEventListener("click", action);
  return made;
}

async function forget(name) {
  const address = remembered()[name];
  remember(name, null);
  chooser.focus(); // the button is gone
  if (address) await ask("DELETE", address, { headers: TUS }).catch(() => {}); // it expires by itself
  offer();
}

function take(files, folders = []) {
  const refused = folders.map((one) => `${one.name} is a folder: pack it into a zip, and drop that.`);
  for (const file of files) {
    const name = nameOf(file);
    if (!file.size) refused.push(`${file.name} is empty.`);
    else if (file.size > limit) refused.push(`${file.name} has ${bytes(file.size)}; the limit is ${bytes(limit)}.`);
    else if (!live.has(name)) { document.getElementById(`left-${name}`)?.remove(); new Transfer(file).go(); }
    else if (!live.get(name).aborter) live.get(name).go();
  }
  state.textContent = refused.join(" ");
}

// A folder is among the files, too, as one that cannot be read.
function takeDropped({ items, files }) {
  const entries = [...items].filter((one) => one.kind === "file").map((one) => one.webkitGetAsEntry());
  const isFolder = (_, n) => entries[n]?.isDirectory;
  take([...files].filter((...one) => !isFolder(...one)), [...files].filter(isFolder));
}

// What was broken off by a reload: the file must be chosen again, the bytes that were sent need not.
function offer() {
  for (const old of transfers.querySelectorAll("[data-left]")) old.remove();
  for (const name of Object.keys(remembered()).filter((one) => !live.has(one))) {
    const [file, size] = name.split("\n");
    const box = Object.assign(document.createElement("div"), { className: "transfer", id: `left-${name}` });
    box.dataset.left = "";
    const text = document.createElement("p");
    text.textContent = `${file} (${bytes(Number(size))}) was begun and is not whole. Choose the same file again: it goes on where it stopped.`;
    box.append(text, button(`Discard ${file}`, () => forget(name)));
    transfers.append(box);
  }
}

offer();
chooser.addEventListener("change", () => { take(chooser.files); chooser.value = ""; });
for (const kind of ["dragover", "dragenter"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => { event.preventDefault(); takeDropped(event.dataTransfer); });
