// The item browser. What came from a model or a dataset becomes text nodes and attributes only, never markup.
(() => {
  "use strict";

  const PAGE = 50; // rows of the list at once
  const [COLUMN, GAP] = [272, 20]; // pixels: a figure's least width and what is between two, as in items.css
  const NAMES = {
    token_len: "prompt length, tokens", cot_len: "thought length, tokens", n_generated: "tokens generated",
    avg_logprob: "mean log-probability", perplexity: "perplexity", prompt_perplexity: "perplexity of the prompt",
    correct: "correct", steps: "steps of the solution", paraphrase_share: "words changed in paraphrases",
    apl_depth: "APL, mean depth", ape_all_keys: "APE, all keys", ape_no_sink: "APE, without the sink", ape_nats: "APE, nats",
  };
  const SHADES = {
    entropy: { label: "Entropy", unit: "nats", about: " of the prediction before the token; stronger: less certain", by: 100 },
    surprise: { label: "Log-probability", unit: "nats", about: " of the token; stronger: less expected", by: -100 },
    settled: {
      label: "Settling depth", unit: "", by: 1,
      about: ", the layer at which the prediction settles; stronger: later; window only",
    },
    attention: {
      label: "Attention entropy", unit: "", by: 1000,
      about: ", as a share of its maximum, mean over layers; stronger: spread more widely; window only",
    },
  };
  const VERDICTS = { right: "right", wrong: "wrong", unread: "no answer", none: "not asked" };
  const DEFAULTS = {
    model: "0", q: "", dataset: "", role: "", verdict: "", excluded: "", presence: "", sort: "rev", of: "a", dir: "down",
    shade: "entropy", item: "",
  };

  const root = document.getElementById("items");
  const packed = document.getElementById("items-data");
  if (!root || !packed) return;
  const part = (name) => root.querySelector(`[data-items="${name}"]`);

  let data;
  let pairs; // what a model select chooses from: { label, sides: [model of A, model of B] }
  let rows = []; // the items of the chosen pair
  let shown = []; // of these, what the filters leave, sorted
  let at = 0; // the row that the keyboard is on
  let width = 0; // that the detail was drawn for
  let serial = 0;
  const state = { ...DEFAULTS };

  // --- Elements

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
    return el(
      "div",
      { class: "items-scroll", tabindex: "0", role: "region", "aria-label": caption },
      el(
        "table",
        {},
        el("caption", { class: "items-hidden" }, caption),
        el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
        el("tbody", {}, lines.map((line) => el("tr", {}, cells(line)))),
      ),
    );
  }

  // --- Numbers

  const known = (value) => value !== null && value !== undefined;

  function number(value, signed = false) {
    if (!known(value)) return "–";
    const size = Math.abs(value);
    const digits = Number.isInteger(value) && !signed ? 0 : size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
    const short = size > 0 && size < 0.001 ? size.toPrecision(2) : size.toFixed(digits);
    return (value < 0 ? "−" : signed && value > 0 ? "+" : "") + short;
  }

  const percent = (share) => `${Math.round(100 * share)} %`;
  const name = (measure) => {
    const score = measure.replace(/_z$/, "");
    const shown = data.scores[score];
    return shown ? shown + (score === measure ? "" : ", z") : NAMES[measure] || measure;
  };
  const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;

  function ordinal(count) {
    const ending = { one: "st", two: "nd", few: "rd", other: "th" };
    return count + ending[new Intl.PluralRules("en", { type: "ordinal" }).select(count)];
  }

  /** The share `q` of the way through the sorted values. */
  function quantile(values, q) {
    const sorted = values.filter(known).sort((a, b) => a - b);
    return sorted.length ? sorted[Math.round(q * (sorted.length - 1))] : 0;
  }

  // --- Data

  async function inflate(text) {
    const raw = atob(text);
    const bytes = new Uint8Array(raw.length);
    for (let index = 0; index < raw.length; index++) bytes[index] = raw.charCodeAt(index);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return JSON.parse(await new Response(stream).text());
  }

  const two = () => data.iterations.length === 2;
  const pair = () => pairs[state.model] || pairs[0];
  const letter = (side) => (two() ? "AB"[side] : "");
  const present = (row) => [0, 1].filter((side) => row.at[side] >= 0);

  /** Models of one name belong together; so do the only models of two iterations. */
  function paired([first, second]) {
    if (!second) return first.models.map((model) => ({ label: model.label, sides: [model] }));
    const labels = [...new Set([...first.models, ...second.models].map((model) => model.label))];
    const find = (iteration, label) => iteration.models.find((model) => model.label === label);
    if (labels.length === 2 && first.models.length === 1 && second.models.length === 1) {
      return [{ label: `${labels[0]} and ${labels[1]}`, sides: [first.models[0], second.models[0]] }];
    }
    return labels.map((label) => ({ label, sides: [find(first, label), find(second, label)] }));
  }

  function gather() {
    const byId = new Map();
    pair().sides.forEach((model, side) => {
      (model ? model.item_id : []).forEach((id, index) => {
        const row = byId.get(id) || { id, dataset: model.dataset[index], role: model.role[index], at: [-1, -1] };
        row.at[side] = index;
        byId.set(id, row);
      });
    });
    return [...byId.values()];
  }

  const measure = (row, side, which) => (row.at[side] < 0 ? null : pair().sides[side].measures[which]?.[row.at[side]] ?? null);
  const field = (row, side, which) => pair().sides[side][which][row.at[side]];
  const detail = (row, side, which) => (row.at[side] < 0 ? null : pair().sides[side].details[which]?.[row.at[side]] ?? null);
  const question = (row, side, which) => data.asked[which][pair().sides[side].asked[row.at[side]]];

  function difference(row, which) {
    const [a, b] = [measure(row, 0, which), measure(row, 1, which)];
    return known(a) && known(b) ? b - a : null;
  }

  const listed = () => (state.of === "b" ? 1 : 0); // the side whose values the list shows
  const sortValue = (row) => (state.of === "d" ? difference(row, state.sort) : measure(row, listed(), state.sort));

  function verdict(row, side) {
    const correct = measure(row, side, "correct");
    if (correct === null) return "none";
    if (correct === 1) return "right";
    return field(row, side, "answer") ? "wrong" : "unread";
  }

  const said = (row, side) => (detail(row, side, "tokens") || []).join("");
  const spokenSides = (row) => present(row).filter((side) => detail(row, side, "tokens"));
  const changed = (row) => spokenSides(row).length === 2 && said(row, 0) !== said(row, 1);
  const asked = (row) => present(row).filter((side) => question(row, side, "prompt")); // the sides that hold texts
  const reason = (row) => present(row).map((side) => field(row, side, "reason")).find(Boolean) || "";

  // Prompts open with the same frame: a list of it would tell no item from another.
  let frame = null;
  function shared() {
    if (frame !== null) return frame;
    const prompts = data.asked.prompt.filter(Boolean);
    const [first, ...others] = prompts.map((prompt) => prompt.slice(0, prompt.indexOf("\n") + 1));
    frame = prompts.length > 1 && others.every((line) => line === first) ? first.length : 0;
    return frame;
  }

  function haystack(row) {
    row.haystack ??= present(row)
      .flatMap((side) => [row.id, question(row, side, "prompt"), said(row, side)])
      .join("\n")
      .toLowerCase();
    return row.haystack;
  }

  const PRESENCE = {
    both: (row) => present(row).length === 2,
    a: (row) => row.at[1] < 0,
    b: (row) => row.at[0] < 0,
    changed,
  };

  function passes(row) {
    if (state.dataset && row.dataset !== state.dataset) return false;
    if (state.role && row.role !== state.role) return false;
    if (state.verdict && !present(row).some((side) => verdict(row, side) === state.verdict)) return false;
    if (state.excluded && (reason(row) !== "") !== (state.excluded === "only")) return false;
    if (PRESENCE[state.presence] && !PRESENCE[state.presence](row)) return false;
    return !state.q || haystack(row).includes(state.q.toLowerCase());
  }

  function arrange() {
    const sign = state.dir === "up" ? 1 : -1;
    const keyed = rows.filter(passes).map((row) => [sortValue(row), row]);
    keyed.sort(([a], [b]) => (known(a) && known(b) ? sign * (a - b) : known(b) - known(a)));
    shown = keyed.map(([, row]) => row);
  }

  // --- The address: what is chosen survives a reload, a link and the back button

  function address() {
    const chosen = Object.entries(state).filter(([key, value]) => value !== DEFAULTS[key]);
    return `#items?${new URLSearchParams(chosen)}`;
  }

  function readAddress() {
    if (location.hash && !location.hash.startsWith("#items?")) return false;
    Object.assign(state, DEFAULTS);
    for (const [key, value] of new URLSearchParams(location.hash.slice(7))) if (key in DEFAULTS) state[key] = value;
    if (!SHADES[state.shade] && state.shade !== "none") state.shade = DEFAULTS.shade;
    return location.hash !== "";
  }

  const remember = () => history.replaceState(null, "", address());

  // --- The tools

  function select(key, label, options) {
    const box = el("select", { id: `items-${key}` }, options.map(([value, text]) => el("option", { value }, text)));
    box.value = state[key];
    if (box.selectedIndex < 0) box.value = state[key] = options[0][0];
    box.addEventListener("change", () => change(key, box.value));
    return tool(key, label, box);
  }

  function tool(key, label, box) {
    return el("div", { class: `items-tool items-tool-${key}` }, el("label", { for: `items-${key}` }, label), box);
  }

  function search() {
    const box = el("input", { id: "items-q", type: "search", autocomplete: "off", spellcheck: "false" });
    let timer = 0;
    box.value = state.q;
    box.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => change("q", box.value.trim()), 150);
    });
    return tool("q", "Search prompt, continuation, ID", box);
  }

  function drawTools() {
    const measures = new Set(pair().sides.flatMap((model) => (model ? Object.keys(model.measures) : [])));
    const scores = Object.keys(data.scores).filter((score) => measures.has(score));
    const sorted = [...scores, ...[...measures].filter((each) => !scores.includes(each))];
    const unique = (which) => [...new Set(rows.map((row) => row[which]))].sort().map((value) => [value, value]);
    const tools = [
      search(),
      pairs.length > 1 ? select("model", "Model", pairs.map((each, index) => [String(index), each.label])) : null,
      select("dataset", "Dataset", [["", "all"], ...unique("dataset")]),
      select("role", "Class", [["", "both"], ...unique("role")]),
      select("verdict", "Answer", [["", "any"], ...Object.entries(VERDICTS)]),
      select("excluded", "Left out", [["", "shown too"], ["not", "hidden"], ["only", "alone"]]),
      two()
        ? select("presence", "In", [
            ["", "A or B"], ["both", "both"], ["a", "only A"], ["b", "only B"], ["changed", "both, text changed"],
          ])
        : null,
      select("sort", "Sort by", sorted.map((each) => [each, name(each)])),
      two() ? select("of", "of", [["a", "A"], ["b", "B"], ["d", "B − A"]]) : null,
      select("dir", "Order", [["down", "highest first"], ["up", "lowest first"]]),
    ];
    const clear = el("button", { type: "button" }, "Clear");
    clear.addEventListener("click", () => {
      Object.assign(state, { ...DEFAULTS, model: state.model, item: state.item, shade: state.shade });
      remember();
      drawTools();
      refresh();
      part("tools").querySelector("input").focus();
    });
    part("tools").replaceChildren(...tools.filter(Boolean), clear);
  }

  function change(key, value) {
    state[key] = value;
    remember();
    if (key === "model") {
      rows = gather();
      drawTools();
      part("tools").querySelector("#items-model").focus();
    }
    refresh();
  }

  // --- The list

  function refresh() {
    arrange();
    const index = shown.findIndex((row) => row.id === state.item);
    at = Math.max(0, index);
    drawList();
    const all = plural(rows.length, "item", "items");
    part("count").textContent = shown.length === rows.length ? all : `${shown.length} of ${all}`;
    const row = rows.find((each) => each.id === state.item) || shown[0];
    if (row) drawDetail(row);
    else part("detail").replaceChildren();
  }

  function classMark(role) {
    const initial = el("span", { class: "items-initial", "aria-hidden": "true" }, role[0].toUpperCase());
    return el("span", { class: `items-class items-${role}` }, initial, el("span", { class: "items-word" }, role));
  }

  function verdictMark(row, side) {
    const kind = verdict(row, side);
    return el("span", { class: `items-verdict items-${kind}` }, VERDICTS[kind]);
  }

  function line(row, index) {
    const side = present(row)[0];
    const opening = asked(row).slice(0, 1).map((each) => question(row, each, "prompt").slice(shared()).trimStart().slice(0, 90));
    const button = el("button", { type: "button", tabindex: index === at ? "0" : "-1", "data-index": index }, row.id);
    if (row.id === state.item) button.setAttribute("aria-current", "true");
    const rev = { class: state.sort === "rev" ? "items-number" : "items-number items-more" };
    const cells = [
      el("th", { scope: "row" }, button, el("span", { class: "items-opening" }, opening)),
      el("td", {}, classMark(row.role)),
      el("td", {}, reason(row) ? el("span", { class: "items-verdict", title: reason(row) }, "left out") : verdictMark(row, side)),
      el("td", rev, number(measure(row, listed(), "rev"))),
    ];
    if (state.sort !== "rev") cells.push(el("td", { class: "items-number" }, number(measure(row, listed(), state.sort))));
    if (two()) cells.push(el("td", { class: "items-number" }, number(difference(row, state.sort), true)));
    return el("tr", { class: row.id === state.item ? "items-chosen" : null }, cells);
  }

  function drawList(focus = false) {
    const first = Math.floor(at / PAGE) * PAGE;
    const ordered = { "aria-sort": state.dir === "up" ? "ascending" : "descending" };
    const head = (text, sorts) => el("th", { scope: "col", ...(sorts ? ordered : {}) }, text);
    const of = two() ? ` ${letter(listed())}` : "";
    const heads = [head("Item"), head("Class"), head("Answer"), head(`REV${of}`, state.sort === "rev" && state.of !== "d")];
    if (state.sort !== "rev") {
      heads.at(-1).classList.add("items-more");
      heads.push(head(name(state.sort) + of, state.of !== "d"));
    }
    if (two()) heads.push(head("B − A", state.of === "d"));
    const body = shown.slice(first, first + PAGE).map((row, index) => line(row, first + index));
    const list = el(
      "table",
      {},
      el("caption", { class: "items-hidden" }, "Items. Arrow keys, Home, End, Page Up and Page Down move; Enter opens."),
      el("thead", {}, el("tr", {}, heads)),
      el("tbody", {}, body),
    );
    const scroller = el("div", { class: two() ? "items-rows items-tight" : "items-rows" }, list);
    if (!body.length) scroller.replaceChildren(el("p", { class: "items-note" }, "No item matches. Clear takes the filters off."));
    part("list").replaceChildren(scroller, pager(first));
    if (focus) part("list").querySelector('button[tabindex="0"]')?.focus();
  }

  function pager(first) {
    const last = Math.min(first + PAGE, shown.length);
    const step = (label, sign, target, possible) => {
      const button = el("button", { type: "button", "aria-label": label, disabled: possible ? null : "" }, sign);
      button.addEventListener("click", () => move(target));
      return button;
    };
    if (shown.length <= PAGE) return "";
    return el(
      "nav",
      { class: "items-pager", "aria-label": "Pages of the list" },
      step("Earlier items", "‹", first - PAGE, first > 0),
      el("span", {}, `${first + 1}–${last} of ${shown.length}`),
      step("Later items", "›", first + PAGE, last < shown.length),
    );
  }

  function move(target) {
    at = Math.min(Math.max(target, 0), shown.length - 1);
    drawList(true);
  }

  const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: PAGE / 5, PageUp: -PAGE / 5, Home: -Infinity, End: Infinity };

  function listKey(event) {
    if (!event.target.dataset.index || !(event.key in STEPS) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    move(Number(event.target.dataset.index) + STEPS[event.key]);
  }

  function listClick(event) {
    const line = event.target.closest("tr");
    const button = line && line.querySelector("button[data-index]");
    if (button) choose(Number(button.dataset.index));
  }

  function choose(index) {
    at = index;
    state.item = shown[index].id;
    history.pushState(null, "", address());
    drawList();
    drawDetail(shown[index]);
    part("detail").querySelector("h3").focus();
  }

  // --- An item

  function drawDetail(row) {
    width = part("detail").clientWidth;
    const sides = present(row);
    const top = el("div", { class: "items-sides" }, measuresTable(row), prompt(row));
    const parts = [header(row), top, continuations(row), figures(row, sides), paraphrases(row)];
    part("detail").replaceChildren(...parts.flat(Infinity).filter(Boolean));
    paint(row);
  }

  function header(row) {
    const title = el("h3", { tabindex: "-1" }, row.id);
    const answers = present(row).map((side) => {
      const stated = field(row, side, "answer");
      const wanted = question(row, side, "answer");
      const right = wanted && verdict(row, side) !== "right" ? `, right is ${wanted}` : "";
      const which = letter(side) && `${letter(side)} `;
      return el("span", {}, which, verdictMark(row, side), stated && ` (it says ${stated})`, right);
    });
    const facts = el("p", { class: "items-facts" }, classMark(row.role), el("span", {}, row.dataset), ...answers);
    const why = reason(row);
    return [el("header", {}, title, facts), why ? el("p", { class: "items-why" }, `Left out of some measures: ${why}.`) : null];
  }

  /** Where a value lies among those of its class: mid-rank, in percent. */
  function rank(row, side, which) {
    const model = pair().sides[side];
    const value = measure(row, side, which);
    const others = model.measures[which].filter((each, index) => known(each) && model.role[index] === row.role);
    if (!known(value) || others.length < 2) return null;
    const below = others.filter((each) => each < value).length;
    const ties = others.filter((each) => each === value).length;
    return Math.round((100 * (below + ties / 2)) / others.length);
  }

  function rankCell(row, side, which) {
    const found = rank(row, side, which);
    if (found === null) return "–";
    const bar = el("span", { class: "items-rank", "aria-hidden": "true" });
    bar.style.setProperty("--t", found / 100);
    return el("span", {}, ordinal(found), bar);
  }

  function measureLine(row, which) {
    const sides = present(row);
    const line = [name(which), ...sides.map((side) => number(measure(row, side, which)))];
    if (sides.length === 2) return [...line, number(difference(row, which), true)];
    return [...line, number(measure(row, sides[0], `${which}_z`)), rankCell(row, sides[0], which)];
  }

  function measuresTable(row) {
    const sides = present(row);
    const all = Object.keys(pair().sides[sides[0]].measures);
    const main = Object.keys(data.scores).filter((score) => all.includes(score));
    const rest = all.filter((each) => !main.includes(each) && !each.endsWith("_z") && each !== "correct");
    const heads = sides.length === 2 ? ["Measure", "A", "B", "B − A"] : ["Measure", "Value", "z", `Percentile of ${row.role}`];
    const lines = (measures) => measures.map((which) => measureLine(row, which));
    return el(
      "section",
      { class: "items-measures" },
      el("h4", {}, "Measures"),
      table("Measures", heads, lines(main)),
      disclosure("All the others", table("All the other measures", heads, lines(rest))),
    );
  }

  function prompt(row) {
    const sides = asked(row);
    const texts = sides.map((side) => question(row, side, "prompt"));
    const same = new Set(texts).size === 1;
    if (!texts.length) return null;
    return el(
      "section",
      {},
      texts.slice(0, same ? 1 : 2).map((text, index) => [
        el("h4", {}, same ? "Prompt" : `Prompt in ${letter(sides[index])}`),
        el("p", { class: "items-text" }, text),
      ]),
      detail(row, sides[0], "kl") ? null : missing(),
    );
  }

  function missing() {
    const where = "it is in items/ and observed/ of the iteration's folder.";
    return el("p", { class: "items-note" }, `The rest of this item is not in this page, which has a limit: ${where}`);
  }

  // --- Its tokens

  function score(row, side, which, token) {
    const values = detail(row, side, which);
    const [start, end] = detail(row, side, "window");
    if (which === "entropy" || which === "surprise") return values[token] ?? null;
    return token >= start && token < end ? (values[token - start] ?? null) : null;
  }

  /** Of a score, the values that are drawn lightest and darkest: of the whole model, so that items compare. */
  function scale(which) {
    pair().scales ??= {};
    pair().scales[which] ??= limits(which);
    return pair().scales[which];
  }

  function limits(which) {
    const models = pair().sides.filter(Boolean);
    if (which === "settled") return [1, Math.max(...models.map((model) => model.n_layers))];
    const values = models.flatMap((model) => (model.details[which] || []).flatMap((each) => each || []));
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
      const text = which === "settled" ? `layer ${value} of ${pair().sides[side].n_layers}` : shadeText(which, value ?? 0);
      if (known(value)) parts.push(`${label.toLowerCase()} ${text}`);
    }
    if (known(surprise)) parts.unshift(`probability ${number(Math.exp(-surprise / 100))}`);
    for (const [span, words] of [["window", "in the window"], ["stated", "in the answer"]]) {
      const [start, end] = detail(row, side, span);
      if (token >= start && token < end) parts.push(words);
    }
    return parts.join(", ");
  }

  function visible(text) {
    if (text === "") return [el("span", { class: "items-space" }, "▫")];
    const blank = text.trim() === "";
    return text.split(/(\n| )/).filter(Boolean).map((piece) => {
      if (piece === "\n") return [el("span", { class: "items-space" }, "↵"), "\n"];
      return piece === " " && blank ? el("span", { class: "items-space" }, "·") : piece;
    });
  }

  function spoken(text) {
    if (text === "") return "part of a character";
    return text.replaceAll("\n", "new line").trim() || "space";
  }

  function tokens(row, side, parting) {
    const texts = detail(row, side, "tokens");
    const label = `Tokens of the continuation${letter(side) && ` of ${letter(side)}`}. Arrow keys move.`;
    const about = { role: "listbox", "aria-label": label, "aria-orientation": "horizontal", "data-side": side };
    const box = el("div", { class: "items-tokens", ...about }, texts.map((text, index) => token(row, side, index, parting)));
    const invitation = "Point at a token, or move over them with the arrow keys, to see its numbers.";
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

  /** A token, after the tags of what begins with it. */
  function token(row, side, index, parting) {
    const text = detail(row, side, "tokens")[index];
    const [from, to] = detail(row, side, "settled")?.length ? detail(row, side, "window") : [-1, -1];
    const [opens, closes] = detail(row, side, "stated");
    const tag = (kind, words) => el("span", { class: `items-tag items-tag-${kind}`, "aria-hidden": "true" }, words);
    const classes = ["items-token"];
    if (index >= from && index < to) classes.push("items-in-window");
    if (index >= opens && index < closes) classes.push("items-in-stated");
    const attributes = {
      class: classes.join(" "), role: "option", "aria-selected": "false", tabindex: index ? "-1" : "0", "data-token": index,
      "aria-label": `${spoken(text)}: ${tokenText(row, side, index)}`,
    };
    return [
      index === from ? tag("window", "window") : null,
      index === opens && opens < closes ? tag("stated", "answer") : null,
      index === parting ? tag("parting", "≠") : null,
      el("span", attributes, visible(text)),
    ];
  }

  function tokenKey(event) {
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const all = [...event.currentTarget.querySelectorAll("[data-token]")];
    all[Math.min(Math.max(all.indexOf(event.target) + steps[event.key], 0), all.length - 1)].focus();
  }

  function tokenTable(row, side) {
    const heads = ["#", "Token", ...Object.values(SHADES).map(({ label }) => label)];
    const lines = detail(row, side, "tokens").map((text, index) => [
      String(index + 1),
      el("code", {}, JSON.stringify(text)),
      ...Object.keys(SHADES).map((which) => {
        const value = score(row, side, which, index);
        return known(value) ? number(value / SHADES[which].by) : "";
      }),
    ]);
    return disclosure("The numbers", table(`Tokens and their numbers${letter(side) && `, ${letter(side)}`}`, heads, lines));
  }

  function partingOf(row) {
    const [a, b] = [detail(row, 0, "tokens"), detail(row, 1, "tokens")];
    if (!a || !b) return null;
    const limit = Math.max(a.length, b.length);
    for (let index = 0; index < limit; index++) if (a[index] !== b[index]) return index;
    return -1;
  }

  function partingLine(row, parting) {
    if (parting === null) return null;
    const [a, b] = [detail(row, 0, "tokens"), detail(row, 1, "tokens")];
    const line = (...children) => el("p", { class: "items-parting" }, children);
    if (parting < 0) return line(`Both continue alike, for ${plural(a.length, "token", "tokens")}.`);
    const next = (list) => (parting < list.length ? JSON.stringify(list.slice(parting, parting + 3).join("")) : "nothing");
    const alike = parting ? `Alike for ${plural(parting, "token", "tokens")}` : "Different from the first token";
    return line(`${alike}; then A goes on with `, el("code", {}, next(a)), ", B with ", el("code", {}, next(b)), ".");
  }

  function continuations(row) {
    const sides = spokenSides(row);
    if (!sides.length) return null;
    const parting = partingOf(row);
    const each = sides.map((side) => {
      const title = two() ? `${letter(side)}: ${data.iterations[side].name}` : null;
      return el(
        "div",
        { class: "items-said" },
        title && el("h5", {}, title),
        el("p", { class: "items-hidden items-plain" }, said(row, side)),
        tokens(row, side, parting),
        tokenTable(row, side),
      );
    });
    const sideBySide = el("div", { class: "items-sides" }, each);
    return el("section", {}, el("h4", {}, "Continuation"), partingLine(row, parting), shading(row), sideBySide);
  }

  function shading(row) {
    const group = `items-shade-${++serial}`;
    const choice = (value, label) => {
      const radio = el("input", { type: "radio", name: group, value });
      radio.checked = state.shade === value;
      radio.addEventListener("change", () => {
        state.shade = value;
        remember();
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
      el("span", { class: "items-key items-in-window" }, "window"), " what the measures look at ",
      el("span", { class: "items-key items-in-stated" }, "answer"), " the stated answer",
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
    const [model] = pair().sides.filter(Boolean);
    const deep = state.shade === "settled" ? ` DTR counts layer ${model.deep_layer} and later.` : "";
    return [el("span", { class: "items-scale" }, ends[0], bar, ends[1]), ` ${label}${about}.${deep}`, ...marks];
  }

  function paint(row) {
    part("detail").querySelector(".items-legend")?.replaceChildren(...legend());
    for (const box of part("detail").querySelectorAll(".items-tokens")) {
      const side = Number(box.dataset.side);
      for (const token of box.querySelectorAll("[data-token]")) {
        const value = state.shade === "none" ? null : score(row, side, state.shade, Number(token.dataset.token));
        token.style.setProperty("--t", known(value) ? level(value, scale(state.shade)) : 0);
      }
    }
  }

  // --- Its paraphrases

  /** Words with the space after them, as [text, "same" | "gone" | "new"]. */
  function wordDiff(before, after) {
    const a = before.match(/\S+\s*/g) || [];
    const b = after.match(/\S+\s*/g) || [];
    const same = (i, j) => a[i].trim() === b[j].trim();
    const longest = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        longest[i][j] = same(i, j) ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
      }
    }
    const parts = [];
    let [i, j] = [0, 0];
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && same(i, j)) {
        parts.push([b[j++], "same"]);
        i++;
      } else if (j >= b.length || (i < a.length && longest[i + 1][j] >= longest[i][j + 1])) {
        parts.push([a[i++], "gone"]);
      } else parts.push([b[j++], "new"]);
    }
    return parts;
  }

  function paraphrases(row) {
    const side = asked(row)[0] ?? present(row)[0];
    const texts = question(row, side, "paraphrases");
    const shares = question(row, side, "paraphrase_shares");
    if (!texts.length) return null;
    const marks = { same: (text) => text, gone: (text) => el("del", {}, text), new: (text) => el("ins", {}, text) };
    const original = question(row, side, "prompt");
    const lines = texts.map((text, index) =>
      el(
        "li",
        {},
        el("p", { class: "items-share" }, `${percent(shares[index])} of the words changed`),
        el("p", { class: "items-text" }, wordDiff(original, text).map(([word, kind]) => marks[kind](word))),
      ),
    );
    const box = disclosure(plural(texts.length, "paraphrase", "paraphrases"), el("ol", {}, lines));
    box.classList.add("items-paraphrases");
    return box;
  }

  // --- Its layers

  const defined = (values) => values.filter(known);
  const raised = (sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)];
  const power = (exponent) => `10${String(exponent).replace(/[-0-9]/g, raised)}`;
  const label = (x, y, anchor, words) => svg("text", { x, y, "text-anchor": anchor }, String(words));

  function chart(title, about, height, draw) {
    const id = `items-chart-${++serial}`;
    const columns = Math.max(1, Math.floor((width + GAP) / (COLUMN + GAP)));
    const across = Math.min(560, Math.max(260, (width - GAP * (columns - 1)) / columns));
    const picture = svg(
      "svg",
      { viewBox: `0 0 ${across} ${height}`, role: "img", "aria-labelledby": `${id}-t ${id}-d` },
      svg("title", { id: `${id}-t` }, title),
      svg("desc", { id: `${id}-d` }, about),
    );
    draw(picture, { left: 50, right: across - 8, top: 8, bottom: height - 30 });
    return picture;
  }

  function axes(picture, box, layers, ticks, y) {
    for (const [value, words] of ticks) {
      picture.append(
        svg("line", { class: "items-grid", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }),
        label(box.left - 5, y(value) + 4, "end", words),
      );
    }
    const slot = (box.right - box.left) / layers;
    const x = (layer) => box.left + slot * (layer - 0.5);
    for (let layer = 1; layer <= layers; layer++) {
      if (layer === 1 || layer % 5 === 0 || layers < 8) picture.append(label(x(layer), box.bottom + 13, "middle", layer));
    }
    picture.append(label((box.left + box.right) / 2, box.bottom + 27, "middle", "layer"));
    return { x, slot };
  }

  function figure(title, picture, caption, numbers) {
    return el("figure", {}, el("figcaption", {}, el("strong", {}, title), ` ${caption}`), picture, numbers);
  }

  function effects(row, side, domain) {
    const model = pair().sides[side];
    const kl = detail(row, side, "kl");
    const counts = detail(row, side, "counts");
    const taken = counts.filter(Boolean).length;
    const title = `Layers${letter(side) && ` in ${letter(side)}`}: what taking one out changes`;
    const about = `${taken} of ${kl.length} layers are above their threshold: APL ${number(measure(row, side, "apl"))}.`;
    const picture = chart(title, about, 190, (canvas, box) => {
      const y = (value) => box.bottom - ((value / 100 - domain[0]) / (domain[1] - domain[0])) * (box.bottom - box.top);
      const ticks = [];
      for (let exponent = domain[0]; exponent <= domain[1]; exponent++) ticks.push([100 * exponent, power(exponent)]);
      const { x, slot } = axes(canvas, box, kl.length, ticks, y);
      kl.forEach((value, index) => {
        const middle = x(index + 1);
        const bar = { x: middle - slot * 0.38, width: slot * 0.76, y: y(value), height: Math.max(0, box.bottom - y(value)) };
        if (known(value)) canvas.append(svg("rect", { class: counts[index] ? "items-counts" : "items-bar", ...bar }));
        const limit = model.thresholds[index];
        const ends = { x1: middle - slot * 0.48, x2: middle + slot * 0.48, y1: y(limit), y2: y(limit) };
        if (known(limit)) canvas.append(svg("line", { class: "items-limit", ...ends }));
      });
    });
    const nats = (value) => (known(value) ? (10 ** (value / 100)).toPrecision(3) : "–");
    const lines = kl.map((value, index) => {
      return [String(index + 1), nats(value), nats(model.thresholds[index]), counts[index] ? "yes" : "no"];
    });
    const numbers = disclosure("As a table", table(title, ["Layer", "KL, nats", "Threshold", "Counts"], lines));
    return figure(title, picture, `KL in nats, window mean. Line: the layer's threshold. Filled: above it. ${about}`, numbers);
  }

  function cosines(row, side, least) {
    const model = pair().sides[side];
    const values = detail(row, side, "apart").map((value) => (known(value) ? 1 - 10 ** (value / 100) : null));
    const title = `Paraphrases${letter(side) && ` in ${letter(side)}`}: how alike the hidden states stay`;
    const value = number(measure(row, side, "sib"));
    const about = `Cosine by layer, mean over paraphrases. SIB ${value} is that of layer ${model.sib_layer}, marked.`;
    const picture = chart(title, about, 150, (canvas, box) => {
      const y = (value) => box.bottom - ((value - least) / (1 - least)) * (box.bottom - box.top);
      const ticks = [least, (least + 1) / 2, 1].map((value) => [value, String(Number(value.toPrecision(4)))]);
      const { x } = axes(canvas, box, values.length, ticks, y);
      const points = values.map((value, index) => known(value) && `${x(index + 1)},${y(value)}`).filter(Boolean);
      canvas.append(svg("polyline", { class: "items-line", points: points.join(" ") }));
      const used = values[model.sib_layer - 1];
      if (known(used)) {
        canvas.append(
          svg("line", { class: "items-used", x1: x(model.sib_layer), x2: x(model.sib_layer), y1: box.top, y2: box.bottom }),
          svg("circle", { class: "items-dot", cx: x(model.sib_layer), cy: y(used), r: 4 }),
        );
      }
    });
    const lines = values.map((value, index) => [String(index + 1), known(value) ? value.toFixed(5) : "–"]);
    return figure(title, picture, about, disclosure("As a table", table(title, ["Layer", "Cosine"], lines)));
  }

  function map(row, side, which, title, caption) {
    const grid = detail(row, side, which);
    if (!grid || !grid.length) return null;
    const ends = [quantile(grid.flat(), 0.02), quantile(grid.flat(), 0.98)];
    const full = `${title}${letter(side) && ` in ${letter(side)}`}`;
    const picture = chart(full, caption, 200, (canvas, box) => {
      const high = (box.bottom - box.top) / grid.length;
      const wide = (box.right - box.left) / grid[0].length;
      const tokens = detail(row, side, "tokens");
      const [start] = detail(row, side, "window");
      grid.forEach((line, layer) => {
        line.forEach((value, index) => {
          const place = { x: box.left + index * wide, y: box.bottom - (layer + 1) * high, width: wide + 0.3, height: high + 0.3 };
          const cell = svg("rect", { class: "items-cell", ...place });
          cell.style.setProperty("--t", known(value) ? level(value, ends) : 0);
          cell.append(svg("title", {}, `layer ${layer + 1}, ${JSON.stringify(tokens[start + index])}`));
          canvas.append(cell);
        });
        if (!layer || (layer + 1) % 10 === 0 || (grid.length < 10 && layer === grid.length - 1)) {
          canvas.append(label(box.left - 5, box.bottom - (layer + 0.5) * high + 4, "end", layer + 1));
        }
      });
      const covered = `window tokens ${start + 1} to ${start + grid[0].length}`;
      canvas.append(label((box.left + box.right) / 2, box.bottom + 17, "middle", covered));
    });
    return figure(full, picture, caption, null);
  }

  function figures(row, sides) {
    const drawn = sides.filter((side) => detail(row, side, "kl") && defined(detail(row, side, "kl")).length);
    if (!drawn.length) return null;
    const all = drawn.flatMap((side) => defined([...detail(row, side, "kl"), ...pair().sides[side].thresholds]));
    const floor = Math.floor(Math.min(...all) / 100);
    const domain = [floor, Math.max(Math.ceil(Math.max(...all) / 100), floor + 1)];
    const farthest = Math.max(-400, ...drawn.flatMap((side) => defined(detail(row, side, "apart"))));
    const step = 10 ** Math.floor(farthest / 100);
    const least = 1 - Math.ceil(10 ** (farthest / 100) / step) * step;
    const captions = {
      kl_map: "Layers upward, stronger: more KL (log).",
      attention_map: "Layers upward, stronger: attention spread more widely.",
    };
    return el(
      "section",
      {},
      el("h4", {}, "Layers"),
      el(
        "div",
        { class: "items-figures" },
        drawn.map((side) => effects(row, side, domain)),
        drawn.map((side) => (defined(detail(row, side, "apart")).length ? cosines(row, side, least) : null)),
        drawn.map((side) => map(row, side, "kl_map", "KL, layer by token", captions.kl_map)),
        drawn.map((side) => map(row, side, "attention_map", "Attention entropy, layer by token", captions.attention_map)),
      ),
    );
  }

  // --- Start

  function show(scroll) {
    rows = gather();
    drawTools();
    refresh();
    if (scroll) root.scrollIntoView();
  }

  function back() {
    if (readAddress() || !location.hash) show(false);
  }

  function resized() {
    const now = part("detail").clientWidth;
    const row = rows.find((each) => each.id === state.item) || shown[0];
    if (row && Math.abs(now - width) > 30 && !part("detail").contains(document.activeElement)) drawDetail(row);
  }

  function say(text) {
    part("message").textContent = text;
    part("message").hidden = !text;
  }

  async function start() {
    if (typeof DecompressionStream === "undefined") {
      const where = "All it shows lies in the iteration's folder: items/, observed/ and results/.";
      say(`This browser is too old for the item browser, which needs DecompressionStream. ${where}`);
      return;
    }
    data = await inflate(JSON.parse(packed.textContent));
    pairs = paired(data.iterations);
    const kept = `${data.detailed} of ${data.items} items have their texts, tokens and layers in this page, which has a limit`;
    const whole = "all have their measures. The whole lies in items/ and observed/ of the iteration's folder.";
    say(data.detailed < data.items ? `${kept}; ${whole}` : "");
    part("app").hidden = false;
    const linked = readAddress();
    show(linked);
    part("list").addEventListener("keydown", listKey);
    part("list").addEventListener("click", listClick);
    part("detail").addEventListener("keydown", (event) => {
      if (event.key === "Escape") part("list").querySelector('button[tabindex="0"]')?.focus();
    });
    addEventListener("popstate", back);
    new ResizeObserver(resized).observe(part("detail"));
  }

  start();
})();
