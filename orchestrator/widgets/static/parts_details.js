// One part with everything that is known of it, curves of its price, and several parts side by side.

const SVG = "http://www.w3.org/2000/svg";
const draw = (tag, attributes, ...children) => {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

const ticks = (low, high) => {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const step of [1, 2, 5]) {
      const value = step * 10 ** power;
      if (value >= low * 0.999 && value <= high * 1.001) found.push(value);
    }
  }
  return found.length > 7 ? found.filter((value) => Number.isInteger(Math.log10(value) + 1e-12) || Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9) : found;
};

// Steps of a unit price. `across`: quantities on a logarithmic scale, or days. The first line is the best offer.
const CHART = { width: 620, height: 250, left: 62, right: 14, top: 14, bottom: 34 };
const chart = (lines, { days = false, mark = null, label, unit }) => {
  const { width, height, left, right, top, bottom } = CHART;
  const at = (x) => (days ? Date.parse(x) / 86400000 : Math.log10(x));
  const xs = lines.flatMap((each) => each.points.map(([x]) => at(x)));
  const ys = lines.flatMap((each) => each.points.map(([, y]) => y)).filter((y) => y > 0);
  if (mark) xs.push(Math.log10(mark));
  if (!ys.length) return h("p", { class: "lab-muted" }, "No prices.");
  let [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  if (days) x1 = Math.max(x1, Date.now() / 86400000);
  else x1 += 0.3;
  if (x1 - x0 < 0.5) x1 = x0 + (days ? 7 : 1);
  const [low, high] = [Math.min(...ys) / 1.12, Math.max(...ys) * 1.12];
  const [y0, y1] = [Math.log10(low), Math.log10(high)];
  const px = (x) => left + ((x - x0) / (x1 - x0)) * (width - left - right);
  const py = (y) => top + (1 - (Math.log10(y) - y0) / (y1 - y0)) * (height - top - bottom);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, class: "parts-chart", role: "img", "aria-label": label });
  let levels = ticks(low, high);
  if (levels.length < 2) levels = [low * 1.12, high / 1.12].filter((value, index, all) => all.indexOf(value) === index);
  for (const value of levels) {
    svg.append(draw("line", { x1: left, x2: width - right, y1: py(value), y2: py(value), class: "parts-grid" }));
    svg.append(draw("text", { x: left - 8, y: py(value) + 4, "text-anchor": "end" }, price(value)));
  }
  if (days) {
    for (const x of [x0, x1]) svg.append(draw("text", { x: px(x), y: height - 12, "text-anchor": x === x0 ? "start" : "end" }, new Date(x * 86400000).toISOString().slice(0, 10)));
  } else {
    for (let power = Math.ceil(x0 - 1e-9); power <= x1; power += 1) svg.append(draw("text", { x: px(power), y: height - 12, "text-anchor": "middle" }, pieces(10 ** power)));
    if (mark) svg.append(draw("line", { x1: px(Math.log10(mark)), x2: px(Math.log10(mark)), y1: top, y2: height - bottom, class: "parts-mark" }));
  }
  lines
    .map((each, index) => {
      const path = each.points.map(([x, y], place) => {
        const end = place + 1 < each.points.length ? at(each.points[place + 1][0]) : x1;
        return `${place ? "L" : "M"}${px(at(x)).toFixed(1)},${py(y).toFixed(1)}H${px(end).toFixed(1)}`;
      });
      const made = draw("path", { d: path.join(""), class: `parts-line parts-line-${index % 6}` });
      made.append(draw("title", {}, each.name));
      return made;
    })
    .reverse() // the best one lies on top
    .forEach((path) => svg.append(path));
  const legend = h("ul", { class: "parts-legend" }, ...lines.map((each, index) => h("li", { class: `parts-key-${index % 6}` }, each.name)));
  return h("figure", { class: "parts-figure" }, svg, legend, h("figcaption", { class: "lab-muted" }, unit));
};

const sheet = (parent, label) => {
  const title = h("h2");
  const under = h("p", { class: "lab-muted" });
  const content = h("div", { class: "parts-sheet-body" });
  const shut = h("button", { class: "lab-button", type: "button", onclick: () => box.close() }, "Close");
  const box = h("dialog", { class: "parts-sheet", "aria-label": label, "data-lm-suppress-shortcuts": "true" }, h("div", { class: "parts-sheet-head" }, h("div", {}, title, under), shut), content);
  box.addEventListener("click", (event) => event.target === box && box.close());
  box.addEventListener("keydown", (event) => event.stopPropagation());
  parent.append(box);
  return {
    box,
    content,
    open(name, words) {
      say(title, name);
      say(under, words);
      if (!box.open) box.showModal();
      box.scrollTop = 0;
    },
  };
};

