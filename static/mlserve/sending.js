// Send a file to the server or its storage in parts, with retries, and compute its digest. Independent of any page.
import { sha256 } from "./vendor/noble-hashes/sha2.js";

const SENDERS = 3;
// With the pauses between them, enough for a network that is unreachable for about a minute.
const ATTEMPTS = 8;
const LONGEST_PAUSE_MS = 15_000;
const ANSWER_MS = 60_000;
const HASHED_BYTES = 2 ** 20;
const ADDRESSES_AT_ONCE = 20;
const POLL_MS = 1000;
// Statuses after which the same request may succeed. A storage also refuses expired addresses and slow bodies, and its
// internal errors are temporary.
const TEMPORARY = new Set([408, 429, 502, 503, 504]);
const TEMPORARY_OF_STORAGE = new Set([...TEMPORARY, 400, 403, 500]);

// The server refused the request, or the file cannot be read: sending it again would not help.
export class Refused extends Error {
  constructor(detail, status = 0) {
    super(detail);
    this.status = status;
  }
}

// The server or the storage is unreachable, or answered with a temporary error: worth another attempt.
export class Unreachable extends Error {}

export class Server {
  // `uploads` and `models` are addresses of the API, `token()` gives the protection against forged requests.
  constructor({ uploads, models, token }) {
    this.uploads = uploads;
    this.models = models;
    this.token = token;
  }

  upload(id) {
    return `${this.uploads}/${encodeURIComponent(id)}`;
  }

  versions(model) {
    return `${this.models}/${encodeURIComponent(model)}/versions`;
  }

  async ask(method, url, { body, signal } = {}) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.askOnce(method, url, body, signal);
      } catch (error) {
        if (!(error instanceof Unreachable) || attempt === ATTEMPTS) throw error;
        await pauseBefore(attempt, signal);
      }
    }
  }

  async askOnce(method, url, body, signal = new AbortController().signal) {
    const headers = { Accept: "application/json", "X-CSRFToken": this.token() };
    const isForm = body instanceof FormData;
    if (body && !isForm) headers["Content-Type"] = "application/json";
    let answer;
    try {
      answer = await fetch(url, {
        method, headers, body: body && !isForm ? JSON.stringify(body) : body, redirect: "manual",
        signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
      });
      if (answer.type === "opaqueredirect") throw signedOut();
      const text = await answer.text();
      if (!answer.ok) throw refusalOf(answer.status, text, TEMPORARY);
      return text ? JSON.parse(text) : null;
    } catch (error) {
      if (error instanceof Refused || error instanceof Unreachable) throw error;
      signal.throwIfAborted();
      throw new Unreachable("The server does not answer.");
    }
  }
}

// The upload that an earlier attempt began with this file and that goes on, or a new one.
export async function opened(server, file, memory, signal) {
  const earlier = memory.recall(file);
  if (earlier) {
    const upload = await server.ask("GET", server.upload(earlier), { signal }).catch((error) => {
      if (error instanceof Refused && error.status === 404) return null;
      throw error;
    });
    if (upload?.size_bytes === file.size && ["open", "queued", "inspecting"].includes(upload.status)) return upload;
    memory.forget(file);
  }
  const body = { size_bytes: file.size, file_name: file.name };
  const upload = await server.ask("POST", server.uploads, { body, signal });
  memory.remember(file, upload.upload_id);
  return upload;
}

