// The admin's page that uploads a version: sends the artifact in parts and shows the progress of its inspection.
// Without this script the form posts everything through the server.
import { digestOf, followed, Memory, opened, Refused, sendParts, Server, Unreachable } from "./sending.js";

const form = document.getElementById("upload-form");
const panel = document.getElementById("upload-panel");
const part = (name) => panel.querySelector(`[data-part="${name}"]`);
const [title, stage, bar, figures, checks, problem, report, rows, again, cancel] = [
  "title", "stage", "bar", "figures", "checks", "problem", "report", "rows", "again", "cancel",
].map(part);
const button = form.querySelector("[type=submit]");

const server = new Server({ ...form.dataset, token: csrfToken });
const memory = new Memory(`${form.dataset.account} ${form.dataset.uploads}`);
const digests = new WeakMap();
const STEPS = {
  waiting: "Waiting for a worker", fetching: "A worker fetches the file", verifying: "A worker verifies the file",
  inspecting: "A worker inspects the file", storing: "Storing the file",
};
const SIGNS = { passed: "✓", warning: "⚠", failed: "✗", skipped: "–" };
// After this long, the page asks whether a worker is running.
const WAITING_MS = 15_000;

let running = null;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!running) start();
});
again.addEventListener("click", () => form.requestSubmit());
cancel.addEventListener("click", () => running?.abort(new Refused("canceled")));
window.addEventListener("beforeunload", (event) => { if (running && !cancel.hidden) event.preventDefault(); });

async function start() {
  const controller = new AbortController();
  running = controller;
  const data = new FormData(form);
  begin();
  try {
    await uploadAndFollow(data, controller.signal);
  } catch (error) {
    if (controller.signal.aborted) await canceled(data.get("artifact"));
    else failed(error, data.get("artifact"));
  } finally {
    running = null;
    if (!panel.dataset.leaving) setBusy(false);
  }
}

async function uploadAndFollow(data, signal) {
  const file = data.get("artifact");
  requireSize(file);
  tell("Checking what you typed");
  const { errors, registered_sha256: taken } = await checked(data, signal);
  if (errors.length) {
    showErrors(errors);
    return;
  }
  const digest = digesting(file, signal);
  digest.catch(() => {});  // the error is raised again where it is awaited
  // Of an archive, the file in it is registered, whose SHA-256 is not known here.
  if (taken && !/\.(zip|tar\.gz|tgz)$/i.test(file.name)) await requireSame(taken, digest, data);
  let upload = await opened(server, file, memory, signal);
  let ended;
  try {
    ended = await sentAndInspected(data, file, upload, digest, signal);
  } catch (error) {
    // An earlier attempt with this file was submitted with other options, and is still being inspected.
    if (upload.status === "open" || error.status !== 409) throw error;
    memory.forget(file);
    upload = await opened(server, file, memory, signal);
    ended = await sentAndInspected(data, file, upload, digest, signal);
  }
  memory.forget(file);
  if (ended.status === "published") {
    tell("Registered");
    panel.dataset.leaving = "yes";
    location.assign(`${form.dataset.uploaded}${ended.upload_id}/`);
  } else {
    refused(ended);
  }
}

async function sentAndInspected(data, file, upload, digest, signal) {
  if (upload.status === "open") {
    tell(upload.parts.length ? "Sending the rest of the file" : "Sending the file");
    const speed = speedometer();
    await sendParts(server, upload, file, {
      signal,
      onBytes: (bytes) => showBytes(bytes, file.size, speed(bytes)),
      onTrouble: (error) => { figures.textContent = `${error.message} Trying again …`; },
    });
  }
  tell("Computing the file’s SHA-256", { busy: true });
  const sha256 = await digest;
  tell("Asking for the inspection", { busy: true });
  const body = versionFields(data, upload.upload_id, sha256);
  const queued = await server.ask("POST", server.versions(data.get("model")), { body, signal });
  cancel.hidden = true;
  const queuedAt = Date.now();
  return followed(server, queued, { signal, onChange: (seen) => showInspection(seen, Date.now() - queuedAt) });
}

