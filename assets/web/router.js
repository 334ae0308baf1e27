// Places of the panel as addresses after `#`: each can be sent to a colleague.

/** Where we are: `{path: ["machines", id], query: URLSearchParams}`. */
export function here() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { path: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) };
}

/** The address of a place. */
export function to(...parts) {
  return `#/${parts.map(encodeURIComponent).join("/")}`;
}

/** Go there; `replace` leaves no step in the history. */
export function go(address, { replace = false } = {}) {
  if (address === location.hash) return;
  if (replace) {
    history.replaceState(null, "", address);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else location.hash = address;
}

/** What this browser remembers under a name; with `value`: remember it. */
export function keepsake(name, value = null) {
  try {
    if (value !== null) localStorage.setItem(`girginosvm.${name}`, value);
    return localStorage.getItem(`girginosvm.${name}`);
  } catch { return null; /* a private window keeps nothing */ }
}

/** Keep `values` in the address's query without a step in the history and without drawing anew. */
export function remember(values) {
  const { path, query } = here();
  for (const [name, value] of Object.entries(values)) value ? query.set(name, value) : query.delete(name);
  const text = query.toString();
  history.replaceState(null, "", to(...path) + (text ? `?${text}` : ""));
}
