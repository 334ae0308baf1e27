// Sentences of the server's: in the viewer's language, or in English where this page does not know them.
import { known, language, said } from "../i18n.js";
import { h } from "./dom.js";

/** `sentence`: what the English `text` was made of, or null. */
export const told = (sentence, text) => said(sentence) ?? (text ? h("span", { lang: "en" }, text) : "");

/** What an operation is doing or waiting for, as plain text. */
export const stepOf = (operation) => said(operation.step_said) ?? operation.step;

const reason = (word) => known(`reason.${word.replaceAll(" ", "-")}`) ?? word;

/** libvirt's own word for why a machine is as it is. */
export const reasonOf = (vm) => reason(vm.state_reason);

const low = (word) => word.toLocaleLowerCase(language());

// Values that are words of ours.
const WORDS = { reason, role: (word) => low(known(`role.${word}`) ?? word), power: (word) => low(known(`state.${word}`) ?? word) };

const happened = ({ text_said: one }) => one && { code: one.code, values: Object.fromEntries(Object.entries(one.values).map(([name, value]) => [name, WORDS[name]?.(value) ?? value])) };

/** What happened, as plain text; and as it is shown. */
export const textOf = (event) => said(happened(event)) ?? event.text;
export const eventSays = (event) => told(happened(event), event.text);