// Errors of the form are reported before the file is sent.
async function checked(data, signal) {
  const body = new FormData();
  for (const [name, value] of data) if (name !== "artifact") body.append(name, value);
  return server.ask("POST", form.dataset.check, { body, signal });
}

async function requireSame(taken, digest, data) {
  tell("Comparing the file with the registered one", { busy: true });
  if ((await digest) === taken) return;
  throw new Refused(`${data.get("model")} ${data.get("tag")} is another artifact. A version never changes: upload ` +
    "under a new tag.");
}

function requireSize(file) {
  if (!file.size) throw new Refused(`${file.name || "The file"} is empty. Choose the fitted pipeline.`);
  const most = Number(form.dataset.maxBytes);
  if (file.size > most) {
    throw new Refused(`${file.name} has ${inUnits(file.size)}; this server takes ${inUnits(most)} at most ` +
      "(MLSERVE_MAX_ARTIFACT_BYTES). Nothing was sent.");
  }
}

// Once per file, also when it is sent again.
function digesting(file, signal) {
  if (!digests.has(file)) {
    const digest = digestOf(file, { signal });
    digests.set(file, digest);
    digest.catch(() => digests.delete(file));
  }
  return digests.get(file);
}

// The form's fields under the names of the API.
function versionFields(data, uploadId, sha256) {
  const body = new FormData();
  const names = {
    tag: "tag", schema_class: "schema_class", expected_column: "expected_column", title: "title", is_public: "public",
  };
  for (const [own, name] of Object.entries(names)) if (data.get(own)) body.append(name, data.get(own));
  for (const name of ["schema", "sample", "expected", "form"]) {
    if (data.get(name)?.size) body.append(name, data.get(name));
  }
  for (const name of ["promote", "allow_other_versions"]) if (data.get(name)) body.append(name, "true");
  body.append("upload", uploadId);
  body.append("sha256", sha256);
  return body;
}

function begin() {
  for (const each of form.querySelectorAll(".mlserve-added")) each.remove();
  for (const each of form.querySelectorAll("[aria-invalid]")) each.removeAttribute("aria-invalid");
  for (const each of document.querySelectorAll(".mlserve-earlier")) each.remove();
  for (const each of [problem, report, again, checks, bar, figures]) each.hidden = true;
  for (const each of checks.children) showCheck(each, null);
  setBusy(true);
  cancel.hidden = panel.hidden = false;
  title.focus();
  panel.scrollIntoView({ block: "nearest" });
}

function setBusy(isBusy) {
  for (const fieldset of form.querySelectorAll("fieldset")) fieldset.disabled = isBusy;
  button.disabled = isBusy;
  if (!isBusy) cancel.hidden = true;
}

// Screen readers announce the stages only, not bytes and seconds.
function tell(text, { busy = false } = {}) {
  if (stage.textContent !== text) stage.textContent = text;
  if (busy) {
    bar.hidden = false;
    bar.removeAttribute("value");
    figures.hidden = true;
  }
}

function showBytes(bytes, total, speed) {
  bar.hidden = figures.hidden = false;
  bar.max = total;
  bar.value = bytes;
  const left = speed > 0 ? `, ${inUnits(speed)}/s, ${inTime((total - bytes) / speed)} left` : "";
  figures.textContent = `${inUnits(bytes)} of ${inUnits(total)}${bytes < total ? left : ""}`;
}

function showInspection(upload, waitedMs) {
  const { step, checks: done } = upload.progress ?? { step: "waiting", checks: [] };
  const isLong = step === "waiting" && waitedMs > WAITING_MS;
  tell(`${STEPS[step] ?? step}${isLong ? ". None has taken it yet: is one running, or is another file inspected?" : ""}`);
  bar.hidden = figures.hidden = checks.hidden = false;
  bar.max = checks.children.length;
  if (done.length) bar.value = done.length;
  else bar.removeAttribute("value");
  figures.textContent = "You may leave this page: the inspection goes on.";
  for (const each of done) showCheck(checks.querySelector(`[data-check="${CSS.escape(each.name)}"]`), each.status);
}

