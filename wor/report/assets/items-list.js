// The item browser's tools and list.

/** Fill the selects whose options depend on the data, and set every tool to the state. */
function drawTools() {
  const measures = new Set(models().flatMap((model) => (model ? Object.keys(model.measures) : [])));
  const scores = data.scores.filter((score) => measures.has(score));
  const sorted = [...scores, ...[...measures].filter((each) => !scores.includes(each))];
  const unique = (which) => ["", ...new Set(rows.map((row) => row[which]).sort())];
  const options = {
    model: pairs.map((each, index) => [String(index), each.label]),
    dataset: unique("dataset").map((value) => [value, value || "all"]),
    role: unique("role").map((value) => [value, value || "both"]),
    sort: sorted.map((each) => [each, measureName(each)]),
  };
  for (const box of region("tools").querySelectorAll("select, input")) {
    const entries = options[box.name];
    if (entries) box.replaceChildren(...entries.map(([value, text]) => el("option", { value }, text)));
    box.value = state[box.name];
    if (box.selectedIndex < 0) box.value = state[box.name] = box.options[0].value;
  }
  region("tools").querySelector("#items-model").parentElement.hidden = pairs.length < 2;
}

let searchTimer = 0;

function toolInput({ target }) {
  clearTimeout(searchTimer);
  if (target.name === "q") searchTimer = setTimeout(() => change("q", target.value.trim()), 150);
  else change(target.name, target.value);
}

function clearTools() {
  Object.assign(state, { ...DEFAULTS, model: state.model, item: state.item, shade: state.shade });
  saveAddress();
  drawTools();
  refresh();
  region("tools").querySelector("input").focus();
}

function change(key, value) {
  state[key] = value;
  saveAddress();
  if (key === "model") {
    rows = gatherRows();
    drawTools();
  }
  refresh();
}

function refresh() {
  filterAndSort();
  const index = filtered.findIndex((row) => row.id === state.item);
  cursor = Math.max(0, index);
  drawList();
  const all = plural(rows.length, "item");
  region("count").textContent = filtered.length === rows.length ? all : `${filtered.length} of ${all}`;
  const row = rows.find((each) => each.id === state.item) || filtered[0];
  if (row) drawDetail(row);
  else region("detail").replaceChildren();
}

function classMark(role) {
  const initial = el("span", { class: "items-initial", "aria-hidden": "true" }, role[0].toUpperCase());
  return el("span", { class: `items-class items-${role}` }, initial, el("span", { class: "items-word" }, role));
}

function verdictMark(row, side) {
  const kind = verdict(row, side);
  return el("span", { class: `items-verdict items-${kind}` }, VERDICTS[kind]);
}

function listRow(row, index) {
  const side = presentSides(row)[0];
  const [textSide] = textSides(row);
  const prompt = textSide === undefined ? "" : question(row, textSide, "prompt");
  const opening = prompt.slice(sharedLength()).trimStart().slice(0, 90);
  const button = el("button", { type: "button", tabindex: index === cursor ? "0" : "-1", "data-index": index }, row.id);
  if (row.id === state.item) button.setAttribute("aria-current", "true");
  const rev = { class: state.sort === "rev" ? "items-number" : "items-number items-more" };
  const cells = [
    el("th", { scope: "row" }, button, el("span", { class: "items-opening" }, opening)),
    el("td", {}, classMark(row.role)),
    el("td", {}, reason(row) ? el("span", { class: "items-verdict", title: reason(row) }, "left out") : verdictMark(row, side)),
    el("td", rev, number(measure(row, listedSide(), "rev"))),
  ];
  if (state.sort !== "rev") cells.push(el("td", { class: "items-number" }, number(measure(row, listedSide(), state.sort))));
  if (comparing()) cells.push(el("td", { class: "items-number" }, number(difference(row, state.sort), true)));
  return el("tr", { class: row.id === state.item ? "items-selected" : null }, cells);
}

function drawList(focus = false) {
  const first = Math.floor(cursor / PAGE) * PAGE;
  const direction = { "aria-sort": state.dir === "up" ? "ascending" : "descending" };
  const head = (text, sorts) => el("th", { scope: "col", ...(sorts ? direction : {}) }, text);
  const of = comparing() ? ` ${letter(listedSide())}` : "";
  const heads = [head("Item"), head("Class"), head("Answer"), head(`REV${of}`, state.sort === "rev" && state.of !== "d")];
  if (state.sort !== "rev") {
    heads.at(-1).classList.add("items-more");
    heads.push(head(measureName(state.sort) + of, state.of !== "d"));
  }
  if (comparing()) heads.push(head("B − A", state.of === "d"));
  const body = filtered.slice(first, first + PAGE).map((row, index) => listRow(row, first + index));
  const keys = "Items. Arrow keys, Home, End, Page Up and Page Down move; Enter opens.";
  const caption = el("caption", { class: "items-hidden" }, keys);
  const list = el("table", {}, caption, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, body));
  const scroller = el("div", { class: comparing() ? "items-rows items-tight" : "items-rows" }, list);
  if (!body.length) scroller.replaceChildren(el("p", { class: "items-note" }, "No item matches. Clear removes the filters."));
  region("list").replaceChildren(scroller, pager(first));
  if (focus) region("list").querySelector('button[tabindex="0"]')?.focus();
}

function pager(first) {
  const last = Math.min(first + PAGE, filtered.length);
  const step = (label, sign, target, possible) => {
    const button = el("button", { type: "button", "aria-label": label, disabled: possible ? null : "" }, sign);
    button.addEventListener("click", () => move(target));
    return button;
  };
  if (filtered.length <= PAGE) return "";
  const earlier = step("Earlier items", "‹", first - PAGE, first > 0);
  const later = step("Later items", "›", first + PAGE, last < filtered.length);
  const range = el("span", {}, `${first + 1}–${last} of ${filtered.length}`);
  return el("nav", { class: "items-pager", "aria-label": "Pages of the list" }, earlier, range, later);
}

function move(target) {
  cursor = target;
  drawList(true);
}

const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: PAGE / 5, PageUp: -PAGE / 5, Home: -Infinity, End: Infinity };

function listKey(event) {
  const { index } = event.target.dataset;
  const target = index && keyTarget(event, STEPS, Number(index), filtered.length);
  if (Number.isInteger(target)) move(target);
}

function listClick(event) {
  const button = event.target.closest("tr")?.querySelector("button[data-index]");
  if (button) openItem(Number(button.dataset.index));
}

function openItem(index) {
  cursor = index;
  state.item = filtered[index].id;
  history.pushState(null, "", address());
  drawList();
  drawDetail(filtered[index]);
  region("detail").querySelector("h3").focus();
}
