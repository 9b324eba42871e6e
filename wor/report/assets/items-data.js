// The item browser's data: rows, fields, filters, and the address that keeps the selection.

const comparing = () => data.iterations.length === 2;
const currentPair = () => pairs[state.model] || pairs[0];
const models = () => currentPair().sides; // of A and of B, undefined where one lacks the model
const letter = (side) => (comparing() ? "AB"[side] : "");
const presentSides = (row) => [0, 1].filter((side) => row.index[side] >= 0);

/** Pair models of the same name, and the only models of two iterations. */
function pairModels([first, second]) {
  if (!second) return first.models.map((model) => ({ label: model.label, sides: [model] }));
  const labels = [...new Set([...first.models, ...second.models].map((model) => model.label))];
  const find = (iteration, label) => iteration.models.find((model) => model.label === label);
  if (labels.length === 2 && first.models.length === 1 && second.models.length === 1) {
    return [{ label: `${labels[0]} and ${labels[1]}`, sides: [first.models[0], second.models[0]] }];
  }
  return labels.map((label) => ({ label, sides: [find(first, label), find(second, label)] }));
}

function gatherRows() {
  const byId = new Map();
  models().forEach((model, side) => {
    (model ? model.item_id : []).forEach((id, index) => {
      const row = byId.get(id) || { id, dataset: model.dataset[index], role: model.role[index], index: [-1, -1] };
      row.index[side] = index;
      byId.set(id, row);
    });
  });
  return [...byId.values()];
}

const measure = (row, side, which) => (row.index[side] < 0 ? null : models()[side].measures[which]?.[row.index[side]] ?? null);
const field = (row, side, which) => models()[side][which][row.index[side]];
const detail = (row, side, which) => (row.index[side] < 0 ? null : models()[side].details[which]?.[row.index[side]] ?? null);
const question = (row, side, which) => data.questions[which][models()[side].question[row.index[side]]];

function difference(row, which) {
  const [a, b] = [measure(row, 0, which), measure(row, 1, which)];
  return isKnown(a) && isKnown(b) ? b - a : null;
}

const isAlone = (row) => rows.every((other) => other === row || other.role !== row.role);

const listedSide = () => (state.of === "b" ? 1 : 0);
const sortValue = (row) => (state.of === "d" ? difference(row, state.sort) : measure(row, listedSide(), state.sort));

function verdict(row, side) {
  const correct = measure(row, side, "correct");
  if (correct === null) return "none";
  if (correct === 1) return "right";
  return field(row, side, "answer") ? "wrong" : "unread";
}

const continuation = (row, side) => (detail(row, side, "tokens") || []).join("");
const tokenSides = (row) => presentSides(row).filter((side) => detail(row, side, "tokens"));
const changed = (row) => tokenSides(row).length === 2 && continuation(row, 0) !== continuation(row, 1);
const textSides = (row) => presentSides(row).filter((side) => question(row, side, "prompt"));
const reason = (row) => presentSides(row).map((side) => field(row, side, "reason")).find(Boolean) || "";

// Prompts can share a first line, which would tell no item from another in the list.
let openingLength = null;
function sharedLength() {
  if (openingLength !== null) return openingLength;
  const prompts = data.questions.prompt.filter(Boolean);
  const [first, ...others] = prompts.map((prompt) => prompt.slice(0, prompt.indexOf("\n") + 1));
  openingLength = prompts.length > 1 && others.every((line) => line === first) ? first.length : 0;
  return openingLength;
}

function haystack(row) {
  row.haystack ??= presentSides(row)
    .flatMap((side) => [row.id, question(row, side, "prompt"), continuation(row, side)])
    .join("\n")
    .toLowerCase();
  return row.haystack;
}

const PRESENCE = {
  both: (row) => presentSides(row).length === 2,
  a: (row) => row.index[1] < 0,
  b: (row) => row.index[0] < 0,
  changed,
};

function passes(row) {
  if (state.dataset && row.dataset !== state.dataset) return false;
  if (state.role && row.role !== state.role) return false;
  if (state.verdict && !presentSides(row).some((side) => verdict(row, side) === state.verdict)) return false;
  if (state.excluded && (reason(row) !== "") !== (state.excluded === "only")) return false;
  if (PRESENCE[state.presence] && !PRESENCE[state.presence](row)) return false;
  return !state.q || haystack(row).includes(state.q.toLowerCase());
}

function filterAndSort() {
  const sign = state.dir === "up" ? 1 : -1;
  const keyed = rows.filter(passes).map((row) => [sortValue(row), row]);
  keyed.sort(([a], [b]) => (isKnown(a) && isKnown(b) ? sign * (a - b) : isKnown(b) - isKnown(a)));
  filtered = keyed.map(([, row]) => row);
}

// The selection survives a reload, a link and the back button.
function address() {
  const changes = Object.entries(state).filter(([key, value]) => value !== DEFAULTS[key]);
  return `#items?${new URLSearchParams(changes)}`;
}

function readAddress() {
  if (location.hash && !location.hash.startsWith("#items?")) return false;
  Object.assign(state, DEFAULTS);
  for (const [key, value] of new URLSearchParams(location.hash.slice(7))) if (key in DEFAULTS) state[key] = value;
  if (!SHADES[state.shade] && state.shade !== "none") state.shade = DEFAULTS.shade;
  return location.hash !== "";
}

const saveAddress = () => history.replaceState(null, "", address());