function showCheck(item, status) {
  if (!item) return;
  item.querySelector("[data-sign]").textContent = status ? `${SIGNS[status] ?? ""} ${status}` : "";
  if (status) item.className = `mlserve-${status}`;
  else item.removeAttribute("class");
}

function refused(upload) {
  const why = upload.problem ?? {};
  const told = upload.report ? "" : why.detail ?? why.title ?? "";
  complain(`${upload.status === "failed" ? "Failed" : "Refused"}, nothing was registered. ${told}`);
  if (upload.report) {
    rows.replaceChildren(...upload.report.checks.map(reportRow));
    checks.hidden = true;
    report.hidden = false;
  }
}

function reportRow(check) {
  const row = document.getElementById("upload-report-row").content.firstElementChild.cloneNode(true);
  const [question, status, detail, fix] = row.children;
  question.textContent = check.question;
  status.textContent = `${SIGNS[check.status] ?? ""} ${check.status}`;
  status.classList.add(`mlserve-${check.status}`);
  detail.textContent = onThisPage(check.detail);
  fix.textContent = onThisPage(check.fix);
  return row;
}

// A report names the fields of an upload as the API does, in backticks; here they have labels.
function onThisPage(text) {
  return text.replace(/`(\w+)`/g, (written, name) => {
    const label = form.elements.namedItem(name)?.labels?.[0]?.textContent.trim().replace(/:$/, "");
    return label ? `“${label}”` : written;
  });
}

function failed(error, file) {
  const isUnreachable = error instanceof Unreachable;
  const kept = isUnreachable && memory.recall(file) ? " What arrived stays on the server for a day." : "";
  const detail = isUnreachable || error instanceof Refused ? error.message : `Something went wrong in this page: ${error}.`;
  complain(`${detail}${kept}`);
  again.hidden = !(isUnreachable || error.status === 401);
  if (!again.hidden) again.focus();
}

async function canceled(file) {
  const id = memory.recall(file);
  memory.forget(file);
  complain("Canceled, nothing was registered.");
  // If the request fails, the server cancels the upload after a day.
  if (id) await server.askOnce("DELETE", server.upload(id)).catch(() => {});
}

function complain(text) {
  tell("");
  bar.hidden = figures.hidden = true;
  problem.textContent = text;
  problem.hidden = false;
  problem.focus();
}

// At the fields where they belong, as Django renders them.
function showErrors(errors) {
  panel.hidden = true;
  setBusy(false);
  let first = null;
  for (const { field, detail } of errors) {
    const input = form.elements[field];
    const list = document.createElement("ul");
    list.className = "errorlist mlserve-added";
    list.append(Object.assign(document.createElement("li"), { textContent: detail }));
    (input?.closest(".form-row") ?? form.querySelector("fieldset")).prepend(list);
    input?.setAttribute("aria-invalid", "true");
    first ??= input;
  }
  if (first) first.focus();
  else form.querySelector(".mlserve-added").scrollIntoView();
}

// Bytes per second over the last seconds.
function speedometer() {
  const seen = [];
  return (bytes) => {
    const now = performance.now();
    seen.push([now, bytes]);
    while (seen.length > 2 && now - seen[0][0] > 5000) seen.shift();
    const [then, before] = seen[0];
    return now - then > 500 ? (bytes - before) / (now - then) * 1000 : 0;
  };
}

// As mlserve/units.py writes sizes.
function inUnits(bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let size = bytes, unit = 0;
  while (Number(size.toFixed(1)) >= 1024 && unit < units.length - 1) [size, unit] = [size / 1024, unit + 1];
  return `${unit ? size.toFixed(1) : size} ${units[unit]}`;
}

function inTime(seconds) {
  if (!Number.isFinite(seconds)) return "?";
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

// The cookie is also right after a sign-in in another tab. Without a cookie, the form's field is used.
function csrfToken() {
  const cookie = document.cookie.split("; ").find((each) => each.startsWith(`${form.dataset.csrfCookie}=`));
  return cookie ? cookie.slice(form.dataset.csrfCookie.length + 1) : form.elements.csrfmiddlewaretoken.value;
}
