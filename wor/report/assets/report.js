// Draw each chart with the page's own colours, and again when the theme changes.

function start(specs) {
  const root = document.documentElement;
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);

  // A custom property's text is `light-dark(...)`. A computed colour says which one applies.
  let printing = false; // always on white
  const colour = (name) => {
    probe.style.colorScheme = printing ? "light" : "";
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const resolve = (value) => {
    if (typeof value === "string") {
      const match = /^var\((--[\w-]+)\)$/.exec(value);
      return match ? colour(match[1]) : value;
    }
    if (Array.isArray(value)) return value.map(resolve);
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, key === "datasets" ? inner : resolve(inner)]));
    return value;
  };
  const config = () => {
    const [text, line, muted] = ["--text", "--line", "--muted"].map(colour);
    const labels = { labelColor: text, titleColor: text, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
    return {
      background: "transparent",
      font: getComputedStyle(document.body).fontFamily,
      view: { stroke: line },
      axis: { ...labels, gridColor: line, domainColor: muted, tickColor: muted, labelLimit: 220 },
      legend: { ...labels, labelLimit: 300 },
      title: { color: text, fontSize: 13, fontWeight: "normal" },
      header: labels,
    };
  };
  const options = {
    actions: false,
    ast: true, // interpret expressions: the page's policy forbids evaluating text as code
    defaultStyle: false,
    renderer: "svg",
    tooltip: { disableDefaultStyle: true },
  };
  // The chart library, close to a megabyte, is packed. The policy allows this one script.
  let library = null;
  const loadLibrary = async () => {
    const script = document.createElement("script");
    script.textContent = await inflate(document.getElementById("charts-library"));
    document.head.append(script);
  };
  const views = new Map();
  const draw = async (id) => {
    const element = document.getElementById(`chart-${id}`);
    try {
      await (library ??= loadLibrary());
      views.get(id)?.finalize();
      const spec = resolve(specs[id]);
      views.set(id, await window.vegaEmbed(element, { $schema: "https://vega.github.io/schema/vega-lite/v5.json", ...spec }, { ...options, config: config() }));
    } catch (error) {
      element.textContent = `This chart could not be drawn: ${error.message}`;
      console.error(error);
    }
  };
  const waiting = new Set(Object.keys(specs));
  const drawOnce = async (id) => {
    if (waiting.delete(id)) await draw(id);
  };
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) drawOnce(entry.target.id.slice("chart-".length));
  }, { rootMargin: "600px" });
  for (const id of waiting) watcher.observe(document.getElementById(`chart-${id}`));
  const redraw = () => Promise.all([...views.keys()].map(draw));
  addEventListener("beforeprint", () => {
    waiting.forEach(drawOnce);
    printing = true;
    redraw();
  });
  addEventListener("afterprint", () => {
    printing = false;
    redraw();
  });

  const button = document.getElementById("theme");
  const themes = ["", "light", "dark"];
  const names = { "": "as the system", light: "light", dark: "dark" };
  button.hidden = false;
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(root.dataset.theme ?? "") + 1) % themes.length];
    if (next) root.dataset.theme = next;
    else delete root.dataset.theme;
    button.textContent = `Theme: ${names[next]}`;
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

if (typeof DecompressionStream === "undefined") {
  for (const element of document.querySelectorAll("[id^=chart-]")) element.textContent = "This browser is too old to draw charts. The tables have their numbers.";
} else {
  inflate(document.getElementById("charts-data")).then((text) => start(JSON.parse(text)));
}
