// What the daemon knows, kept fresh by one stream. Rooms subscribe to kinds; a change says which rows changed.
import { get, list, open } from "./api.js";

const LISTS = {
  vms: ["/v1/vms", { foreign: "true", sort: "name" }], nodes: ["/v1/nodes"], images: ["/v1/images"], networks: ["/v1/networks"],
  pools: ["/v1/pools"], leases: ["/v1/leases"], disks: ["/v1/disks"], users: ["/v1/users"], tokens: ["/v1/tokens"],
  operations: ["/v1/operations", { sort: "-created_at", limit: "200" }],
  events: ["/v1/events", { sort: "-index", limit: "200" }],
};
// Tables of the state, and the lists that show them.
const SHOWN = {
  vm: ["vms", "nodes", "pools"], vm_found: ["vms"], vm_foreign: ["vms"], vm_disk: ["vms", "pools"], vm_nic: ["vms"],
  node: ["nodes"], node_away: ["nodes"], node_cordon: ["nodes"], node_domain: ["nodes"], member: ["nodes"], member_gone: ["nodes", "vms"], image: ["images"], network: ["networks"], lease: ["networks", "leases"], pool: ["pools"],
  pool_found: ["pools"], disk_kept: ["disks", "pools"], operation: ["operations"], event: ["events"],
  user: ["users"], session: ["users"], token: ["tokens"],
};
const LARGE = 1000;
const SILENCE_MS = 45_000;

const kinds = new Map(Object.keys(LISTS).map((name) => [name, { rows: new Map(), loaded: false, problem: null, heard: new Set(), due: 0, busy: false, stale: false, at: 0 }]));
const watchers = new Set();
/** The stream, and what the node that answers says of itself. */
export const link = { live: false, lostAt: 0, index: 0, id: "", node: "", version: "", halted: "" };
let stop = null;

/** Rows of a kind, by id. */
export const rowsOf = (name) => kinds.get(name).rows;
/** Loaded yet, and the last problem. */
export const stateOf = (name) => kinds.get(name);

/** Hear of changes of a kind: `heard(changed ids)`. Returns how to stop. Loads it when nobody had. */
export function watch(name, heard) {
  const kind = kinds.get(name);
  kind.heard.add(heard);
  if (!kind.loaded || kind.stale) soon(name, 0);
  return () => kind.heard.delete(heard);
}

/** Hear of the stream: `heard(type, data)` with `link` or `change`. */
export function watchLink(heard) {
  watchers.add(heard);
  return () => watchers.delete(heard);
}

function say(type, data) {
  for (const heard of watchers) heard(type, data);
}

/** Load a list again before long; many wishes become one request. */
export function soon(name, wait = 120) {
  const kind = kinds.get(name);
  if (!kind.heard.size) kind.stale = true;
  if (kind.due || !kind.heard.size) return;
  const rest = kind.rows.size > LARGE ? Math.max(wait, kind.at + 3000 - Date.now()) : wait;
  kind.due = setTimeout(() => { kind.due = 0; load(name); }, rest);
}

async function load(name) {
  const kind = kinds.get(name);
  if (kind.busy) return soon(name);
  kind.busy = true;
  kind.stale = false;
  const [path, query] = LISTS[name];
  const first = !kind.loaded;
  try {
    // A long list is shown as it comes: its first page does not wait for the last.
    put(kind, await list(path, query, (rows) => first && put(kind, rows, true)));
    kind.problem = null;
  } catch (problem) {
    kind.problem = problem;
    for (const heard of kind.heard) heard(new Set());
  }
  kind.busy = false;
  kind.at = Date.now();
}

function put(kind, items, partial = false) {
  const first = !kind.loaded || kind.partial;
  kind.partial = partial;
  const rows = new Map();
  const changed = new Set();
  for (const item of items) {
    const old = kind.rows.get(item.id);
    const same = old && JSON.stringify(old) === JSON.stringify(item);
    rows.set(item.id, same ? old : item);
    if (!same && !first) changed.add(item.id);
  }
  const gone = [...kind.rows.keys()].some((id) => !rows.has(id));
  kind.rows = rows;
  kind.loaded = true;
  if (first || changed.size || gone) for (const heard of [...kind.heard]) heard(changed);
}

