// The selected item: its header, measures, prompt and paraphrases.

function drawDetail(row) {
  drawnWidth = region("detail").clientWidth;
  const sides = presentSides(row);
  const top = el("div", { class: "items-sides" }, measuresTable(row), prompt(row));
  const parts = [header(row), top, continuations(row), figures(row, sides), paraphrases(row)];
  region("detail").replaceChildren(...parts.flat(Infinity).filter(Boolean));
  paint(row);
}

function header(row) {
  const title = el("h3", { tabindex: "-1" }, row.id);
  const answers = presentSides(row).map((side) => {
    const stated = field(row, side, "answer");
    const expected = question(row, side, "answer");
    const right = expected && verdict(row, side) !== "right" ? `, right is ${expected}` : "";
    const which = letter(side) && `${letter(side)} `;
    return el("span", {}, which, verdictMark(row, side), stated && ` (its answer: ${stated})`, right);
  });
  const facts = el("p", { class: "items-facts" }, classMark(row.role), el("span", {}, row.dataset), ...answers);
  const why = reason(row);
  return [el("header", {}, title, facts), why ? el("p", { class: "items-reason" }, `Left out of some measures: ${why}.`) : null];
}

/** Return the mid-rank, in percent, of a value among those of its class. */
function rank(row, side, which) {
  const model = models()[side];
  const value = measure(row, side, which);
  const others = model.measures[which].filter((each, index) => isKnown(each) && model.role[index] === row.role);
  if (!isKnown(value) || others.length < 2) return null;
  const below = others.filter((each) => each < value).length;
  const ties = others.filter((each) => each === value).length;
  return Math.round((100 * (below + ties / 2)) / others.length);
}

function rankCell(row, side, which) {
  const percentile = rank(row, side, which);
  if (percentile === null) return "–";
  const bar = el("span", { class: "items-rank", "aria-hidden": "true" });
  bar.style.setProperty("--t", percentile / 100);
  return el("span", {}, ordinal(percentile), bar);
}

function measureLine(row, which) {
  const sides = presentSides(row);
  const line = [measureName(which), ...sides.map((side) => number(measure(row, side, which)))];
  if (sides.length === 2) return [...line, number(difference(row, which), true)];
  return isAlone(row) ? line : [...line, number(measure(row, sides[0], `${which}_z`)), rankCell(row, sides[0], which)];
}

function measuresTable(row) {
  const sides = presentSides(row);
  const all = Object.keys(models()[sides[0]].measures);
  const main = data.scores.filter((score) => all.includes(score));
  const rest = all.filter((each) => !main.includes(each) && !each.endsWith("_z") && each !== "correct");
  const single = ["Measure", "Value", ...(isAlone(row) ? [] : ["z", `Percentile of ${row.role}`])];
  const heads = sides.length === 2 ? ["Measure", "A", "B", "B − A"] : single;
  const lines = (measures) => measures.map((which) => measureLine(row, which));
  const other = disclosure("Other columns", table("Other columns", heads, lines(rest)));
  return el("section", { class: "items-measures" }, el("h4", {}, "Measures"), table("Measures", heads, lines(main)), other);
}

function prompt(row) {
  const sides = textSides(row);
  const texts = sides.map((side) => question(row, side, "prompt"));
  const same = new Set(texts).size === 1;
  if (!texts.length) return null;
  const prompts = texts.slice(0, same ? 1 : 2).map((text, index) => [
    el("h4", {}, same ? "Prompt" : `Prompt in ${letter(sides[index])}`),
    el("p", { class: "items-text" }, text),
  ]);
  const limit = "This page has a size limit. The rest of this item is in items/ and observed/ of the iteration's folder.";
  return el("section", {}, prompts, detail(row, sides[0], "kl") ? null : el("p", { class: "items-note" }, limit));
}

/** Return words with the space after them, as [text, "same" | "removed" | "new"]. */
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
      parts.push([a[i++], "removed"]);
    } else parts.push([b[j++], "new"]);
  }
  return parts;
}

/** Return the paraphrases of a prompt, and of both where A and B have different ones. */
function paraphrases(row) {
  const sides = textSides(row);
  const differ = new Set(sides.map((side) => question(row, side, "prompt"))).size > 1;
  return (differ ? sides : sides.slice(0, 1)).map((side) => paraphrasesOf(row, side, differ ? ` in ${letter(side)}` : ""));
}

function paraphrasesOf(row, side, where) {
  const texts = question(row, side, "paraphrases");
  const shares = question(row, side, "paraphrase_shares");
  if (!texts.length) return null;
  const marks = { same: (text) => text, removed: (text) => el("del", {}, text), new: (text) => el("ins", {}, text) };
  const original = question(row, side, "prompt");
  const lines = texts.map((text, index) => {
    const share = el("p", { class: "items-share" }, `${percent(shares[index])} of the words changed`);
    return el("li", {}, share, el("p", { class: "items-text" }, wordDiff(original, text).map(([word, kind]) => marks[kind](word))));
  });
  const box = disclosure(plural(texts.length, "paraphrase") + where, el("ol", {}, lines));
  box.classList.add("items-paraphrases");
  return box;
}
