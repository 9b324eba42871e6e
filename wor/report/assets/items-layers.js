// The selected item's charts by layer, and its layer x token maps.

const defined = (values) => values.filter(isKnown);
const raised = (sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)];
const power = (exponent) => `10${String(exponent).replace(/[-0-9]/g, raised)}`;
const label = (x, y, anchor, words) => svg("text", { x, y, "text-anchor": anchor }, String(words));

function chart(title, about, height, draw) {
  const id = `items-chart-${++serial}`;
  const columns = Math.max(1, Math.floor((drawnWidth + GAP) / (COLUMN + GAP)));
  const across = Math.min(560, Math.max(260, (drawnWidth - GAP * (columns - 1)) / columns));
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
  const model = models()[side];
  const kl = detail(row, side, "kl");
  const counts = detail(row, side, "counts");
  const nCounted = counts.filter(Boolean).length;
  const title = `Layers${letter(side) && ` in ${letter(side)}`}: the effect of replacing one`;
  const above = `${nCounted} of ${kl.length} layers are above their threshold: APL ${number(measure(row, side, "apl"))}.`;
  const known = defined(model.thresholds).length > 0; // a probe without a run has none
  const about = known ? `Line: the layer's threshold. Filled: above it. ${above}` : "There are no thresholds without a run.";
  const picture = chart(title, about, 190, (canvas, box) => {
    const y = (value) => box.bottom - ((value / 100 - domain[0]) / (domain[1] - domain[0])) * (box.bottom - box.top);
    const ticks = [];
    for (let exponent = domain[0]; exponent <= domain[1]; exponent++) ticks.push([100 * exponent, power(exponent)]);
    const { x, slot } = axes(canvas, box, kl.length, ticks, y);
    kl.forEach((value, index) => {
      const middle = x(index + 1);
      const bar = { x: middle - slot * 0.38, width: slot * 0.76, y: y(value), height: Math.max(0, box.bottom - y(value)) };
      if (isKnown(value)) canvas.append(svg("rect", { class: counts[index] ? "items-counts" : "items-bar", ...bar }));
      const limit = model.thresholds[index];
      const ends = { x1: middle - slot * 0.48, x2: middle + slot * 0.48, y1: y(limit), y2: y(limit) };
      if (isKnown(limit)) canvas.append(svg("line", { class: "items-limit", ...ends }));
    });
  });
  const nats = (value) => (isKnown(value) ? (10 ** (value / 100)).toPrecision(3) : "–");
  const lines = kl.map((value, index) => {
    return [String(index + 1), nats(value), nats(model.thresholds[index]), counts[index] ? "yes" : "no"];
  });
  const numbers = disclosure("As a table", table(title, ["Layer", "KL, nats", "Threshold", "Counts"], lines));
  return figure(title, picture, `KL in nats, window mean. ${about}`, numbers);
}

function cosines(row, side, lowest) {
  const model = models()[side];
  const values = detail(row, side, "distance").map((value) => (isKnown(value) ? 1 - 10 ** (value / 100) : null));
  const title = `Paraphrases${letter(side) && ` in ${letter(side)}`}: how similar the hidden states stay`;
  const value = number(measure(row, side, "sib"));
  const about = `Cosine by layer, mean over paraphrases. SIB ${value} is made from that at layer ${model.sib_layer}, marked.`;
  const picture = chart(title, about, 150, (canvas, box) => {
    const y = (value) => box.bottom - ((value - lowest) / (1 - lowest)) * (box.bottom - box.top);
    const ticks = [lowest, (lowest + 1) / 2, 1].map((value) => [value, String(Number(value.toPrecision(4)))]);
    const { x } = axes(canvas, box, values.length, ticks, y);
    const points = values.map((value, index) => isKnown(value) && `${x(index + 1)},${y(value)}`).filter(Boolean);
    canvas.append(svg("polyline", { class: "items-line", points: points.join(" ") }));
    const used = values[model.sib_layer - 1];
    if (isKnown(used)) {
      canvas.append(
        svg("line", { class: "items-used", x1: x(model.sib_layer), x2: x(model.sib_layer), y1: box.top, y2: box.bottom }),
        svg("circle", { class: "items-dot", cx: x(model.sib_layer), cy: y(used), r: 4 }),
      );
    }
  });
  const lines = values.map((value, index) => [String(index + 1), isKnown(value) ? value.toFixed(5) : "–"]);
  return figure(title, picture, about, disclosure("As a table", table(title, ["Layer", "Cosine"], lines)));
}

function layerMap(row, side, which, title, caption) {
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
        const rect = { x: box.left + index * wide, y: box.bottom - (layer + 1) * high, width: wide + 0.3, height: high + 0.3 };
        const cell = svg("rect", { class: "items-cell", ...rect });
        cell.style.setProperty("--t", isKnown(value) ? level(value, ends) : 0);
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
  const drawable = sides.filter((side) => detail(row, side, "kl") && defined(detail(row, side, "kl")).length);
  if (!drawable.length) return null;
  const all = drawable.flatMap((side) => defined([...detail(row, side, "kl"), ...models()[side].thresholds]));
  const floor = Math.floor(Math.min(...all) / 100);
  const domain = [floor, Math.max(Math.ceil(Math.max(...all) / 100), floor + 1)];
  const farthest = Math.max(-400, ...drawable.flatMap((side) => defined(detail(row, side, "distance"))));
  const step = 10 ** Math.floor(farthest / 100);
  const lowest = 1 - Math.ceil(10 ** (farthest / 100) / step) * step;
  const wider = "Layers upward, stronger: attention spread more widely.";
  const charts = [
    drawable.map((side) => effects(row, side, domain)),
    drawable.map((side) => (defined(detail(row, side, "distance")).length ? cosines(row, side, lowest) : null)),
    drawable.map((side) => layerMap(row, side, "kl_map", "KL, layer by token", "Layers upward, stronger: more KL (log).")),
    drawable.map((side) => layerMap(row, side, "attention_map", "Attention entropy, layer by token", wider)),
  ];
  return el("section", {}, el("h4", {}, "Layers"), el("div", { class: "items-figures" }, charts));
}
