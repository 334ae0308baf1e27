// How the cluster stands, as the node that is asked sees it. Who is reached changes without any row: it is asked for
// every two seconds while somebody looks, and at once when a member or a center changes.
import { get, person } from "./api.js";
import { t } from "./i18n.js";
import { link, rowsOf, watchLink } from "./store.js";

const EVERY_MS = 2000;
// An election, or a node that has just begun, looks like trouble for a moment; nobody is told of that.
const PATIENCE_MS = 1900;
const nothing = () => ({ now: null, centers: [], wholeAt: 0, troubleAt: 0 });

/** `now`: the membership, null before the first answer; `centers`; `wholeAt`: when it last had a quorum and a leader,
 *  `troubleAt`: since when it has not (0: it has), as this page saw it, in ms. */
export const cluster = nothing();
const heard = new Set();
const away = new Map();
let due = 0, end = null, sign = "", asked = 0;

/** Members, and who they are by name or id. */
export const members = () => cluster.now?.members ?? [];
export const memberOf = (name) => members().find((one) => one.name === name || one.id === name) ?? null;
/** A node that is no cluster with others. */
export const alone = () => members().length < 2;
/** Since when a member is not reached, in ms, as this page saw it; 0: before it was opened. */
export const awaySince = (id) => away.get(id) ?? 0;
export const centerOf = (id) => cluster.centers.find((one) => one.node === id) ?? null;

const portOf = (address) => address.slice(address.lastIndexOf(":") + 1);

/** The center that serves this page, or null: then it is the panel of a node. */
export function centerHere() {
  const port = location.port || "443";
  const host = (url) => { try { return new URL(url).host; } catch { return ""; } };
  return cluster.centers.find((one) => one.name === link.node && (portOf(one.bind) === port || host(one.public_url) === location.host)) ?? null;
}

/** How many voters have to be reached. */
export const needed = (voters) => Math.floor(voters / 2) + 1;

/** `quorum` (too few voters are reached), `leader` (nobody leads), `part` (this node takes no part itself), or null when
 *  changes can be made. */
export function trouble() {
  if (!cluster.now || !cluster.troubleAt || Date.now() - cluster.troubleAt < PATIENCE_MS) return null;
  const { voters, voters_reached: reached, leader } = cluster.now;
  if (voters && reached < needed(voters)) return "quorum";
  return voters && !leader ? "leader" : "part";
}

const WHY = { quorum: "quorum.lost", leader: "quorum.no-leader", part: "quorum.no-part" };

/** That trouble as a sentence. */
export const troubled = (kind) => t(WHY[kind], { reached: cluster.now.voters_reached, voters: cluster.now.voters });

/** Why nothing can be changed now, as a sentence; empty when it can. */
export function blocked() {
  const kind = trouble();
  return kind ? troubled(kind) : "";
}

/** The moment of what is shown: when all was well, or else of the newest thing that this node knows. */
export function knownAt() {
  const moments = [...rowsOf("events").values(), ...rowsOf("operations").values()].map((one) => Date.parse(one.at ?? one.created_at));
  const seen = [...rowsOf("nodes").values()].map((one) => Date.parse(one.seen_at));
  return cluster.wholeAt || Math.max(0, ...[...moments, ...seen].filter((at) => at <= Date.now()));
}

/** Hear when something of it is another; returns how to stop. */
export function watchCluster(deed) {
  heard.add(deed);
  return () => heard.delete(deed);
}

/** Ask until `leaveCluster`. */
export function followCluster() {
  leaveCluster();
  const seen = () => { if (!document.hidden) look(); };
  document.addEventListener("visibilitychange", seen);
  const stop = watchLink((type, data) => {
    if (type === "link" || data.tables.some((table) => ["member", "center", "center_found"].includes(table))) look(true);
  });
  end = () => { stop(); document.removeEventListener("visibilitychange", seen); };
  look(true);
}

export function leaveCluster() {
  clearTimeout(due);
  asked += 1;
  end?.();
  end = null;
  away.clear();
  sign = "";
  Object.assign(cluster, nothing());
}

/** Ask now; `centers`: for the centers too. */
export async function look(centers = false) {
  clearTimeout(due);
  const mine = (asked += 1);
  try {
    const answers = await Promise.all([get("/v1/membership"), centers ? get("/v1/centers") : null]);
    if (mine !== asked) return;
    take(...answers);
  } catch { /* the age bar says when nothing answers */ }
  if (mine === asked && end && person()) due = setTimeout(() => { if (!document.hidden) look(); }, EVERY_MS);
}

function take(now, centers) {
  if (centers) cluster.centers = centers.items;
  const first = !cluster.now;
  const whole = now.quorum && now.leader;
  cluster.now = now;
  if (whole) cluster.wholeAt = Date.now();
  cluster.troubleAt = whole ? 0 : cluster.troubleAt || Date.now();
  for (const one of now.members) {
    if (one.reached !== false) away.delete(one.id);
    else if (!away.has(one.id)) away.set(one.id, first ? 0 : Date.now());
  }
  const { term, applied_index: _, ...rest } = now;
  const next = JSON.stringify([rest, term, cluster.centers, trouble()]);
  if (next === sign) return;
  sign = next;
  for (const deed of [...heard]) deed();
}
