// What the panels of the diagnostics share: cards, tables, and figures in words.

const percent = (share) => (share === null || share === undefined ? "–" : `${(100 * share).toFixed(share > 0.999 || share < 0.001 ? 0 : 1)} %`);
const seconds = (s) => (s === null || s === undefined ? "–" : s < 600 ? `${s < 10 ? s.toFixed(1) : Math.round(s)} s` : span(s));
const bytes = (n) => (n >= 1e9 ? `${(n / 1e9).toFixed(n >= 1e11 ? 0 : 1)} GB` : n >= 1e6 ? `${Math.round(n / 1e6)} MB` : `${Math.ceil(n / 1e3)} kB`);
const moment = (text) => new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
const many = (n, word) => `${n.toLocaleString()} ${word}${n === 1 ? "" : "s"}`;

const panel = (name, title, ...children) =>
  h("section", { class: `lab-card lab-diag-panel lab-diag-on-${name}`, "aria-label": title }, h("h2", {}, title), ...children);

// Draws only when what it shows is different: a table that is being read must not be built anew each second.
const changed = (draw) => {
  let before = "";
  return (value) => {
    const text = JSON.stringify(value);
    if (text === before) return;
    before = text;
    draw(value);
  };
};

const table = (caption, heads) => {
  const body = h("tbody");
  const names = h("tr", {}, ...heads.map((head, n) => h("th", { scope: "col", class: n ? "lab-number" : "" }, head)));
  const node = h("div", { class: "lab-diag-scroll", role: "region", "aria-label": caption, tabIndex: 0 }, h("table", {}, h("caption", { class: "lab-hidden" }, caption), h("thead", {}, names), body));
  node.fill = (rows, hidden = []) => {
    body.replaceChildren(...rows);
    // nothing but zeros: on a phone there is no room for that
    for (const row of [names, ...rows]) for (const [n, cell] of [...row.children].entries()) show(cell, !hidden.includes(n));
  };
  return node;
};
const line = (head, ...cells) => h("tr", {}, h("th", { scope: "row" }, head), ...cells.map((cell) => (cell instanceof Node ? cell : h("td", { class: "lab-number" }, cell))));

