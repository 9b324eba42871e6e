// The item browser's constants, elements and number formats. page.py joins items-*.js.
// What came from a model or a dataset becomes text nodes and attributes only, never markup.

const PAGE = 50; // rows of the list at once
const [COLUMN, GAP] = [272, 20]; // pixels, as in items.css
const SHADES = {
  entropy: { label: "Entropy", unit: "nats", about: " of the prediction before the token; stronger: less certain", by: 100 },
  surprise: { label: "Log-probability", unit: "nats", about: " of the token; stronger: less expected", by: -100 },
  settling: { label: "Settling depth", unit: "", about: ": the layer at which the prediction settles; stronger: later", by: 1 },
  attention: { label: "Attention entropy", unit: "", about: " / maximum, mean over layers; stronger: spread more widely", by: 1000 },
};
const VERDICTS = { right: "right", wrong: "wrong", unread: "no answer", none: "not asked" };
const DEFAULTS = {
  model: "0", q: "", dataset: "", role: "", verdict: "", excluded: "", presence: "", sort: "rev", of: "a", dir: "down",
  shade: "entropy", item: "",
};

const root = document.getElementById("items");
const packed = document.getElementById("items-data");
const region = (name) => root.querySelector(`[data-items="${name}"]`);

let data;
let pairs; // the choices of the model select: { label, sides: [model of A, model of B] }
let rows = []; // the items of the selected pair
let filtered = []; // the rows that pass the filters, sorted
let cursor = 0; // index in `filtered` of the row that the keyboard is on
let drawnWidth = 0; // of the detail, when it was last drawn
let serial = 0;
const state = { ...DEFAULTS };

function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, value);
  element.append(...children.flat(Infinity).filter((child) => child !== null));
  return element;
}

function disclosure(summary, ...children) {
  return el("details", {}, el("summary", {}, summary), ...children);
}

function table(caption, heads, lines) {
  const cells = (line) => line.map((cell, index) => el(index ? "td" : "th", index ? {} : { scope: "row" }, cell));
  const head = el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head))));
  const body = el("tbody", {}, lines.map((line) => el("tr", {}, cells(line))));
  const content = el("table", {}, el("caption", { class: "items-hidden" }, caption), head, body);
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, content);
}

const isKnown = (value) => value !== null && value !== undefined;

function number(value, signed = false) {
  if (!isKnown(value)) return "–";
  const size = Math.abs(value);
  const digits = Number.isInteger(value) && !signed ? 0 : size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  const short = size > 0 && size < 0.001 ? size.toPrecision(2) : size.toFixed(digits);
  return (value < 0 ? "−" : signed && value > 0 ? "+" : "") + short;
}

const percent = (share) => `${Math.round(100 * share)} %`;
const measureName = (measure) => {
  const score = measure.replace(/_z$/, "");
  return (data.labels[score] || score) + (score === measure ? "" : ", z");
};
const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

function ordinal(count) {
  const ending = { one: "st", two: "nd", few: "rd", other: "th" };
  return count + ending[new Intl.PluralRules("en", { type: "ordinal" }).select(count)];
}

/** Return the index that a key moves to, or null for other keys. */
function keyTarget(event, steps, index, count) {
  if (!(event.key in steps) || event.ctrlKey || event.altKey || event.metaKey) return null;
  event.preventDefault();
  return Math.min(Math.max(index + steps[event.key], 0), count - 1);
}

/** Return the value at the share `q` of the sorted values. */
function quantile(values, q) {
  const sorted = values.filter(isKnown).sort((a, b) => a - b);
  return sorted.length ? sorted[Math.round(q * (sorted.length - 1))] : 0;
}
