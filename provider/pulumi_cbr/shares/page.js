"use strict";
(() => {
  document.documentElement.classList.add("js");
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const rows = all("#list tbody tr");
  const byIndex = new Map(rows.map((row) => [row.dataset.i, row]));
  const text = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const dots = all(".map button.dot");
  const selects = all(".filters select");
  const search = one("#search");
  const tiles = all(".tile");
  const detail = one("#detail");
  let tile = "";
  let opener = null;

  const matches = (row) =>
    selects.every((select) => !select.value || row.dataset[select.name] === select.value) &&
    (!tile || row.dataset.status === tile || row.dataset.known === tile) &&
    search.value.toLowerCase().split(/\s+/).every((word) => text.get(row).includes(word));

  const show = () => {
    const shown = new Set();
    for (const row of rows) {
      row.hidden = !matches(row);
      if (!row.hidden) shown.add(row.dataset.i);
    }
    for (const dot of dots) dot.hidden = !shown.has(dot.dataset.i);
    const columns = new Set();
    for (const row of all(".map tr.server")) {
      const here = all("button.dot:not([hidden])", row);
      row.hidden = !here.length;
      for (const dot of here) columns.add(dot.closest("td").dataset.c);
    }
    for (const body of all(".map tbody")) body.hidden = !one("tr.server:not([hidden])", body);
    for (const cell of all(".map [data-c]")) cell.hidden = !columns.has(cell.dataset.c);
    for (const button of tiles) button.setAttribute("aria-pressed", String(button.dataset.tile === tile));
    one("#count").textContent = `${shown.size} of ${rows.length} shares`;
    one("#empty").hidden = shown.size > 0;
    for (const part of all(".map-scroll, .list-scroll")) part.hidden = !shown.size;
    const current = dots.find((dot) => dot.tabIndex === 0);
    if (!current || current.hidden) focusable(dots.find((dot) => !dot.hidden));
  };

  const focusable = (dot) => {
    for (const other of dots) other.tabIndex = -1;
    if (dot) dot.tabIndex = 0;
  };

  const select = (index, from) => {
    for (const part of all(".selected")) part.classList.remove("selected");
    const row = byIndex.get(index);
    opener = from;
    row.classList.add("selected");
    for (const dot of dots) if (dot.dataset.i === index) { dot.classList.add("selected"); focusable(dot); }
    const list = one("dl", detail);
    list.replaceChildren();
    for (const cell of row.cells) {
      if (!cell.textContent.trim()) continue;
      const [name, value] = [document.createElement("dt"), document.createElement("dd")];
      name.textContent = cell.dataset.label;
      value.append(...[...cell.childNodes].map((node) => node.cloneNode(true)));
      list.append(name, value);
    }
    detail.hidden = false;
  };

  const close = () => {
    detail.hidden = true;
    for (const part of all(".selected")) part.classList.remove("selected");
    if (opener) opener.focus();
    opener = null;
  };

  const sort = (header) => {
    const descending = header.getAttribute("aria-sort") === "ascending";
    for (const other of all("#list th")) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const key = (row) => row.cells[header.cellIndex].dataset.v;
    const order = new Intl.Collator("en", { numeric: true });
    const sorted = [...rows].sort((a, b) => order.compare(key(a), key(b)));
    if (descending) sorted.reverse();
    one("#list tbody").append(...sorted);
  };

  const move = (event) => {
    const seen = dots.filter((dot) => !dot.hidden);
    const at = seen.indexOf(event.target);
    const column = event.target.closest("td").dataset.c;
    const row = event.target.closest("tr");
    const inColumn = (list) => list.find((dot) => dot.closest("td").dataset.c === column && dot.closest("tr") !== row);
    const goal = {
      ArrowRight: () => seen[at + 1],
      ArrowLeft: () => seen[at - 1],
      ArrowDown: () => inColumn(seen.slice(at + 1)),
      ArrowUp: () => inColumn(seen.slice(0, at).reverse()),
      Home: () => seen[0],
      End: () => seen[seen.length - 1],
    }[event.key];
    if (!goal) return;
    event.preventDefault();
    const dot = goal();
    if (dot) { focusable(dot); dot.focus(); }
  };

  search.addEventListener("input", show);
  for (const choice of selects) choice.addEventListener("change", show);
  for (const button of tiles) button.addEventListener("click", () => { tile = button.dataset.tile === tile ? "" : button.dataset.tile; show(); });
  one("#reset").addEventListener("click", () => { tile = ""; search.value = ""; for (const choice of selects) choice.value = ""; show(); search.focus(); });
  for (const button of all(".pick")) button.addEventListener("click", () => {
    const choice = selects.find((entry) => entry.name === button.dataset.name);
    choice.value = choice.value === button.dataset.value ? "" : button.dataset.value;
    show();
  });
  for (const dot of dots) dot.addEventListener("click", () => select(dot.dataset.i, dot));
  const map = one(".map");
  if (map) map.addEventListener("keydown", (event) => { if (event.target.matches("button.dot")) move(event); });
  for (const row of rows) row.addEventListener("click", () => { if (String(getSelection()) === "") select(row.dataset.i, null); });
  for (const button of all("#list thead button")) button.addEventListener("click", () => sort(button.closest("th")));
  one("#close").addEventListener("click", close);
  one("#to-row").addEventListener("click", () => { one("#list tr.selected").scrollIntoView({ block: "center" }); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !detail.hidden) close();
    if (event.key === "/" && !event.target.matches("input, select")) { event.preventDefault(); search.focus(); }
  });
  show();
})();