// Hexadecimal SHA-256. A mebibyte at a time, so that the page stays responsive; crypto.subtle takes whole files only.
export async function digestOf(file, { onBytes = () => {}, signal }) {
  const digest = sha256.create();
  for (let start = 0; start < file.size; start += HASHED_BYTES) {
    signal.throwIfAborted();
    const piece = await file.slice(start, start + HASHED_BYTES).arrayBuffer().catch(() => { throw unreadable(file); });
    digest.update(new Uint8Array(piece));
    onBytes(Math.min(start + HASHED_BYTES, file.size));
  }
  return Array.from(digest.digest(), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Sends the parts that have not arrived. `onBytes` gets the number of bytes sent, which falls when a part fails;
// `onTrouble` gets the error after which a part is tried again.
export async function sendParts(server, upload, file, { onBytes, onTrouble, signal }) {
  const sent = new Map(upload.parts.map((part) => [part.number, part.size_bytes]));
  const missing = [];
  for (let number = 1; number <= upload.part_count; number += 1) if (!sent.has(number)) missing.push(number);
  const addresses = new Addresses(server, upload, missing);
  const tell = (number, bytes) => {
    sent.set(number, bytes);
    onBytes([...sent.values()].reduce((sum, each) => sum + each, 0));
  };
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const sendOne = async (number) => {
    const start = (number - 1) * upload.part_bytes;
    const part = file.slice(start, start + upload.part_bytes);
    for (let attempt = 1; ; attempt += 1) {
      try {
        await put(server, await addresses.of(number, either), part, (bytes) => tell(number, bytes), either);
        tell(number, part.size);
        return;
      } catch (error) {
        tell(number, 0);
        if (!(error instanceof Unreachable) || attempt === ATTEMPTS) throw error;
        await readable(file);
        onTrouble(error);
        addresses.drop(number);
        await pauseBefore(attempt, either);
      }
    }
  };
  const queue = missing.values();
  const sender = async () => { for (const number of queue) await sendOne(number); };
  try {
    await Promise.all(Array.from({ length: SENDERS }, sender));
  } finally {
    stop.abort();
  }
}

// Polls until the upload has ended; `onChange` gets each state.
export async function followed(server, upload, { onChange, signal }) {
  for (let seen = upload; ; seen = await server.ask("GET", server.upload(upload.upload_id), { signal })) {
    onChange(seen);
    if (seen.status !== "queued" && seen.status !== "inspecting") return seen;
    await wait(POLL_MS, signal);
  }
}

// Which upload belongs to which file, kept when the page is loaded again.
export class Memory {
  constructor(name) {
    this.name = name;
  }

  key(file) {
    return `mlserve upload ${this.name} ${file.name} ${file.size} ${file.lastModified}`;
  }

  recall(file) {
    try { return localStorage.getItem(this.key(file)); } catch { return null; }
  }

  remember(file, id) {
    try { localStorage.setItem(this.key(file), id); } catch { /* without storage the upload cannot be resumed */ }
  }

  forget(file) {
    try { localStorage.removeItem(this.key(file)); } catch { /* the same */ }
  }
}

// Where each part goes: asked for in groups shortly before they are needed, and again after a failure.
class Addresses {
  constructor(server, upload, missing) {
    Object.assign(this, { server, upload, missing, known: new Map(), asking: null });
  }

  async of(number, signal) {
    while (!this.known.has(number)) {
      this.asking ??= this.askFrom(number, signal).finally(() => { this.asking = null; });
      await this.asking;
    }
    const { url, until } = this.known.get(number);
    if (Date.now() < until) return url;
    this.known.clear();
    return this.of(number, signal);
  }

  drop(number) {
    this.known.delete(number);
  }

  async askFrom(first, signal) {
    const numbers = this.missing.filter((number) => number >= first).slice(0, ADDRESSES_AT_ONCE);
    const own = `${this.server.upload(this.upload.upload_id)}/parts`;
    const answer = await this.server.ask("POST", own, { body: { numbers }, signal });
    const until = Date.now() + answer.expires_in_seconds * 500;
    for (const { number, url } of answer.parts) {
      // Behind a proxy a server may not know its own name, so the page's address is used.
      const isOwn = new URL(url, location.href).pathname.endsWith(`/uploads/${this.upload.upload_id}/parts/${number}`);
      this.known.set(number, { url: { href: isOwn ? `${own}/${number}` : url, isOwn }, until });
    }
    if (!this.known.has(first)) throw new Refused("The server gave no address for a part of the file.");
  }
}

// fetch() does not tell how much of a body was sent.
function put(server, { href, isOwn }, part, onBytes, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let timer = 0;
    const restartTimer = () => {
      clearTimeout(timer);
      timer = setTimeout(() => request.abort(), ANSWER_MS);
    };
    const abort = () => request.abort();
    request.open("PUT", href);
    if (isOwn) {
      request.setRequestHeader("X-CSRFToken", server.token());
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.setRequestHeader("Accept", "application/json");
    }
    request.upload.onprogress = (event) => { restartTimer(); onBytes(event.loaded); };
    request.onload = () => {
      if (request.status < 300) resolve();
      else reject(refusalOf(request.status, request.responseText, isOwn ? TEMPORARY : TEMPORARY_OF_STORAGE));
    };
    request.onerror = () => reject(new Unreachable(isOwn ? "The connection was lost." : lostStorage(href)));
    request.onabort = () => reject(signal.aborted ? signal.reason : new Unreachable("The connection stalled."));
    request.onloadend = () => { clearTimeout(timer); signal.removeEventListener("abort", abort); };
    signal.throwIfAborted();
    signal.addEventListener("abort", abort);
    restartTimer();
    request.send(part);
  });
}

// A browser does not say whether a storage was unreachable or does not allow this page to send to it.
function lostStorage(href) {
  return `The connection to ${new URL(href).host} was lost, or the storage does not allow uploads from ` +
    `${location.origin} (its CORS rules).`;
}

function refusalOf(status, text, temporary) {
  let detail = "";
  try {
    const problem = JSON.parse(text);
    const errors = (problem.errors ?? []).map((each) => `${each.pointer ?? ""}: ${each.detail ?? ""}`);
    detail = [problem.detail ?? problem.title, ...errors].filter(Boolean).join(" ");
  } catch {
    // A proxy's page, or a storage's XML.
  }
  detail ||= `The server answered ${status}.`;
  if (temporary.has(status)) return new Unreachable(detail);
  return status === 401 ? signedOut() : new Refused(detail, status);
}

const signedOut = () => new Refused("You are signed out. Sign in in another tab, then try again.", 401);

const unreadable = (file) => new Refused(`${file.name} was changed or moved meanwhile. Choose it again.`);

// Reading a file that was changed fails with the same error as an unreachable network.
async function readable(file) {
  await file.slice(0, 1).arrayBuffer().catch(() => { throw unreadable(file); });
}

// Doubled each time, half of it random, so that many clients do not retry at the same moment.
function pauseBefore(attempt, signal) {
  return wait(Math.min(LONGEST_PAUSE_MS, 500 * 2 ** (attempt - 1)) * (1 + Math.random()) / 2, signal);
}

function wait(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}