const section = (title, ...children) => h("section", { class: "parts-section" }, h("h3", {}, title), ...children);

const pairs = (entries) => h("dl", { class: "parts-params" }, ...entries.flatMap(([name, value]) => [h("dt", {}, nameOf(name)), h("dd", {}, value)]));

const offerRow = (offer, currency) => {
  const steps = offer.ladder.map((step) => {
    const own = step.of === currency ? "" : `${price(step.own)} ${step.of}`;
    return h("tr", { class: step.used ? "parts-used" : "" }, h("td", {}, pieces(step.quantity)), h("td", { title: own }, step.unit === null ? `${price(step.own)} ${step.of}` : price(step.unit)));
  });
  const facts = [];
  if (offer.packaging) facts.push(offer.packaging);
  facts.push(`MOQ ${pieces(offer.moq)}`);
  if (offer.multiple > 1) facts.push(`in steps of ${pieces(offer.multiple)}`);
  if (offer.lead) facts.push(`lead time ${offer.lead} days`);
  if (offer.authorized) facts.push("authorised");
  const notes = [...offer.warnings];
  if (offer.stale) notes.unshift(`as of ${new Date(offer.fetched).toLocaleString()}`);
  return h(
    "article",
    { class: `parts-offer${offer.best ? " parts-best" : ""}` },
    h(
      "div",
      { class: "parts-offer-main" },
      h("div", {}, h("strong", {}, offer.seller), " ", h("span", { class: "lab-muted" }, offer.region), offer.best ? h("span", { class: "lab-badge parts-ok" }, "best at this quantity") : null),
      h("div", { class: "lab-muted" }, h("code", {}, offer.sku || "no SKU"), ` · told by ${offer.source}`),
      h("div", { class: "lab-muted" }, facts.join(" · ")),
      h("div", {}, offer.stock === null ? "stock not told" : offer.stock ? `${pieces(offer.stock)} in stock` : h("span", { class: "parts-none" }, "not in stock"), " ", link(offer.url, "Open at the seller ↗")),
      offer.total ? h("div", { class: "parts-buy" }, `Buy ${pieces(offer.buy)} for ${money(offer.total)} ${currency}`, h("span", { class: "lab-muted" }, `  ${price(offer.unit)} each`)) : null,
      notes.length ? h("div", { class: "lab-muted parts-notes" }, notes.join("; ")) : null,
    ),
    steps.length ? h("table", { class: "parts-ladder" }, h("thead", {}, h("tr", {}, h("th", {}, "From"), h("th", {}, currency))), h("tbody", {}, ...steps)) : h("p", { class: "lab-muted" }, "No prices."),
  );
};

