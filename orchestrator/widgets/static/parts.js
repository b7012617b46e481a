const EXAMPLES = ["резистор 4к7 0603 1%", "NE555P", "конденсатор 100нФ 50В X7R 0603", "op amp SOIC-8", "стабилитрон 5.1В", "LM358", "n-channel MOSFET 30V SOT-23", "КТ315"];
const STATES = { waits: "waiting", asked: "asking…", done: "", failed: "no answer", rests: "" };
const GLASS = ["M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13", "M15.5 15.5L20 20"];

export default {
  render({ model, el }) {
    const heard = listener(model);
    const view = root(el, "parts", "Electronic components");
    const setup = model.get("setup");
    const isPublic = setup.public;
    let number = 0; // of the search that is shown

    // ---- what is asked
    const text = h("input", { type: "search", class: "parts-text", name: "query", placeholder: "Part number, or what it is: резистор 4к7 0603 1%", "aria-label": "Search for", maxLength: 200, spellcheck: false, autocomplete: "off", enterKeyHint: "search" });
    const quantity = h("input", { type: "number", min: 1, max: 1000000000, step: 1, inputMode: "numeric", placeholder: "1", name: "quantity", "aria-label": "Quantity" });
    const currency = h("select", { "aria-label": "Currency", name: "currency" });
    for (const code of setup.currencies) currency.append(h("option", { value: code }, code));
    currency.value = setup.currency;
    const go = h("button", { class: "lab-button lab-primary parts-go", type: "submit" }, icon(...GLASS), "Search");
    const label = (name, field) => h("label", { class: "parts-field" }, h("span", {}, name), field);
    const form = h("form", { class: "parts-ask", role: "search" }, label("Search for", text), label("Quantity", quantity), label("Currency", currency), go);
    form.noValidate = true;
    const ask = () => {
      const words = text.value.trim();
      if (!words) return text.focus();
      const pieces = Math.round(Number(quantity.value));
      clearInterval(ticking);
      say(clock, "asking…"); // what stands there is of the search before
      model.send({ action: "search", text: words, quantity: pieces >= 1 ? pieces : null, currency: currency.value });
      turn("search");
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      ask();
    });
    const find = (words) => {
      text.value = words;
      ask();
    };
    for (const field of [quantity, currency]) field.addEventListener("change", () => number && text.value.trim() && ask());

    // ---- what was understood
    const meant = h("div", { class: "parts-meant", hidden: true, "aria-label": "What was understood" });
    const drawMeant = (said) => {
      const chips = said.chips.map(({ name, value }) => h("span", { class: "parts-chip parts-fact" }, h("small", {}, name), value));
      const odd = said.unknown.map((word) => h("span", { class: "parts-chip parts-unknown", title: "Nothing was made of this word; it is searched for as it is" }, h("small", {}, "not understood"), word));
      const others = said.others.filter((other) => other.text).map((other) => h("button", { class: "parts-chip parts-other", type: "button", title: other.why, onclick: () => find(other.text) }, h("small", {}, "or"), other.reads));
      const english = said.en && said.en.toLowerCase() !== said.raw.trim().toLowerCase() ? h("span", { class: "lab-muted" }, `searched as “${said.en}”`) : null;
      meant.replaceChildren(...chips, ...odd, ...others, ...(english ? [english] : []));
      show(meant, meant.children.length > 0);
    };

    // ---- how the sources do
    const sources = new Map(); // name -> { node, update }
    const strip = h("ul", { class: "parts-strip" });
    const clock = h("span", { class: "lab-muted parts-clock", role: "status" });
    const stop = h("button", { class: "lab-button lab-quiet", type: "button", hidden: true, onclick: () => model.send({ action: "stop" }) }, "Stop");
    const failures = h("div", { class: "parts-failures" });
    const progress = h("div", { class: "parts-progress", hidden: true }, strip, clock, stop);
    const source = (told) => {
      const words = h("span", { class: "parts-source-words" });
      const left = h("small", { class: "lab-muted" });
      const node = h("li", { class: "parts-source" }, h("i", { "aria-hidden": "true" }), h("strong", {}, told.title), words, left);
      const fault = h("p", { class: "lab-failure lab-passing", hidden: true });
      failures.append(fault);
      const update = (now) => {
        node.dataset.state = now.state;
        const facts = now.state === "waits" || now.state === "asked" ? [STATES[now.state], now.count ? `${now.count} so far` : ""] : now.state === "failed" ? [now.error?.kind === "timeout" ? "too slow" : STATES.failed, now.count ? `${now.count} kept` : ""] : [now.count === 1 ? "1 offer" : `${pieces(now.count)} offers`];
        if (now.origin === "cache" || now.origin === "stale") facts.push(now.origin === "stale" ? "old, from the cache" : "from the cache");
        else if (now.ms !== null && now.state !== "asked") facts.push(seconds(now.ms));
        say(words, facts.filter(Boolean).join(" · "));
        say(left, typeof now.left === "number" ? now.quota : "");
        show(fault, Boolean(now.error));
        if (now.error) say(fault, `${now.title}: ${now.error.text}${now.error.retry_s ? ` It is asked again in ${Math.ceil(now.error.retry_s)} s.` : ""}`);
      };
      update(told);
      strip.append(node);
      sources.set(told.name, { update });
    };
    const begin = (told) => {
      sources.clear();
      strip.replaceChildren();
      failures.replaceChildren();
      for (const each of told) if (!each.missing) source(each);
      show(progress, true);
    };

    // ---- keys that are missing
    const lacking = h("details", { class: "parts-lacking", hidden: isPublic || !setup.lacking.length });
    if (setup.lacking.length) {
      const lines = setup.lacking.map((each) => h("li", {}, h("strong", {}, each.title), " ", ...withSites(each.missing)));
      lacking.append(h("summary", {}, setup.lacking.length === 1 ? "1 source is not asked" : `${setup.lacking.length} sources are not asked: they need keys`), h("ul", {}, ...lines));
      lacking.open = setup.sample;
    }
    const sample = h("p", { class: "lab-note parts-is-sample", hidden: !setup.sample }, h("strong", {}, "Sample data. "), "Parts and prices are made up, to try the search with. ", isPublic ? "" : "With a key of a distributor its real offers take their place.");

    // ---- before anything is searched
    const examples = EXAMPLES.map((words) => h("button", { class: "parts-chip parts-other", type: "button", onclick: () => find(words) }, words));
    const empty = h("div", { class: "parts-empty" }, h("p", {}, "Search in Russian or English, by part number or by what the part is:"), h("div", { class: "parts-examples" }, ...examples));
    const none = h("div", { class: "parts-empty", hidden: true });

    // ---- what was found
    const openDetails = detailsSheet(model, heard, view);
    const openComparison = compareSheet(view, isPublic);
    const results = table({
      isPublic,
      open: (row) => openDetails(row, isPublic, results.quantity, results.currency),
      compare: (rows) => openComparison(rows, results.quantity),
      exported: (form, keys) => model.send({ action: "export", form, keys }),
    });
    const searching = h("div", { class: "parts-panel" }, meant, progress, failures, empty, none, results.node);

    // ---- two things to do here
    const bom = isPublic ? null : bomPanel(model, heard, { setup, find });
    const tabs = new Map();
    const turn = (name) => {
      for (const [each, tab] of tabs) tab.setAttribute("aria-pressed", String(each === name));
      show(searching, name === "search");
      show(form, name === "search");
      if (bom) show(bom, name === "bom");
    };
    const bar = h("div", { class: "lab-pills parts-tabs", role: "group", "aria-label": "What to do", hidden: isPublic });
    for (const [name, title] of [["search", "Search"], ["bom", "Quote a bill of materials"]]) {
      const tab = h("button", { class: "lab-pill", type: "button", onclick: () => turn(name) }, title);
      tabs.set(name, tab);
      bar.append(tab);
    }
    view.append(bar, banner(model, heard), notice(model, heard), form, sample, searching, ...(bom ? [bom] : []), lacking);
    turn("search");

    // ---- news of the search
    let began = 0;
    let ticking;
    const tick = () => say(clock, `${((performance.now() - began) / 1000).toFixed(1)} s`);
    const over = (item) => {
      clearInterval(ticking);
      show(stop, false);
      view.dataset.state = "done";
      say(clock, item.stopped ? "stopped" : `done in ${seconds(item.ms)}`);
      if (results.size || item.stopped) return;
      none.replaceChildren(h("p", {}, h("strong", {}, "Nothing was found.")), h("p", { class: "lab-muted" }, setup.sample ? "The sample has only some hundred parts. Try one of these:" : "Try the part number alone, fewer words, or one of the other readings above."), ...(setup.sample ? [h("div", { class: "parts-examples" }, ...EXAMPLES.slice(0, 4).map((words) => h("button", { class: "parts-chip parts-other", type: "button", onclick: () => find(words) }, words)))] : []));
      show(none, true);
    };
    const take = {
      start(item) {
        show(empty, false);
        show(none, false);
        lacking.open = false;
        drawMeant(item.understood);
        begin(item.sources);
        results.begin(item.quantity, item.currency);
        if (!text.value) text.value = item.understood.raw;
        if (document.activeElement !== quantity && item.quantity > 1) quantity.value = item.quantity;
        currency.value = item.currency;
        view.dataset.state = "searching";
        began = performance.now();
        clearInterval(ticking);
        ticking = setInterval(tick, 100);
        show(stop, true);
      },
      source: (item) => sources.get(item.source.name)?.update(item.source),
      row: (item) => results.put(item.row),
      end: over,
    };
    heard.on("msg:custom", (message, buffers) => {
      if (message.kind === "file") return saveFile(message.name, message.mime, buffers[0]);
      if (message.kind !== "news" || message.number < number) return;
      number = message.number;
      for (const item of message.items) take[item.t](item);
    });
    heard.on("change:notice", () => clock.textContent === "asking…" && say(clock, "")); // it was refused
    model.send({ action: "again" }); // a search may have been made before this view of it was shown
    return () => {
      clearInterval(ticking);
      results.end();
      heard.end();
    };
  },
};
