// What the role of the person who is signed in lets them do. The server decides (core/access.py); this keeps the buttons
// away that it would refuse. A test holds the two against each other.
import { person } from "./api.js";

const ADMIN_NOUNS = ["user", "token", "session", "settings"];
const ADMIN_READS = ["user.read", "token.read"];
const ADMIN_DEEDS = ["membership.token", "membership.join", "membership.leave", "membership.remove", "cluster.recover", "center.promote", "center.demote", "event.retain"];
// Forms, and what sending one needs.
const FORMS = {
  "machines/new": "vm.create", "images/new": "image.create", "images/upload": "image.create", "network/new": "network.create", "storage/new": "pool.create",
  "settings/users/new": "user.create", "settings/tokens/new": "token.create", "cluster/join": "membership.join", "cluster/witness": "membership.join",
};

/** `role` may use actions that ask for `permission`. */
export function allowed(role, permission) {
  const [noun, verb] = permission.split(".");
  if (verb === "report") return false;
  if (role === "admin" || noun === "self") return true;
  if (ADMIN_READS.includes(permission) || ADMIN_DEEDS.includes(permission)) return false;
  return verb === "read" || (role === "operator" && !ADMIN_NOUNS.includes(noun));
}

/** The person may; also where nothing is asked for, and while their role is not known yet. */
export function may(permission = "") {
  const role = person()?.role;
  return !permission || !role || allowed(role, permission);
}

/** The person may send the form at this address; any other address is open to all. */
export const mayOpen = (address) => may(FORMS[address.replace(/^#\//, "").split("?")[0]]);
