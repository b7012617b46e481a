// The table of results: sorted, filtered and shown page by page, so that thousands of rows are as smooth as ten.

const PAGE_ROWS = 50;
const FACET_SHOWN = 7;
const FACET_MOST = 40;
const PARAMS_SHOWN = 7;
const MOST_COMPARED = 4;
const HIDDEN_PARAMS = new Set(["package", "manufacturer", "part_number", "lifecycle", "rohs", "stock", "moq", "multiple", "lead_time", "packaging"]);

const last = (value, least) => (value === null || value === undefined || value === "" ? least : value);
const unitPrice = (row) => (row.price ? Number(row.price.unit) : null);
const LIFE_ORDER = ["new", "active", "nrnd", "last_buy", "obsolete", "unknown"];
// title, how a row is ordered by it, and whether a first click shows the largest first
const COLUMNS = {
  part: ["Part", (row) => row.mpn.toLowerCase()],
  maker: ["Manufacturer", (row) => last(row.manufacturer.toLowerCase(), null)],
  about: ["Description", (row) => last(row.description.toLowerCase(), null)],
  package: ["Package", (row) => last(row.package, null)],
  life: ["Lifecycle", (row) => LIFE_ORDER.indexOf(row.lifecycle)],
  stock: ["Stock", (row) => row.pieces ?? (Object.keys(row.stock).length || null), true],
  price: ["Price", unitPrice],
  sources: ["Sources", (row) => row.sources, true],
};

const sorted = (rows, { by, down }) => {
  if (!by) return rows.sort((a, b) => a.rank - b.rank);
  const of = COLUMNS[by][1];
  const keyed = rows.map((row) => [of(row), row]);
  keyed.sort(([a, one], [b, other]) => {
    if (a === b) return one.rank - other.rank;
    if (a === null || a === undefined) return 1; // what is not known comes last, either way
    if (b === null || b === undefined) return -1;
    const order = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
    return (down ? -order : order) || one.rank - other.rank;
  });
  return keyed.map(([, row]) => row);
};

// What the results can be narrowed by: choices with their counts, and ranges of one unit.
const facets = (rows) => {
  const choices = [
    ["manufacturer", "Manufacturer", (row) => row.manufacturer || "(not named)"],
    ["package", "Package", (row) => row.package || "(not told)"],
    ["lifecycle", "Lifecycle", (row) => (LIFE[row.lifecycle] || [""])[0] || "(not told)"],
  ].map(([name, title, of]) => ({ name, title, of, counts: count(rows.map(of)) }));
  const ranges = [];
  const params = new Map(); // name -> its values
  for (const row of rows) {
    for (const [name, value] of Object.entries(row.params)) {
      if (HIDDEN_PARAMS.has(name)) continue;
      if (!params.has(name)) params.set(name, []);
      params.get(name).push(value);
    }
  }
  const common = [...params].sort((a, b) => b[1].length - a[1].length).slice(0, 30);
  for (const [name, values] of common) {
    if (ranges.length + choices.length >= PARAMS_SHOWN + 3) break;
    const distinct = new Set(values);
    if (distinct.size < 2) continue;
    const amounts = values.map(amount).filter(Boolean);
    const units = count(amounts.map((each) => each.unit));
    const unit = [...units].sort((a, b) => b[1] - a[1])[0]?.[0];
    const numbers = amounts.filter((each) => each.unit === unit).map((each) => each.value);
    if (numbers.length > values.length * 0.6) {
      const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
      if (low < high) ranges.push({ name: `p:${name}`, param: name, title: nameOf(name), unit, low, high });
    } else if (distinct.size <= FACET_MOST) {
      choices.push({ name: `p:${name}`, title: nameOf(name), of: (row) => row.params[name] || "(not told)", counts: count(rows.map((row) => row.params[name] || "(not told)")) });
    }
  }
  return { choices: choices.filter((each) => each.counts.size > 1), ranges };
};

const count = (values) => {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) || 0) + 1);
  return counts;
};

