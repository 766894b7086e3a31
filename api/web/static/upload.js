// Resumable uploads by tus 1.0, in pieces: each is a request of its own, so that progress is known and a pause
// loses little. What has begun is remembered in localStorage, and goes on after a reload with the same file.

import { ask, askJson, bytes, duration, pause } from "./http.js";

const PIECE = 4 << 20;
const TUS = { "Tus-Resumable": "1.0.0" };
const MEMORY = "condensery.uploads";
const TRIES = 6;

const drop = document.getElementById("drop");
const chooser = document.getElementById("file");
const transfers = document.getElementById("transfers");
const state = document.getElementById("upload-state");
const limit = Number(document.querySelector(".upload").dataset.limit);

// By file: its address, where it is sent to. The browser tells no path, so these three must do.
const nameOf = (file) => `${file.name}\n${file.size}\n${file.lastModified}`;
const remembered = () => JSON.parse(localStorage.getItem(MEMORY) ?? "{}");
function remember(name, address) {
  const all = remembered();
  if (address) all[name] = address; else delete all[name];
  localStorage.setItem(MEMORY, JSON.stringify(all));
}

class Transfer {
  constructor(file) {
    this.file = file;
    this.name = nameOf(file);
    this.box = document.createElement("div");
    this.box.className = "transfer";
    this.title = Object.assign(document.createElement("p"), { textContent: file.name });
    this.bar = Object.assign(document.createElement("progress"), { max: file.size, value: 0 });
    this.bar.setAttribute("aria-label", `Sent of ${file.name}`);
    this.text = document.createElement("p");
    this.button = button("Pause", () => (this.aborter ? this.hold() : this.go()));
    this.box.append(this.title, this.bar, this.text, this.button, " ", button("Discard", () => this.discard()));
    transfers.prepend(this.box);
  }

  async go() {
    this.aborter = new AbortController();
    this.button.textContent = "Pause";
    try {
      const address = await this.send(this.aborter.signal);
      this.button.hidden = true;
      this.text.textContent = "Sent. It becomes a data set now.";
      const upload = await askJson("GET", address);
      const dataset = await askJson("POST", "/v1/datasets", { upload_id: upload.id, name: this.file.name.slice(0, 200) });
      remember(this.name, null);
      location.assign(`/datasets/${dataset.id}`);
    } catch (error) {
      this.aborter = null;
      this.button.textContent = "Go on";
      if (error.name === "AbortError") { this.text.textContent = `Paused at ${bytes(this.bar.value)} of ${bytes(this.file.size)}.`; return; }
      this.text.textContent = `${error.message} What was sent is kept: go on when that is mended.`;
      state.textContent = `${this.file.name}: ${error.message}`;
    }
  }

  // Sends what is missing; a broken connection is tried again, ever more slowly, from where the service is.
  async send(signal) {
    const began = performance.now();
    let address = null, offset = 0, from = 0, failures = 0;
    while (address === null || offset < this.file.size) {
      try {
        if (address === null) {
          [address, offset] = await this.begin(signal);
          from = offset;
          continue;
        }
        this.show(offset, began, from);
        const body = this.file.slice(offset, offset + PIECE);
        const headers = { ...TUS, "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" };
        const answer = await ask("PATCH", address, { headers, body, signal });
        offset = Number(answer.headers.get("Upload-Offset"));
        failures = 0;
      } catch (error) {
        const passing = error.status === 0 || error.status === 423 || error.status === 409 || error.status >= 500;
        if (!passing || (failures += 1) > TRIES) throw error;
        this.text.textContent = `${error.message} Trying again.`;
        await pause(300 * 2 ** failures);
        signal.throwIfAborted();
        address = null;
      }
    }
    this.show(offset, began, from);
    return address;
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
    this.aborter.abort();
  }

  async discard() {
    this.aborter?.abort();
    await forget(this.name);
    this.box.remove();
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
  if (address) await ask("DELETE", address, { headers: TUS }).catch(() => {}); // it expires by itself
  offer();
}

function take(file) {
  state.textContent = "";
  if (!file) return;
  if (!file.size || file.size > limit) {
    state.textContent = file.size ? `${file.name} has ${bytes(file.size)}; the limit is ${bytes(limit)}.` : `${file.name} is empty, or a folder: pack it into a zip first.`;
    return;
  }
  document.getElementById(`left-${nameOf(file)}`)?.remove();
  new Transfer(file).go();
}

// What was broken off by a reload: the file must be chosen again, the bytes that were sent need not.
function offer() {
  for (const old of transfers.querySelectorAll("[data-left]")) old.remove();
  for (const name of Object.keys(remembered())) {
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
chooser.addEventListener("change", () => { take(chooser.files[0]); chooser.value = ""; });
for (const kind of ["dragover", "dragenter"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files[0]); });
