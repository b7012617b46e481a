// A bill of materials: dropped, asked line by line, and quoted.

const MOST_BYTES = 8000000;

const bomPanel = (model, heard, { setup, find }) => {
  const file = h("input", { type: "file", accept: ".csv,.tsv,.txt,.xlsx,.xml,.net", class: "lab-hidden", tabIndex: -1, "aria-label": "Bill of materials" });
  const choose = h("button", { class: "lab-button", type: "button", onclick: () => file.click() }, "Choose a file");
  const boards = h("input", { type: "number", min: 1, max: 10000000, value: 1, "aria-label": "Boards" });
  const currency = h("select", { "aria-label": "Currency of the quote" }, ...setup.currencies.map((code) => h("option", { value: code }, code)));
  currency.value = setup.currency;
  const trouble = h("p", { class: "lab-notice", role: "alert", hidden: true });
  const drop = h(
    "div",
    { class: "parts-drop" },
    h("div", {}, h("strong", {}, "Drop a bill of materials here"), h("p", { class: "lab-muted" }, "CSV, Excel, or KiCad's BOM or netlist, in English or Russian. Columns are found by their names: part number, or value and package; quantity or designators.")),
    h("label", { class: "parts-boards" }, h("span", {}, "Boards"), boards),
    h("label", { class: "parts-boards" }, h("span", {}, "in"), currency),
    choose,
    file,
  );
  const bar = progressBar();
  const stop = h("button", { class: "lab-button lab-quiet", type: "button", onclick: () => model.send({ action: "bom_stop" }) }, "Stop");
  const under = h("div", { class: "parts-quoting", hidden: true }, bar, stop);
  const result = h("div", { class: "parts-quote", hidden: true });
  const node = h("div", { class: "parts-bom" }, drop, trouble, under, result);
  let held = null; // name and bytes: another number of boards asks for the same again
  let asked = 0; // boards

  const ask = () => {
    if (!held) return;
    show(trouble, false);
    show(result, false);
    const number = Math.max(1, Math.min(10000000, Math.round(Number(boards.value)) || 1));
    boards.value = asked = number;
    model.send({ action: "bom", name: held.name, boards: number, currency: currency.value }, undefined, [held.bytes]);
  };
  const take = async (picked) => {
    if (!picked) return;
    if (picked.size > MOST_BYTES) {
      say(trouble, "The file is too large for a bill of materials.");
      return show(trouble, true);
    }
    held = { name: picked.name, bytes: await picked.arrayBuffer() };
    ask();
  };
  file.onchange = () => {
    take(file.files[0]);
    file.value = "";
  };
  // leaving the field says `change` too, with the number that was asked for already
  currency.onchange = ask;
  boards.onchange = () => Number(boards.value) !== asked && ask();
  node.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("parts-over");
  });
  node.addEventListener("dragleave", () => drop.classList.remove("parts-over"));
  node.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("parts-over");
    take(event.dataTransfer.files[0]);
  });

  const line = (row, of) => {
    const near = row.near.map((mpn) => h("button", { class: "parts-chip", type: "button", onclick: () => find(mpn) }, mpn));
    const found = row.mpn
      ? [h("button", { class: "parts-name", type: "button", onclick: () => find(row.mpn) }, row.mpn), h("span", { class: "parts-maker" }, row.manufacturer || "maker unconfirmed")]
      : [h("span", { class: "parts-none" }, row.needed ? "not found" : "not needed"), row.why ? h("small", {}, row.why) : null, near.length ? h("small", {}, "Near: ", ...near) : null];
    const said = row.mpn && row.note ? h("small", {}, row.note) : null;
    const made = h(
      "tr",
      { class: row.mpn ? "" : "parts-unmatched" },
      h("td", { class: "parts-where" }, h("span", {}, row.designators.join(" ") || `line ${row.row}`)),
      h("td", {}, row.asked || "–"),
      h("td", { class: "parts-number" }, pieces(row.needed)),
      h("td", {}, ...found.filter(Boolean)),
      h("td", {}, row.seller ? link(row.url, row.seller) || row.seller : "–", said),
      h("td", { class: "parts-number" }, row.buy ? pieces(row.buy) : "–"),
      h("td", { class: "parts-number" }, row.unit_price ? price(row.unit_price) : "–"),
      h("td", { class: "parts-number" }, row.total ? money(row.total) : "–"),
    );
    ["", "Asked", "Needed", "Part", "From", "Buy", "Each", of].forEach((text, index) => (made.children[index].dataset.label = text));
    return made;
  };
  const put = (quote) => {
    const save = (form, text) => h("button", { class: "lab-button", type: "button", onclick: () => model.send({ action: "bom_export", form }) }, text);
    const heads = ["Where", "Asked", "Needed", "Part", "From", "Buy", "Each", quote.currency].map((text, index) => h("th", { scope: "col", class: [2, 5, 6, 7].includes(index) ? "parts-number" : "" }, text));
    const matched = quote.rows.filter((row) => row.mpn).length;
    const missing = quote.unmatched.length;
    // what was not found comes first: it is what one has to do something about
    const rows = [...quote.rows].sort((a, b) => Boolean(a.mpn) - Boolean(b.mpn));
    const said = [...quote.troubles, ...quote.assumptions].map((text) => h("li", {}, text));
    result.replaceChildren(
      h(
        "div",
        { class: "parts-total" },
        h("div", {}, h("strong", {}, `${money(quote.total)} ${quote.currency}`), h("span", { class: "lab-muted" }, ` for ${pieces(quote.boards)} board${quote.boards === 1 ? "" : "s"}`)),
        h("span", { class: missing ? "parts-none" : "parts-yes" }, missing ? `${matched} of ${quote.rows.length} lines found, ${missing} not in the total` : `all ${matched} lines found`),
        h("div", { class: "parts-saves" }, save("xlsx", "Excel"), save("csv", "CSV"), save("kicad", "KiCad fields")),
      ),
      h("div", { class: "parts-scroll" }, h("table", { class: "parts-plain parts-lines" }, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...rows.map((row) => line(row, quote.currency))))),
      h("details", { class: "parts-assumed", open: quote.troubles.length > 0 }, h("summary", {}, `Taken for granted (${said.length})`), h("ul", {}, ...said)),
    );
    show(result, true);
  };
  heard.on("msg:custom", (message) => {
    if (message.kind === "quoting") {
      show(under, true);
      bar.update({ fraction: message.of ? message.done / message.of : 0, step: message.done, steps: message.of, text: "reading the file" }, "Progress of the quote");
    } else if (message.kind === "quoted") {
      show(under, false);
      if (message.quote) put(message.quote);
    }
  });
  return node;
};