const detailsSheet = (model, heard, parent) => {
  const made = sheet(parent, "Part");
  let row = null;
  let [quantity, currency] = [1, ""];
  const publicly = () => {
    const prices = row.prices.map((each) => h("tr", {}, h("td", {}, each.region), h("td", {}, `${price(each.unit_price)} ${each.currency}`), h("td", {}, pieces(each.quantity)), h("td", {}, each.in_stock ? h("span", { class: "parts-yes" }, "In stock") : h("span", { class: "lab-muted" }, "Out of stock"))));
    const heads = ["Region", "Unit price", "At", "Availability"].map((text) => h("th", { scope: "col" }, text));
    return [
      section("Prices by region", prices.length ? h("table", { class: "parts-plain" }, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...prices)) : h("p", { class: "lab-muted" }, "No prices.")),
      section("Parameters", pairs(Object.entries(row.params))),
    ];
  };
  const whole = (told) => {
    const links = [link(told.datasheet, "Datasheet ↗", { class: "lab-button" }), link(told.image, "Picture ↗", { class: "lab-button" })].filter(Boolean);
    const facts = [["manufacturer", row.confirmed ? row.manufacturer : "unconfirmed: no source names it"], ["category", row.category], ["package", row.package], ["lifecycle", (LIFE[row.lifecycle] || [""])[0]], ["RoHS", told.rohs === null ? "" : told.rohs ? "yes" : "no"]].filter(([, value]) => value);
    const own = new Set(["package", "manufacturer", "lifecycle", "rohs"]);
    const params = Object.entries(told.params).filter(([name]) => !own.has(name));
    const nodes = [links.length ? h("div", { class: "parts-links" }, ...links) : null];
    nodes.push(h("div", { class: "parts-two" }, section("What it is", pairs([...facts, ...params])), section("Price over quantity", told.curves.length ? chart(told.curves, { mark: quantity, label: `Unit price of ${row.mpn} over quantity`, unit: `${currency} each; dashed: the asked ${pieces(quantity)}` }) : h("p", { class: "lab-muted" }, "No prices."))));
    if (told.conflicts.length) {
      const lines = told.conflicts.map((each) => h("li", {}, h("strong", {}, nameOf(each.name)), ": ", Object.entries(each.told).map(([source, value]) => `${source} says ${value}`).join("; ")));
      nodes.push(section("Sources disagree", h("ul", { class: "parts-conflicts" }, ...lines)));
    }
    nodes.push(section(`Offers (${told.offers.length + told.more})`, ...told.offers.map((offer) => offerRow(offer, currency)), told.more ? h("p", { class: "lab-muted" }, `${told.more} dearer offers are not shown.`) : null));
    const history = told.history.length
      ? chart(told.history, { days: true, label: `Unit price of ${row.mpn} over time`, unit: `${currency} each at ${pieces(quantity)}, on the days on which a price changed` })
      : h("p", { class: "lab-muted" }, "No price was noted yet. Prices of live sources are noted whenever they change.");
    nodes.push(section("Price history", history));
    return nodes.filter(Boolean);
  };
  heard.on("msg:custom", (message) => {
    if (message.kind === "details" && row && message.key === row.key && made.box.open) made.content.replaceChildren(...whole(message));
  });
  return (shown, isPublic, at, of) => {
    row = shown;
    [quantity, currency] = [at, of];
    made.content.replaceChildren(...(isPublic ? publicly() : [h("p", { class: "lab-muted" }, "Loading…")]));
    made.open(row.mpn, [row.confirmed ? row.manufacturer : "maker unconfirmed", row.description].filter(Boolean).join(" · "));
    if (!isPublic) model.send({ action: "details", key: row.key });
  };
};

const compareSheet = (parent, isPublic) => {
  const made = sheet(parent, "Comparison");
  return (rows, at) => {
    const line = (title, values) => {
      const differ = new Set(values).size > 1;
      return h("tr", { class: differ ? "parts-differs" : "" }, h("th", { scope: "row" }, title), ...values.map((value) => h("td", {}, value || "–")));
    };
    const names = [...new Set(rows.flatMap((row) => Object.keys(row.params)))].filter((name) => !["package", "manufacturer", "part_number"].includes(name));
    const stock = (row) => {
      const regions = Object.entries(row.stock).filter(([, number]) => number === null || number > 0);
      return regions.map(([region, number]) => (number === null ? region : `${region} ${pieces(number)}`)).join(", ") || "none";
    };
    const lines = [
      line("Manufacturer", rows.map((row) => (row.confirmed ? row.manufacturer : "unconfirmed"))),
      line("Description", rows.map((row) => row.description)),
      line("Package", rows.map((row) => row.package)),
      line("Lifecycle", rows.map((row) => (LIFE[row.lifecycle] || [""])[0])),
      line(`Unit price at ${pieces(at)}`, rows.map((row) => (row.price ? `${price(row.price.unit)} ${row.price.currency}` : ""))),
      line("Bought at least", rows.map((row) => (row.price ? pieces(row.price.buy) : ""))),
      isPublic ? null : line("Next price break", rows.map((row) => (row.price?.next ? `${price(row.price.next.unit)} from ${pieces(row.price.next.quantity)}` : ""))),
      line("In stock", rows.map(stock)),
      ...names.map((name) => line(nameOf(name), rows.map((row) => row.params[name]))),
    ];
    const head = h("tr", {}, h("td", {}), ...rows.map((row) => h("th", { scope: "col" }, row.mpn)));
    made.content.replaceChildren(h("div", { class: "parts-scroll" }, h("table", { class: "parts-plain parts-compare" }, h("thead", {}, head), h("tbody", {}, ...lines.filter(Boolean)))));
    made.open("Comparison", `${rows.length} parts; what differs is marked`);
  };
};
