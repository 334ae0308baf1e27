// Requests to the daemon. The bearer lives in memory and in this tab's sessionStorage, never in a cookie.
import { refusal, t } from "./i18n.js";

const KEY = "girginosvm.session";
let session = read();

function read() {
  try { return JSON.parse(sessionStorage.getItem(KEY)); } catch { return null; }
}

function keep(value) {
  session = value;
  try {
    if (value) sessionStorage.setItem(KEY, JSON.stringify(value));
    else sessionStorage.removeItem(KEY);
  } catch { /* without storage the session lasts as long as the page */ }
}

/** Why a request was not done: a sentence, a stable code, and what is wrong with which field. */
export class Problem extends Error {
  constructor(status, body) {
    // What the cluster could not agree on is said the same way everywhere, and in the person's language.
    const apart = body.family === "NoQuorum" && status !== 0;
    const code = body.code ?? (body.type ?? "").split("/").pop();
    super(apart ? t("refused.no-quorum") : body.detail ? refusal({ code, detail: body.detail }) : body.title || t("problem.status", { status }));
    this.status = status;
    this.code = code;
    this.hint = apart ? "" : body.hint ?? "";
    this.faults = body.faults ?? body.errors ?? [];
  }
}

/** Who is signed in: `{name, token, role}` or null. */
export const person = () => session;

/** A key that makes a repeated command the same command. */
export const newKey = () => crypto.randomUUID?.() ?? [...crypto.getRandomValues(new Uint8Array(16))].map((n) => n.toString(16).padStart(2, "0")).join("");

function headers(more) {
  const bearer = session ? { Authorization: `Bearer ${session.token}` } : {};
  return { Accept: "application/json, application/problem+json", ...bearer, ...more };
}

async function problemOf(answer) {
  let body = {};
  try { body = await answer.json(); } catch { /* no JSON: the status has to say it */ }
  if (answer.status === 401 && session) signOut();
  return new Problem(answer.status, body);
}

/** The raw answer of a request, for streams. Throws Problem. */
export async function open(path, { method = "GET", more = {}, body, signal } = {}) {
  let answer;
  try {
    answer = await fetch(path, { method, headers: headers(more), body, signal, cache: "no-store", credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { detail: t("problem.offline"), code: "offline" });
  }
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

/** The JSON body of an answer. */
export async function get(path, signal) {
  return (await open(path, { signal })).json();
}

/** A text as a header can carry it: 200 printable ASCII characters at most, letters without their marks. */
export const plain = (text) => text.replaceAll("ı", "i").normalize("NFKD").replace(/[^\x20-\x7e]/g, "").trim().slice(0, 200);

/** What has no key: a second one is another deed, or none at all, and the daemon refuses a key that it cannot keep. */
export const keyless = (path) => /^\/v1\/(auth\/|witness$|cluster\/recover$|membership\/(join|leave|admit)$)/.test(path);

/** A command. The same `key` twice is done once; `why` stands in the history. */
export async function send(method, path, body = {}, key = newKey(), why = "") {
  const more = { "Content-Type": "application/json", ...(keyless(path) ? {} : { "Idempotency-Key": key }), ...(plain(why) ? { "X-Why": plain(why) } : {}) };
  const answer = await open(path, { method, more, body: JSON.stringify(body) });
  return answer.status === 204 ? null : answer.json();
}

/** All rows of a list, page by page; `sofar(rows)` after each page but the last. */
export async function list(path, query = {}, sofar = () => {}) {
  const rows = [];
  let cursor = "";
  do {
    const answer = await get(`${path}?${new URLSearchParams({ limit: "1000", ...query, ...(cursor ? { cursor } : {}) })}`);
    rows.push(...answer.items);
    cursor = query.limit ? "" : answer.next;
    if (cursor) sofar(rows);
  } while (cursor);
  return rows;
}

/** Send a file as the body; `progress(share)` while it goes. fetch cannot tell how far it is. Throws Problem. */
export function sendFile(path, file, progress, key = newKey()) {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    const answer = () => { try { return JSON.parse(request.responseText); } catch { return {}; } };
    request.open("POST", path);
    for (const [name, value] of Object.entries(headers({ "Content-Type": "application/octet-stream", "Idempotency-Key": key }))) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => progress(event.total ? event.loaded / event.total : 0));
    request.addEventListener("load", () => (request.status < 300 ? done(answer()) : fail(new Problem(request.status, answer()))));
    request.addEventListener("error", () => fail(new Problem(0, { detail: t("problem.offline"), code: "offline" })));
    request.send(file);
  });
}

/** Begin a session; `fresh` is a new password in the place of one that somebody else gave. Answers whether such a
 *  new one is needed first. Throws Problem when the words are wrong. */
export async function signIn(name, password, fresh = "") {
  const answer = await send("POST", "/v1/auth/login", { email: name, password });
  if (!answer.must_change_password) {
    keep({ name, token: answer.token, role: answer.role });
    return false;
  }
  if (!fresh) return true;
  const more = { Authorization: `Bearer ${answer.token}`, "Content-Type": "application/json" };
  const changed = await open("/v1/auth/password", { method: "POST", more, body: JSON.stringify({ current: password, new: fresh }) });
  keep({ name, token: (await changed.json()).token, role: answer.role });
  return false;
}

/** Ask which role this session has by now; answers whether that is news. */
export async function learnRole() {
  const { role } = await get("/v1/auth/whoami");
  if (!session || session.role === role) return false;
  keep({ ...session, role });
  return true;
}

/** The session goes on with another token: the password was changed. */
export const renewed = (token) => keep({ ...session, token });

/** End the session here, and there when it can be reached. */
export function signOut() {
  const old = session;
  keep(null);
  if (old) fetch("/v1/auth/logout", { method: "POST", headers: { Authorization: `Bearer ${old.token}`, "Content-Type": "application/json" }, body: "{}", credentials: "omit" }).catch(() => {});
  dispatchEvent(new Event("signed-out"));
}