/** One row anew, without its list. */
export async function touch(name, id) {
  const kind = kinds.get(name);
  try {
    const item = await get(`${LISTS[name][0]}/${encodeURIComponent(id)}`);
    const shown = Object.keys(kind.rows.values().next().value ?? item);
    const row = Object.fromEntries(shown.map((field) => [field, item[field]]));
    if (JSON.stringify(kind.rows.get(id)) === JSON.stringify(row)) return;
    kind.rows.set(id, row);
  } catch (problem) {
    if (problem.status !== 404) return;
    kind.rows.delete(id);
  }
  for (const heard of [...kind.heard]) heard(new Set([id]));
}

function changed({ index = 0, tables = [], events = [] }) {
  link.index = Math.max(link.index, index);
  const names = new Set(tables.flatMap((table) => SHOWN[table] ?? []));
  if (events.length) names.add("events");
  const machines = new Set(events.filter((event) => event.noun === "vm" && event.subject_id).map((event) => event.subject_id));
  // A long list is not read again for one row: the events name it.
  const few = rowsOf("vms").size > LARGE && machines.size > 0 && machines.size <= 20;
  if (few && names.delete("vms")) for (const id of machines) touch("vms", id);
  for (const name of names) soon(name);
  say("change", { tables, events });
}

/** Begin to follow; ends the stream before. */
export function follow() {
  leave();
  // The frame listens before the stream begins, and leaving dropped what it had asked for.
  for (const [name, kind] of kinds) if (kind.heard.size) soon(name, 0);
  const control = new AbortController();
  stop = () => control.abort();
  run(control.signal);
}

/** End the stream and forget everything: another person may sit down. */
export function leave() {
  stop?.();
  stop = null;
  Object.assign(link, { live: false, lostAt: 0, index: 0, id: "", node: "", version: "", halted: "" });
  for (const kind of kinds.values()) {
    clearTimeout(kind.due);
    Object.assign(kind, { rows: new Map(), loaded: false, partial: false, problem: null, due: 0 });
  }
}

async function run(signal) {
  let wait = 500;
  while (!signal.aborted) {
    const began = Date.now();
    try { await listen(signal); } catch { /* said by the age bar; tried again below */ }
    if (signal.aborted) return;
    if (link.live || !link.lostAt) link.lostAt = Date.now();
    link.live = false;
    say("link");
    wait = Date.now() - began > 10_000 ? 500 : Math.min(wait * 2, 15_000);
    await new Promise((done) => setTimeout(done, wait));
  }
}

async function listen(signal) {
  const control = new AbortController();
  const give = () => control.abort();
  signal.addEventListener("abort", give);
  let silence = setTimeout(give, SILENCE_MS);
  try {
    const more = { Accept: "text/event-stream", ...(link.id ? { "Last-Event-ID": link.id } : {}) };
    const answer = await open("/v1/events/stream", { more, signal: control.signal });
    const again = link.lostAt > 0;
    Object.assign(link, { live: true, lostAt: 0 });
    say("link");
    greet();
    if (again && !link.id) reset();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(give, SILENCE_MS);
      const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
      rest = blocks.pop();
      blocks.forEach(hear);
    }
  } finally {
    clearTimeout(silence);
    signal.removeEventListener("abort", give);
  }
}

async function greet() {
  try {
    const { node = "", version = "", halted = "" } = await get("/v1/health");
    Object.assign(link, { node, version, halted });
    say("link");
  } catch { /* the age bar says when nothing answers */ }
}

function hear(block) {
  let type = "message";
  const data = [];
  for (const line of block.split("\n")) {
    const at = line.indexOf(":");
    const value = line.slice(at + 1).replace(/^ /, "");
    if (line.startsWith("id:")) link.id = value;
    else if (line.startsWith("event:")) type = value;
    else if (line.startsWith("data:")) data.push(value);
  }
  if (type === "reset") reset();
  else if (type === "change" && data.length) changed(JSON.parse(data.join("\n")));
}

function reset() {
  for (const name of kinds.keys()) soon(name);
  say("change", { tables: Object.keys(SHOWN), events: [] });
}