const table = ({ isPublic, open, compare, exported }) => {
  const rows = new Map(); // key -> row
  const compared = new Map();
  let order = { by: null, down: false };
  let page = 0;
  let quantity = 1;
  let currency = "";
  let drawn = null; // the animation frame that draws next
  const wanted = { stock: false, choices: new Map(), ranges: new Map(), text: "" };

  // ---- the head: how many, what to do with them
  const counted = h("strong", { class: "parts-count", role: "status" });
  const within = h("input", { type: "search", placeholder: "Within the results", "aria-label": "Search within the results", maxLength: 100, spellcheck: false });
  const compareButton = h("button", { class: "lab-button", type: "button", disabled: true, onclick: () => compare([...compared.values()]) }, "Compare");
  const save = (form, text) => h("button", { class: "lab-button", type: "button", onclick: () => exported(form, shown().map((row) => row.key)) }, text);
  const sortBy = h("select", { class: "parts-sort", "aria-label": "Sort by" });
  for (const [value, text] of [["", "Best match"], ["price", "Lowest price"], ["stock", isPublic ? "In stock" : "Most in stock"], ["part", "Part number"], ["maker", "Manufacturer"]]) sortBy.append(h("option", { value }, text));
  sortBy.onchange = () => sort(sortBy.value || null, Boolean(COLUMNS[sortBy.value]?.[2]));
  const head = h("div", { class: "parts-head" }, counted, within, sortBy, compareButton, save("csv", "CSV"), save("xlsx", "Excel"));

  // ---- filters
  const stock = h("input", { type: "checkbox" });
  stock.onchange = () => narrow(() => (wanted.stock = stock.checked));
  const lists = h("div", { class: "parts-facets" });
  const clear = h("button", { class: "lab-button lab-quiet", type: "button", hidden: true, onclick: () => reset() }, "Clear filters");
  const folded = h("details", { class: "parts-filters", open: matchMedia("(min-width: 821px)").matches }, h("summary", {}, "Filters"), h("label", { class: "lab-check" }, stock, "In stock only"), lists, clear);

  const names = ["part", "about", "package", "life", "stock", "price", ...(isPublic ? [] : ["sources"])];
  const heads = new Map();
  const top = h("tr");
  top.append(h("th", { class: "parts-pick", scope: "col" }, h("span", { class: "lab-hidden" }, "Compare")));
  for (const name of names) {
    const text = h("span", {}, COLUMNS[name][0]);
    const button = h("button", { type: "button", class: "parts-by", onclick: () => sort(name) }, text, h("i", { "aria-hidden": "true" }));
    const cell = h("th", { scope: "col", class: `parts-${name}` }, button);
    if (name === "part") cell.append(h("button", { type: "button", class: "parts-by parts-by-maker", onclick: () => sort("maker") }, h("span", {}, "Manufacturer"), h("i", { "aria-hidden": "true" })));
    heads.set(name, { cell, text });
    top.append(cell);
  }
  const body = h("tbody");
  const grid = h("table", { class: "parts-table" }, h("thead", {}, top), body);
  const nothing = h("p", { class: "lab-empty", hidden: true });
  const pager = h("nav", { class: "lab-pager", "aria-label": "Pages of results", hidden: true });
  const node = h("div", { class: "parts-found", hidden: true }, folded, h("div", { class: "parts-results" }, head, h("div", { class: "parts-scroll" }, grid), nothing, pager));

  let typing;
  within.oninput = () => {
    clearTimeout(typing);
    typing = setTimeout(() => narrow(() => (wanted.text = within.value.trim().toLowerCase())), 150);
  };

  const narrow = (change) => {
    change();
    page = 0;
    draw();
  };
  const reset = () => {
    wanted.stock = stock.checked = false;
    // each in its place: the fields on the page write into them until they are drawn anew
    for (const chosen of wanted.choices.values()) chosen.clear();
    for (const range of wanted.ranges.values()) range.low = range.high = null;
    wanted.text = within.value = "";
    facetKey = "";
    page = 0;
    draw();
  };
  const sort = (name, down) => {
    if (down === undefined) {
      const first = Boolean(COLUMNS[name][2]);
      // once, the other way, and back to the best match
      order = order.by !== name ? { by: name, down: first } : order.down === first ? { by: name, down: !first } : { by: null, down: false };
    } else order = { by: name, down };
    page = 0;
    draw();
  };

  const fits = (row, known) => {
    if (wanted.stock && !(row.pieces > 0 || Object.keys(row.stock).some((region) => row.stock[region] === null))) return false;
    if (wanted.text && !`${row.mpn} ${row.manufacturer} ${row.description} ${row.package}`.toLowerCase().includes(wanted.text)) return false;
    for (const facet of known.choices) {
      const chosen = wanted.choices.get(facet.name);
      if (chosen?.size && !chosen.has(facet.of(row))) return false;
    }
    for (const facet of known.ranges) {
      const range = wanted.ranges.get(facet.name);
      if (!range || (range.low === null && range.high === null)) continue;
      const said = row.params[facet.param];
      const told = said === undefined ? null : amount(said);
      if (!told || told.unit !== facet.unit) return false;
      const slack = Math.abs(told.value) * 1e-9;
      if (range.low !== null && told.value < range.low - slack) return false;
      if (range.high !== null && told.value > range.high + slack) return false;
    }
    return true;
  };
  const isNarrowed = () => wanted.stock || wanted.text !== "" || [...wanted.choices.values()].some((each) => each.size) || [...wanted.ranges.values()].some((each) => each.low !== null || each.high !== null);

  let known = { choices: [], ranges: [] };
  const shown = () => sorted([...rows.values()].filter((row) => fits(row, known)), order);

  // ---- facets are drawn anew only when there are other ones: a click must not lose its box
  let facetKey = "";
  const drawFacets = () => {
    const key = JSON.stringify([known.choices.map((each) => [each.name, [...each.counts]]), known.ranges]);
    if (key === facetKey) return;
    if (lists.contains(document.activeElement) && document.activeElement.type === "text") return; // somebody types a range
    facetKey = key;
    const focused = lists.contains(document.activeElement) ? document.activeElement.dataset.facet : null;
    lists.replaceChildren(...known.choices.slice(0, 3).map(choiceBox), ...known.ranges.map(rangeBox), ...known.choices.slice(3).map(choiceBox));
    if (focused) [...lists.querySelectorAll("[data-facet]")].find((each) => each.dataset.facet === focused)?.focus({ preventScroll: true });
  };
  const choiceBox = (facet) => {
    const chosen = wanted.choices.get(facet.name) || new Set();
    wanted.choices.set(facet.name, chosen);
    const values = [...facet.counts].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0], "en", { numeric: true })).slice(0, FACET_MOST);
    const lines = values.map(([value, number], index) => {
      const box = h("input", { type: "checkbox", checked: chosen.has(value) });
      box.dataset.facet = `${facet.name}=${value}`;
      box.onchange = () => narrow(() => (box.checked ? chosen.add(value) : chosen.delete(value)));
      return h("label", { class: "lab-check", hidden: index >= FACET_SHOWN && !chosen.has(value) }, box, h("span", { class: "parts-facet-name" }, value), h("span", { class: "lab-muted" }, String(number)));
    });
    const more = h("button", { class: "parts-more", type: "button", hidden: values.length <= FACET_SHOWN }, `${values.length - FACET_SHOWN} more`);
    more.onclick = () => {
      for (const line of lines) line.hidden = false;
      more.hidden = true;
    };
    return h("fieldset", { class: "parts-facet" }, h("legend", {}, facet.title), ...lines, more);
  };
  const rangeBox = (facet) => {
    const range = wanted.ranges.get(facet.name) || { low: null, high: null };
    wanted.ranges.set(facet.name, range);
    const field = (side, text) => {
      const input = h("input", { type: "text", placeholder: shortAmount(facet[side], facet.unit), "aria-label": `${facet.title}, ${text}`, maxLength: 20, spellcheck: false });
      if (range[side] !== null) input.value = shortAmount(range[side], facet.unit);
      input.dataset.facet = `${facet.name}=${side}`;
      input.onchange = () => {
        const said = input.value.trim() ? amount(input.value) : null;
        input.classList.toggle("parts-odd", Boolean(input.value.trim()) && !said);
        narrow(() => (range[side] = said ? said.value : null));
      };
      return input;
    };
    return h("fieldset", { class: "parts-facet" }, h("legend", {}, facet.title), h("div", { class: "parts-range" }, field("low", "at least"), h("span", { class: "lab-muted" }, "to"), field("high", "at most")));
  };

  // ---- rows
  const stockCell = (row) => {
    const regions = Object.entries(row.stock).filter(([, number]) => number === null || number > 0);
    if (isPublic) return regions.length ? [h("span", { class: "parts-yes" }, "In stock"), h("small", {}, regions.map(([region]) => region).join(", "))] : [h("span", { class: "lab-muted" }, "Out of stock")];
    if (row.pieces === null) return [h("span", { class: "lab-muted" }, "–")];
    const lead = !regions.length && row.lead ? h("small", {}, `lead time ${row.lead} days`) : null;
    return [h("span", { class: row.pieces ? "" : "parts-none" }, row.pieces ? pieces(row.pieces) : "none"), h("small", {}, regions.map(([region, number]) => `${region}\u00a0${pieces(number)}`).join(", ")), lead].filter(Boolean);
  };
  const priceCell = (row) => {
    const best = row.price;
    if (!best) return [h("span", { class: "lab-muted" }, "no price")];
    const said = [h("span", { class: "parts-unit" }, price(best.unit), " ", h("small", {}, best.currency))];
    const notes = [];
    if (best.buy !== quantity) notes.push(`buy ${pieces(best.buy)}`);
    if (isPublic) notes.push(best.region);
    else if (quantity > 1) notes.push(`total ${money(best.total)}`);
    if (!best.in_stock) notes.push("not in stock");
    if (best.stale) notes.push("old price");
    if (notes.length) said.push(...notes.map((note) => h("small", {}, note)));
    if (best.next) said.push(h("small", { class: "parts-next" }, `${price(best.next.unit)} from ${pieces(best.next.quantity)}`));
    return said;
  };
  const line = (row) => {
    const box = h("input", { type: "checkbox", checked: compared.has(row.key), "aria-label": `Compare ${row.mpn}` });
    box.onchange = () => {
      if (box.checked) compared.set(row.key, row);
      else compared.delete(row.key);
      if (compared.size > MOST_COMPARED) {
        compared.delete(row.key);
        box.checked = false;
      }
      count4();
    };
    const name = h("button", { class: "parts-name", type: "button", onclick: () => open(row) }, row.mpn);
    const cell = (what, label, ...children) => {
      const made = h("td", { class: `parts-${what}` }, ...children);
      made.dataset.label = label;
      return made;
    };
    const maker = row.confirmed ? row.manufacturer : "maker unconfirmed";
    const made = h(
      "tr",
      {},
      cell("pick", "", box),
      cell("part", "", name, h("span", { class: "parts-maker" }, maker), row.conflicts ? h("span", { class: "lab-badge parts-wait", title: "Sources say different things of it; the details show all" }, "conflicting data") : null),
      cell("about", "", row.description),
      cell("package", "Package", row.package || "–"),
      cell("life", "Lifecycle", life(row.lifecycle)),
      cell("stock", "Stock", ...stockCell(row)),
      cell("price", "Price", ...priceCell(row)),
    );
    if (!isPublic) made.append(cell("sources", "Sources", String(row.sources), h("small", {}, row.offers === 1 ? "1 offer" : `${row.offers} offers`)));
    made.dataset.key = row.key;
    made.addEventListener("click", (event) => {
      // a row is large and easy to hit; what is in it to press, and text that is being marked, goes first
      if (!event.target.closest("button, input, a, label, .parts-pick") && !String(getSelection())) open(row);
    });
    return made;
  };
  const count4 = () => {
    compareButton.disabled = compared.size < 2;
    say(compareButton, compared.size ? `Compare ${compared.size}` : "Compare");
    for (const box of body.querySelectorAll(".parts-pick input")) box.disabled = compared.size >= MOST_COMPARED && !box.checked;
  };

  const made = new Map(); // key -> { text, node }: rows that are as they were are left alone
  const draw = () => {
    if (drawn === null) drawn = requestAnimationFrame(drawNow);
  };
  const drawNow = () => {
    drawn = null;
    known = facets([...rows.values()]);
    const found = shown();
    const pages = Math.max(1, Math.ceil(found.length / PAGE_ROWS));
    page = Math.min(page, pages - 1);
    const now = found.slice(page * PAGE_ROWS, (page + 1) * PAGE_ROWS);
    const keys = new Set(now.map((row) => row.key));
    for (const [key, { node: old }] of made) {
      if (keys.has(key)) continue;
      old.remove();
      made.delete(key);
    }
    now.forEach((row, index) => {
      const text = JSON.stringify({ ...row, rank: 0 });
      let kept = made.get(row.key);
      if (!kept || kept.text !== text) {
        const focused = kept?.node.contains(document.activeElement);
        kept?.node.remove();
        made.set(row.key, (kept = { text, node: line(row) }));
        if (focused) requestAnimationFrame(() => kept.node.querySelector(".parts-name").focus({ preventScroll: true }));
      }
      if (body.children[index] !== kept.node) body.insertBefore(kept.node, body.children[index] || null);
    });
    say(counted, found.length === rows.size ? `${pieces(rows.size)} ${rows.size === 1 ? "part" : "parts"}` : `${pieces(found.length)} of ${pieces(rows.size)} parts`);
    say(nothing, "No part is like that. Take a filter away.");
    show(nothing, rows.size > 0 && found.length === 0);
    show(clear, isNarrowed());
    for (const [name, { cell, text }] of heads) {
      const mine = order.by === name;
      if (mine) cell.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
      if (name === "price") say(text, quantity > 1 ? `Price at ${pieces(quantity)}` : "Price");
    }
    top.querySelector(".parts-by-maker").dataset.sorted = order.by === "maker" ? (order.down ? "down" : "up") : "";
    sortBy.value = [...sortBy.options].some((each) => each.value === (order.by || "")) ? order.by || "" : "";
    drawFacets();
    drawPager(pages, found.length);
    count4();
  };
  const drawPager = (pages, total) => {
    show(pager, pages > 1);
    const key = `${page}/${pages}/${total}`;
    if (pages < 2 || pager.dataset.key === key) return;
    pager.dataset.key = key;
    const to = (number, text, label) => {
      const button = h("button", { class: "lab-button lab-page", type: "button", disabled: number < 0 || number >= pages, "aria-label": label || `Page ${number + 1}` }, text);
      if (number === page && !label) button.setAttribute("aria-current", "page");
      button.onclick = () => {
        page = number;
        draw();
        node.scrollIntoView({ block: "start" });
      };
      return button;
    };
    const near = [...new Set([0, page - 1, page, page + 1, pages - 1].filter((each) => each >= 0 && each < pages))];
    const numbers = near.flatMap((each, index) => [index && each - near[index - 1] > 1 ? h("span", { class: "lab-muted" }, "…") : null, to(each, String(each + 1))]);
    pager.replaceChildren(to(page - 1, "‹", "Page before"), ...numbers.filter(Boolean), to(page + 1, "›", "Next page"), h("span", { class: "lab-muted lab-pager-place" }, `${page * PAGE_ROWS + 1}–${Math.min(total, (page + 1) * PAGE_ROWS)} of ${pieces(total)}`));
  };

  return {
    node,
    begin(at, of) {
      rows.clear();
      compared.clear();
      for (const { node: old } of made.values()) old.remove();
      made.clear();
      [quantity, currency] = [at, of];
      reset();
      show(node, false);
    },
    put(row) {
      rows.set(row.key, row);
      if (compared.has(row.key)) compared.set(row.key, row);
      show(node, true);
      draw();
    },
    get size() {
      return rows.size;
    },
    get currency() {
      return currency;
    },
    get quantity() {
      return quantity;
    },
    end() {
      if (drawn !== null) cancelAnimationFrame(drawn);
      clearTimeout(typing);
    },
  };
};
