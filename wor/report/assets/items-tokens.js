// The selected item's continuation: its tokens, their shading and their numbers.

function score(row, side, which, token) {
  const values = detail(row, side, which);
  const [start, end] = detail(row, side, "window");
  if (which === "entropy" || which === "surprise") return values[token] ?? null;
  return token >= start && token < end ? (values[token - start] ?? null) : null;
}

/** Return the values that are drawn lightest and darkest. All items share them, so that items compare. */
function scale(which) {
  currentPair().scales ??= {};
  currentPair().scales[which] ??= limits(which);
  return currentPair().scales[which];
}

function limits(which) {
  const both = models().filter(Boolean);
  if (which === "settling") return [1, Math.max(...both.map((model) => model.n_layers))];
  const values = both.flatMap((model) => (model.details[which] || []).flatMap((each) => each || []));
  return [which === "attention" ? quantile(values, 0.01) : 0, quantile(values, 0.99)];
}

function level(value, [low, high]) {
  return high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0;
}

const shadeText = (which, value) => `${number(value / SHADES[which].by)}${SHADES[which].unit && ` ${SHADES[which].unit}`}`;

function tokenText(row, side, token) {
  const parts = [];
  const surprise = score(row, side, "surprise", token);
  for (const [which, { label }] of Object.entries(SHADES)) {
    const value = score(row, side, which, token);
    const text = which === "settling" ? `layer ${value} of ${models()[side].n_layers}` : shadeText(which, value ?? 0);
    if (isKnown(value)) parts.push(`${label.toLowerCase()} ${text}`);
  }
  if (isKnown(surprise)) parts.unshift(`probability ${number(Math.exp(-surprise / 100))}`);
  for (const [span, words] of [["window", "in the window"], ["answer_span", "in the answer"]]) {
    const [start, end] = detail(row, side, span);
    if (token >= start && token < end) parts.push(words);
  }
  return parts.join(", ");
}

function tokenNodes(text) {
  if (text === "") return [el("span", { class: "items-space" }, "▫")];
  const blank = text.trim() === "";
  return text.split(/(\n| )/).filter(Boolean).map((piece) => {
    if (piece === "\n") return [el("span", { class: "items-space" }, "↵"), "\n"];
    return piece === " " && blank ? el("span", { class: "items-space" }, "·") : piece;
  });
}

function spokenToken(text) {
  if (text === "") return "part of a character";
  return text.replaceAll("\n", "new line").trim() || "space";
}

function tokens(row, side, divergence) {
  const texts = detail(row, side, "tokens");
  const label = `Tokens of the continuation${letter(side) && ` of ${letter(side)}`}. Arrow keys move.`;
  const about = { role: "listbox", "aria-label": label, "aria-orientation": "horizontal", "data-side": side };
  const box = el("div", { class: "items-tokens", ...about }, texts.map((text, index) => token(row, side, index, divergence)));
  const invitation = "Point at a token, or move with the arrow keys, to see its numbers.";
  const readout = el("p", { class: "items-readout" }, invitation);
  const read = (element) => {
    const index = Number(element.dataset.token);
    const quoted = el("span", { class: "items-readout-token" }, JSON.stringify(texts[index]));
    readout.replaceChildren(quoted, ` token ${index + 1} of ${texts.length}: ${tokenText(row, side, index)}`);
  };
  box.addEventListener("pointerover", (event) => {
    const element = event.target.closest("[data-token]");
    if (element) read(element);
  });
  box.addEventListener("click", (event) => event.target.closest("[data-token]")?.focus());
  box.addEventListener("focusin", (event) => {
    for (const other of box.querySelectorAll('[tabindex="0"]')) fill(other, { tabindex: "-1", "aria-selected": "false" }, []);
    fill(event.target, { tabindex: "0", "aria-selected": "true" }, []);
    read(event.target);
  });
  box.addEventListener("keydown", tokenKey);
  return [box, readout];
}

/** Return the tags of what begins at a token, and the token. */
function token(row, side, index, divergence) {
  const text = detail(row, side, "tokens")[index];
  const [from, to] = detail(row, side, "settling")?.length ? detail(row, side, "window") : [-1, -1];
  const [opens, closes] = detail(row, side, "answer_span");
  const tag = (kind, words) => el("span", { class: `items-tag items-tag-${kind}`, "aria-hidden": "true" }, words);
  const classes = ["items-token"];
  if (index >= from && index < to) classes.push("items-in-window");
  if (index >= opens && index < closes) classes.push("items-in-answer");
  const attributes = {
    class: classes.join(" "), role: "option", "aria-selected": "false", tabindex: index ? "-1" : "0", "data-token": index,
    "aria-label": `${spokenToken(text)}: ${tokenText(row, side, index)}`,
  };
  return [
    index === from ? tag("window", "window") : null,
    index === opens && opens < closes ? tag("answer", "answer") : null,
    index === divergence ? tag("divergence", "≠") : null,
    el("span", attributes, tokenNodes(text)),
  ];
}

