// Unpack the data, draw the browser, and listen.

function show(scroll) {
  rows = gatherRows();
  for (const name of ["tools", "count", "list"]) region(name).hidden = rows.length < 2 && pairs.length < 2;
  drawTools();
  refresh();
  if (scroll) root.scrollIntoView();
}

function onPopState() {
  if (readAddress() || !location.hash) show(false);
}

function resized() {
  const width = region("detail").clientWidth;
  const row = rows.find((each) => each.id === state.item) || filtered[0];
  if (row && Math.abs(width - drawnWidth) > 30 && !region("detail").contains(document.activeElement)) drawDetail(row);
}

function showMessage(text) {
  region("message").textContent = text;
  region("message").hidden = !text;
}

async function start() {
  if (typeof DecompressionStream === "undefined") {
    const remedy = "Look into the iteration's folder: items/, observed/ and results/.";
    showMessage(`This browser is too old for the item browser, which needs DecompressionStream. ${remedy}`);
    return;
  }
  data = JSON.parse(await inflate(packed));
  pairs = pairModels(data.iterations);
  const limit = `${data.detailed} of ${data.items} items have their texts, tokens and layers in this page, which has a size limit`;
  const rest = "All have their measures. The rest is in items/ and observed/ of the iteration's folder.";
  showMessage(data.detailed < data.items ? `${limit}. ${rest}` : "");
  region("app").hidden = false;
  const linked = readAddress();
  show(linked);
  region("tools").addEventListener("input", toolInput);
  region("tools").querySelector("button").addEventListener("click", clearTools);
  region("list").addEventListener("keydown", listKey);
  region("list").addEventListener("click", listClick);
  region("detail").addEventListener("keydown", (event) => {
    if (event.key === "Escape") region("list").querySelector('button[tabindex="0"]')?.focus();
  });
  addEventListener("popstate", onPopState);
  new ResizeObserver(resized).observe(region("detail"));
}

if (root && packed) start();
