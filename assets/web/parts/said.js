// Sentences of the server's: in the viewer's language, or in English where this page does not know them.
import { known, said } from "../i18n.js";
import { h } from "./dom.js";

/** `sentence`: what the English `text` was made of, or null. */
export const told = (sentence, text) => said(sentence) ?? (text ? h("span", { lang: "en" }, text) : "");

/** What an operation is doing or waiting for, as plain text. */
export const stepOf = (operation) => said(operation.step_said) ?? operation.step;

/** libvirt's own word for why a machine is as it is. */
export const reasonOf = (vm) => known(`reason.${vm.state_reason.replaceAll(" ", "-")}`) ?? vm.state_reason;