function tokenKey(event) {
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10, Home: -Infinity, End: Infinity };
  const all = [...event.currentTarget.querySelectorAll("[data-token]")];
  all[keyTarget(event, steps, all.indexOf(event.target), all.length)]?.focus();
}

function tokenTable(row, side) {
  const heads = ["#", "Token", ...Object.values(SHADES).map(({ label }) => label)];
  const lines = detail(row, side, "tokens").map((text, index) => [
    String(index + 1),
    el("code", {}, JSON.stringify(text)),
    ...Object.keys(SHADES).map((which) => {
      const value = score(row, side, which, index);
      return isKnown(value) ? number(value / SHADES[which].by) : "";
    }),
  ]);
  return disclosure("The numbers", table(`Tokens and their numbers${letter(side) && `, ${letter(side)}`}`, heads, lines));
}

function firstDifference(row) {
  const [a, b] = [detail(row, 0, "tokens"), detail(row, 1, "tokens")];
  if (!a || !b) return null;
  const limit = Math.max(a.length, b.length);
  for (let index = 0; index < limit; index++) if (a[index] !== b[index]) return index;
  return -1;
}

function divergenceLine(row, divergence) {
  if (divergence === null) return null;
  const [a, b] = [detail(row, 0, "tokens"), detail(row, 1, "tokens")];
  const line = (...children) => el("p", { class: "items-divergence" }, children);
  if (divergence < 0) return line(`Both have the same ${plural(a.length, "token")}.`);
  const next = (list) => (divergence < list.length ? JSON.stringify(list.slice(divergence, divergence + 3).join("")) : "nothing");
  const alike = divergence ? `The same for ${plural(divergence, "token")}` : "Different from the first token";
  return line(`${alike}; then A continues with `, el("code", {}, next(a)), ", B with ", el("code", {}, next(b)), ".");
}

function continuations(row) {
  const sides = tokenSides(row);
  if (!sides.length) return null;
  const divergence = firstDifference(row);
  const columns = sides.map((side) => {
    const title = comparing() ? `${letter(side)}: ${data.iterations[side].name}` : null;
    const plain = el("p", { class: "items-hidden items-plain" }, continuation(row, side));
    const parts = [title && el("h5", {}, title), plain, tokens(row, side, divergence), tokenTable(row, side)];
    return el("div", { class: "items-continuation" }, parts);
  });
  const parallel = el("div", { class: "items-sides" }, columns);
  return el("section", {}, el("h4", {}, "Continuation"), divergenceLine(row, divergence), shading(row), parallel);
}

function shading(row) {
  const group = `items-shade-${++serial}`;
  const choice = (value, label) => {
    const radio = el("input", { type: "radio", name: group, value });
    radio.checked = state.shade === value;
    radio.addEventListener("change", () => {
      state.shade = value;
      saveAddress();
      paint(row);
    });
    return el("label", {}, radio, el("span", {}, label));
  };
  const choices = [...Object.entries(SHADES).map(([which, { label }]) => choice(which, label)), choice("none", "None")];
  return [
    el("fieldset", { class: "items-shades" }, el("legend", {}, "Shade tokens by"), choices),
    el("p", { class: "items-legend" }),
  ];
}

function legend() {
  const marks = [
    el("br"),
    el("span", { class: "items-key items-in-window" }, "window"), " the tokens that are measured ",
    el("span", { class: "items-key items-in-answer" }, "answer"), " the stated answer",
  ];
  if (state.shade === "none") return marks;
  const ends = scale(state.shade).map((end) => shadeText(state.shade, end));
  const steps = [0, 0.2, 0.4, 0.6, 0.8, 1].map((t) => {
    const step = el("span", { class: "items-step" });
    step.style.setProperty("--t", t);
    return step;
  });
  const bar = el("span", { class: "items-steps", "aria-hidden": "true" }, steps);
  const { label, about } = SHADES[state.shade];
  const [model] = models().filter(Boolean);
  const deep = state.shade === "settling" ? ` DTR counts layer ${model.deep_layer} and later.` : "";
  return [el("span", { class: "items-scale" }, ends[0], bar, ends[1]), ` ${label}${about}.${deep}`, ...marks];
}

function paint(row) {
  region("detail").querySelector(".items-legend")?.replaceChildren(...legend());
  for (const box of region("detail").querySelectorAll(".items-tokens")) {
    const side = Number(box.dataset.side);
    for (const token of box.querySelectorAll("[data-token]")) {
      const value = state.shade === "none" ? null : score(row, side, state.shade, Number(token.dataset.token));
      token.style.setProperty("--t", isKnown(value) ? level(value, scale(state.shade)) : 0);
    }
  }
}
