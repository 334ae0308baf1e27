// Words and numbers in the person's language.
import en from "./i18n/en.js";
import tr from "./i18n/tr.js";

const CATALOGUES = { en, tr };
const KEY = "girginosvm.language";
let current = read();

function read() {
  let kept = null;
  try { kept = localStorage.getItem(KEY); } catch { /* a private window keeps nothing */ }
  if (kept in CATALOGUES) return kept;
  return navigator.language.toLowerCase().startsWith("tr") ? "tr" : "en";
}

/** The language in use: `en` or `tr`. */
export const language = () => current;

/** Use another language from now on; the caller draws anew. */
export function setLanguage(name) {
  current = name in CATALOGUES ? name : "en";
  document.documentElement.lang = current;
  try { localStorage.setItem(KEY, current); } catch { /* as above */ }
}

/** The text of `key`, `{name}` replaced by `values.name`. A missing key shows itself. */
export function t(key, values = {}) {
  const text = CATALOGUES[current][key] ?? en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** The text of `key`, or null: for words that the server may know and this file may not. */
export function known(key) {
  return CATALOGUES[current][key] ?? en[key] ?? null;
}

/** What the server says by a code and values; null when this page does not know the code: then its English is shown. */
export function worded(key, values = {}) {
  const shown = Object.entries(values).map(([name, value]) => [name, Array.isArray(value) ? joined(value) : typeof value === "number" ? number(value) : value]);
  return known(key) === null || shown.some(([, value]) => value === null) ? null : t(key, Object.fromEntries(shown));
}

function joined(sentences) {
  const texts = sentences.map(said);
  return texts.includes(null) ? null : texts.join(", ");
}

/** One of the server's own sentences, {code, values}; null as above, and when the server has none. */
export const said = (one) => one && worded(`says.${one.code}`, one.values);

/** A problem's name and, behind it, the server's own sentence, which is English: that alone is enough for who reads it. */
export function refusal({ code, detail }) {
  const title = current === "en" ? null : known(`title.${code}`);
  return title ? `${title}: ${detail}` : detail;
}

/** A number with the language's separators. */
export function number(value, digits = 0) {
  return new Intl.NumberFormat(current, { maximumFractionDigits: digits }).format(value);
}

/** Bytes as GiB or TiB. */
export function bytes(value) {
  const gib = value / 2 ** 30;
  if (gib >= 1024) return `${number(gib / 1024, 1)} TiB`;
  if (gib >= 1 || value === 0) return `${number(gib, gib < 10 ? 1 : 0)} GiB`;
  return value >= 2 ** 20 ? `${number(value / 2 ** 20, 0)} MiB` : `${number(value / 2 ** 10, 0)} KiB`;
}

/** MiB as GiB (or MiB below one). */
export const mebibytes = (value) => bytes(value * 2 ** 20);

const STEPS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** A moment as a distance from now: "3 min ago". */
export function ago(moment) {
  const seconds = Math.round((Date.parse(moment) - Date.now()) / 1000);
  const [unit, size] = STEPS.find(([, length]) => Math.abs(seconds) >= length) ?? STEPS[3];
  const style = { numeric: "auto", style: "short" };
  return new Intl.RelativeTimeFormat(current, style).format(Math.trunc(seconds / size), unit);
}

/** A moment in the viewer's zone, to the second. */
export function moment(text) {
  return new Intl.DateTimeFormat(current, { dateStyle: "medium", timeStyle: "medium" }).format(new Date(text));
}

/** A moment (ms) as a time of day in the viewer's zone; with the date when it is not of today. */
export function clock(at) {
  const today = new Date(at).toDateString() === new Date().toDateString();
  return new Intl.DateTimeFormat(current, { dateStyle: today ? undefined : "medium", timeStyle: "medium", hourCycle: "h23" }).format(new Date(at));
}

/** Seconds as "4 min 12 s". */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return t("unit.s", { n: number(whole) });
  if (whole < 3600) return t("unit.min-s", { min: Math.floor(whole / 60), s: whole % 60 });
  return t("unit.h-min", { h: number(Math.floor(whole / 3600)), min: Math.floor((whole % 3600) / 60) });
}
