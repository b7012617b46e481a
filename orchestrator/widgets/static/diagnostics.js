const WINDOWS = [["24h", "24 hours"], ["7d", "7 days"], ["30d", "30 days"], ["all", "All"]];
const STATUSES = [["done", "Done"], ["failed", "Failed"], ["running", "Running"], ["queued", "Waiting"], ["created", "Drafts"], ["cancelled", "Cancelled"]];
const PLOTS = [["jobs", "Jobs over time"], ["durations", "Duration over time"], ["memory", "Memory of the services, last day"], ["waiting", "Age of the oldest waiting job, last day"]];
const LEVEL = / (DEBUG|INFO|WARNING|ERROR|CRITICAL) /;
const ANSWER_MS = 15000;

const figuresPanel = () => {
  const rate = h("strong", { class: "lab-diag-rate" });
  const verdict = h("span", { class: "lab-diag-verdict" });
  const fill = h("i");
  const goal = h("b");
  const meter = h("div", { class: "lab-diag-meter", role: "img" }, fill, goal);
  const success = h("li", { class: "lab-diag-tile lab-diag-success" }, h("span", { class: "lab-muted" }, "Success rate"), h("div", { class: "lab-diag-line" }, rate, verdict), meter);
  const total = h("strong");
  const tiles = new Map(STATUSES.map(([status]) => [status, h("strong")]));
  const list = h(
    "ul",
    { class: "lab-diag-tiles" },
    success,
    h("li", { class: "lab-diag-tile", "data-tile": "total" }, h("span", { class: "lab-muted" }, "Jobs"), total),
    ...STATUSES.map(([status, word]) => h("li", { class: "lab-diag-tile", "data-tile": status }, h("span", { class: "lab-muted" }, word), tiles.get(status))),
  );
  const note = h("p", { class: "lab-muted lab-diag-note" });
  const empty = h("p", { class: "lab-empty", hidden: true });
  const node = panel("figures", "Jobs", list, note, empty);
  node.update = changed((figures) => {
    say(total, figures.total.toLocaleString());
    for (const [status, tile] of tiles) say(tile, (figures.counts[status] || 0).toLocaleString());
    const known = figures.successRate !== null;
    const met = known && figures.successRate >= figures.goal;
    say(rate, percent(figures.successRate));
    say(verdict, known ? `goal ${percent(figures.goal)} ${met ? "met" : "missed"}` : `goal ${percent(figures.goal)}`);
    success.dataset.state = known ? (met ? "ok" : "bad") : "none";
    fill.style.width = `${100 * (figures.successRate || 0)}%`;
    goal.style.left = `${100 * figures.goal}%`;
    meter.setAttribute("aria-label", `Success rate ${percent(figures.successRate)}, goal ${percent(figures.goal)}`);
    const facts = ["Success is done ÷ (done + failed)."];
    if (figures.attemptsMean !== null) facts.push(`A finished job took ${figures.attemptsMean.toFixed(2)} attempts on average, ${figures.attemptsMost} at most (goal: fewer than ${figures.attemptsTarget}).`);
    if (figures.cut) facts.push(`Only the newest ${figures.considered.toLocaleString()} of ${many(figures.known, "job")} are looked at.`);
    say(note, facts.join(" "));
    show(note, figures.total > 0);
    show(empty, figures.total === 0);
    say(empty, figures.known ? "No job was submitted in this time. Choose a longer one above." : "There are no jobs yet. Ask for a picture on the dashboard, and its figures appear here.");
  });
  return node;
};

const backendsPanel = () => {
  const counts = table("Jobs by backend and status", ["Backend", ...STATUSES.map(([, word]) => word), "Success"]);
  const times = table("Durations by backend, against their targets", ["Backend", "Timed", "Median", "p95", "Target", "Within"]);
  const empty = h("p", { class: "lab-empty" }, "Each backend that made pictures has a row here.");
  const node = panel("backends", "By backend", empty, counts, h("h3", { class: "lab-diag-under" }, "Durations against the targets"), times, h("p", { class: "lab-muted lab-diag-note" }, "Measured from the start of the attempt that made the picture to its end. p95: 19 of 20 are quicker."));
  const limit = (value, target) => {
    const cell = h("td", { class: "lab-number" }, seconds(value));
    if (value !== null && target !== null) {
      const ok = value <= target;
      cell.dataset.state = ok ? "ok" : "bad";
      cell.append(h("span", { "aria-hidden": "true" }, ok ? " ✓" : " ✗"), h("span", { class: "lab-hidden" }, ok ? " within the target" : " over the target"));
    }
    return cell;
  };
  node.update = changed(({ backends, goal }) => {
    const idle = STATUSES.flatMap(([status], n) => (n > 1 && backends.every((each) => !each.counts[status]) ? [n + 1] : []));
    const rows = backends.map((each) => {
      const rate = h("td", { class: "lab-number" }, percent(each.successRate));
      if (each.successRate !== null) rate.dataset.state = each.successRate >= goal ? "ok" : "bad";
      return line(each.backend, ...STATUSES.map(([status]) => (each.counts[status] || 0).toLocaleString()), rate);
    });
    counts.fill(rows, idle);
    times.fill(backends.map((each) => line(each.backend, each.timed.toLocaleString(), limit(each.medianS, each.targetS), limit(each.p95S, each.targetS), each.targetS === null ? "none" : `${each.targetS} s`, percent(each.withinTarget))));
    show(empty, backends.length === 0);
    for (const child of node.children) if (child !== empty && child.tagName !== "H2") show(child, backends.length > 0);
  });
  return node;
};

const plotsPanel = (model, heard) => {
  const state = h("p", { class: "lab-muted lab-diag-state", role: "status" });
  const failed = h("div", { class: "lab-failure", hidden: true }, h("strong"), " ", h("span"));
  const figures = PLOTS.map(([name, title]) => {
    const pair = ["light", "dark"].map((theme) => h("img", { class: `lab-diag-${theme}`, alt: "", hidden: true }));
    return { name, pair, node: h("figure", {}, h("figcaption", {}, title), h("div", { class: "lab-diag-plot" }, ...pair)) };
  });
  const grid = h("div", { class: "lab-diag-pair" }, ...figures.map((figure) => figure.node));
  const note = h("p", { class: "lab-muted lab-diag-note" }, "Dashed lines are the targets. Times are those of your clock.");
  const node = panel("plots", "Over time", state, failed, grid, note);
  const draw = () => {
    const said = model.get("drawing");
    const plots = model.get("plots");
    const none = !(model.get("figures") || {}).total;
    const empty = none && !Object.keys(plots).length;
    for (const { name, pair, node: figure } of figures) {
      const plot = plots[name];
      show(figure, Boolean(plot) || (!none && ["jobs", "durations"].includes(name)));
      pair.forEach((img, n) => {
        if (!plot) return unpaint(img);
        const data = plot[n ? "dark" : "light"];
        if (img.drawn !== data) paint(img, data, "image/svg+xml");
        img.drawn = data;
        img.alt = plot.alt;
        return undefined;
      });
    }
    say(state, empty ? "Plots are drawn once there are jobs." : ["drawn", "failed"].includes(said.state) ? "" : "Drawing…");
    state.classList.toggle("lab-diag-alone", empty); // in the flow, not in the corner
    show(failed, said.state === "failed");
    say(failed.firstElementChild, sentence(said.text));
    say(failed.lastElementChild, said.remedy || "");
    show(grid, !empty);
    show(note, !empty);
  };
  heard.on("change:drawing change:plots change:figures", draw);
  draw();
  // drawn only for who looks: matplotlib takes a second of a process of its own
  let told = null;
  let near = false;
  const tell = () => {
    const seen = near && !document.hidden;
    if (seen === told) return;
    told = seen;
    model.send({ action: "plots", seen });
  };
  const eye = new IntersectionObserver(
    (entries) => {
      near = entries[entries.length - 1].isIntersecting;
      tell();
    },
    { rootMargin: "300px" },
  );
  eye.observe(node);
  document.addEventListener("visibilitychange", tell);
  node.end = () => {
    eye.disconnect();
    document.removeEventListener("visibilitychange", tell);
    for (const { pair } of figures) pair.forEach(unpaint);
  };
  return node;
};

const failuresPanel = (model, heard) => {
  const list = h("ul", { class: "lab-diag-failures" });
  const empty = h("p", { class: "lab-empty" }, "No job has failed in this time.");
  const node = panel("failures", "Failures", empty, list);
  const mends = new Map(); // kind -> the buttons of its newest job: kept, since one may be at work
  const item = (group, known) => {
    if (!mends.has(group.kind)) mends.set(group.kind, mending(model, heard));
    const mend = mends.get(group.kind);
    mend.update(known ? known.job : "", known ? known.actions : [], group.at);
    const remedy = known ? known.remedy : group.remedy;
    const advised = h("span");
    advise(advised, remedy);
    const job = h("code", { title: group.jobId }, group.jobId.slice(0, 13));
    const when = h("time", { dateTime: group.at, title: moment(group.at) }, ago(group.at));
    return h(
      "li",
      {},
      h("div", { class: "lab-diag-line" }, h("strong", { class: "lab-diag-count" }, `${group.count.toLocaleString()} ×`), h("span", { class: "lab-badge" }, group.kind), h("span", { class: "lab-muted" }, group.backends.join(", "))),
      h("p", { dir: "auto" }, sentence(group.message)),
      known && known.cause ? h("p", { dir: "auto" }, h("strong", {}, "Why: "), known.cause) : null,
      remedy ? h("p", { class: "lab-diag-remedy", dir: "auto" }, h("strong", {}, "What to do: "), advised) : null,
      h("p", { class: "lab-muted" }, "newest: job ", job, ", ", when),
      mend,
    );
  };
  let groups = [];
  node.tick = () => [...list.querySelectorAll("time")].forEach((when, n) => say(when, ago(groups[n].at)));
  node.update = changed(({ failures, diagnoses }) => {
    groups = failures;
    for (const kind of mends.keys()) if (!groups.some((group) => group.kind === kind)) mends.delete(kind);
    const focused = list.contains(document.activeElement) && document.activeElement;
    list.replaceChildren(...groups.map((group) => item(group, diagnoses[group.kind])));
    if (focused && focused.isConnected) focused.focus({ preventScroll: true });
    show(empty, groups.length === 0);
  });
  return node;
};

// How the services did over the last day: the guardian writes a line a minute.
const LETTERS = { u: "up", d: "down", m: "both", "-": "none" };
const pastPanel = () => {
  const rows = table("The services over the last day", ["Service", "Up", "Falls", "Last 24 hours"]);
  const empty = h("p", { class: "lab-empty" }, "The guardian of `orchestrator up` writes down once a minute what runs; nothing of the last day is known yet.");
  const note = h("p", { class: "lab-muted lab-diag-note" });
  const node = panel("past", "Services over the last day", empty, rows, note);
  const strip = (each) => {
    const cells = [...each.strip].map((letter) => h("i", { class: `lab-past-${LETTERS[letter] || "none"}` }));
    return h("td", {}, h("div", { class: "lab-past-strip", role: "img", "aria-label": `${each.title}: up at ${percent(each.up)} of the looks, fell ${many(each.falls, "time")}` }, ...cells));
  };
  node.update = changed((past) => {
    const known = past.services || [];
    rows.fill(known.map((each) => {
      const up = h("td", { class: "lab-number" }, percent(each.up));
      up.dataset.state = each.up >= 0.99 ? "ok" : "bad";
      return line(each.title, up, each.falls.toLocaleString(), strip(each));
    }));
    show(empty, known.length === 0);
    show(rows, known.length > 0);
    show(note, known.length > 0);
    if (known.length) say(note, `${many(past.looks, "look")} since ${moment(past.since)}. Each mark is a quarter of an hour; grey: nobody looked.`);
  });
  return node;
};

const placesPanel = () => {
  const list = h("ul", { class: "lab-diag-places" });
  const corrupt = h("div", { class: "lab-failure", hidden: true }, h("strong"), " ", h("span", {}, "Read the notes beside them in the folder _corrupt of the jobs; repair the files and move them back, or delete them."));
  const node = panel("places", "Disks", corrupt, list);
  const item = (place) => {
    const used = place.free !== null && place.total ? 1 - place.free / place.total : null;
    const free = place.free === null ? "" : `${bytes(place.free)} free${place.total ? ` of ${bytes(place.total)}` : ""}`;
    const bar = h("div", { class: "lab-diag-meter", "aria-hidden": "true", hidden: used === null }, h("i"));
    bar.firstElementChild.style.width = `${100 * (used || 0)}%`;
    const trouble = place.state === "bad" ? sentence(`It cannot be used: ${place.problem || "not writable"}`) : place.state === "low" ? "Its disk is almost full: free some space." : place.problem;
    const node = h(
      "li",
      { title: place.path },
      h("div", { class: "lab-diag-line" }, h("strong", {}, place.key), h("span", { class: "lab-muted lab-diag-free" }, free)),
      h("code", { class: "lab-muted lab-diag-path" }, place.path),
      bar,
      trouble ? h("p", { class: "lab-diag-trouble" }, trouble) : null,
    );
    node.dataset.state = place.state;
    return node;
  };
  node.update = changed((places) => list.replaceChildren(...places.map(item)));
  node.warn = (n) => {
    show(corrupt, n > 0);
    say(corrupt.firstElementChild, `${many(n, "file")} in the folder of jobs ${n === 1 ? "holds" : "hold"} no job.`);
  };
  return node;
};

const logPanel = (model, heard) => {
  const file = h("select", { "aria-label": "Log file", onchange: () => model.send({ action: "log", file: file.value }) });
  const find = h("input", { type: "search", placeholder: "Show lines with…", "aria-label": "Show only lines with this text", oninput: () => draw() });
  const list = h("ol", { class: "lab-diag-lines", tabIndex: 0, "aria-label": "Log lines, the newest last" });
  const empty = h("p", { class: "lab-empty" });
  const node = panel("log", "Log", h("div", { class: "lab-diag-tools" }, file, find), empty, list);
  const choose = changed(({ files, chosen }) => {
    if (file === document.activeElement && file.options.length) return false; // it may be open
    file.replaceChildren(h("option", { value: "" }, "All files"), ...files.map((each) => h("option", { value: each.name }, `${each.name} (${bytes(each.size)})`)));
    file.value = chosen;
    return true;
  });
  const fill = changed(({ lines, all }) => {
    const end = list.scrollTop + list.clientHeight >= list.scrollHeight - 24;
    let level = "";
    list.replaceChildren(...lines.map(([name, text]) => {
      const found = LEVEL.exec(text.slice(0, 60));
      if (found) [, level] = found;
      else if (!/^\s/.test(text)) level = ""; // a traceback is of its error's colour
      const row = h("li", { dir: "ltr" }, all ? h("span", { class: "lab-diag-file" }, name) : null, h("span", {}, text));
      row.dataset.level = level;
      return row;
    }));
    if (end) list.scrollTop = list.scrollHeight; // who reads further up is not moved
  });
  const draw = () => {
    const log = model.get("log");
    if (!log.files) return;
    const words = find.value.trim().toLowerCase();
    const lines = words ? log.lines.filter(([name, text]) => `${name} ${text}`.toLowerCase().includes(words)) : log.lines;
    choose({ files: log.files, chosen: log.file });
    fill({ lines, all: log.file === "" });
    show(list, lines.length > 0);
    show(empty, lines.length === 0);
    say(empty, log.lines.length ? "No line has this text." : log.files.length ? "The file is empty." : "Nothing has been logged yet.");
  };
  heard.on("change:log", draw);
  draw();
  return node;
};

// The report is made by the kernel, so a copy ends some moments after its click: browsers allow that only when they
// are given a promise at once, and not at all on a page that is neither https nor of this machine.
const reporter = (model, heard, view) => {
  const status = h("span", { class: "lab-diag-said", role: "status" });
  const button = h("button", { class: "lab-button", type: "button", onclick: () => ask() }, icon("M9 9h11v11H9z", "M5 15H4V4h11v1"), "Copy report");
  const text = h("textarea", { readOnly: true, rows: 18, "aria-label": "Report", spellcheck: false });
  const shut = h("button", { class: "lab-button", type: "button", onclick: () => box.close() }, "Close");
  const box = h("dialog", { class: "lab-diag-dialog", "aria-label": "Report", "data-lm-suppress-shortcuts": "true" }, h("p", {}, "This browser does not let the page copy. The report is selected: copy it with Ctrl+C, or ⌘C."), text, shut);
  view.append(box);
  let number = 0;
  const waiting = new Map();
  heard.on("msg:custom", (message) => {
    const answer = message.kind === "report" && waiting.get(message.number);
    if (answer) answer(message.text);
  });
  const fetched = () =>
    new Promise((resolve, reject) => {
      number += 1;
      const own = number;
      const timer = setTimeout(() => reject(new Error("no answer")), ANSWER_MS);
      waiting.set(own, (report) => {
        clearTimeout(timer);
        waiting.delete(own);
        resolve(report);
      });
      model.send({ action: "report", number: own });
    });
  const offer = (report) => {
    text.value = report;
    if (!box.open) box.showModal();
    text.focus();
    text.select();
    say(status, "");
  };
  const copy = async (report) => {
    const clipboard = navigator.clipboard;
    if (!clipboard) throw new Error("no clipboard");
    if (typeof ClipboardItem === "undefined" || !clipboard.write) return clipboard.writeText(await report);
    const blob = report.then((words) => new Blob([words], { type: "text/plain" }));
    return clipboard.write([new ClipboardItem({ "text/plain": blob })]);
  };
  const ask = async () => {
    button.disabled = true;
    say(status, "Looking at everything…");
    const report = fetched();
    try {
      await copy(report);
      say(status, "Copied.");
    } catch {
      try {
        offer(await report);
      } catch {
        say(status, "The report did not come. Reload the page and try again.");
      }
    }
    button.disabled = false;
  };
  return [button, status];
};

export default {
  render({ model, el }) {
    const heard = listener(model);
    const view = root(el, "diagnostics", "Diagnostics");
    const pills = WINDOWS.map(([name, word]) => {
      const pill = h("button", { class: "lab-pill", type: "button", onclick: () => model.send({ action: "window", window: name }) }, word);
      pill.dataset.window = name;
      return pill;
    });
    const [button, status] = reporter(model, heard, view);
    const bar = h("header", { class: "lab-diag-bar" }, h("div", { class: "lab-pills", role: "group", "aria-label": "Jobs submitted in the last" }, ...pills), h("div", { class: "lab-diag-report" }, status, button));
    const bones = h("div", { class: "lab-bones", role: "status", "aria-label": "Looking at the jobs" }, h("i"), h("i"), h("i"));
    const jobs = figuresPanel();
    const backends = backendsPanel();
    const plots = plotsPanel(model, heard);
    const failures = failuresPanel(model, heard);
    const before = pastPanel();
    const money = moneyPanel(model);
    const stock = stockPanel();
    const places = placesPanel();
    const log = logPanel(model, heard);
    const panels = h("div", { class: "lab-diag-panels" }, jobs, backends, failures, before, plots, money, stock, places, log);
    view.append(bar, banner(model, heard), notice(model, heard), bones, panels);

    const draw = () => {
      const figures = model.get("figures");
      const there = Boolean(figures.counts);
      show(bones, !there && !(model.get("banner") || {}).text);
      show(panels, there);
      for (const pill of pills) pill.setAttribute("aria-pressed", String(pill.dataset.window === model.get("window")));
      if (!there) return;
      jobs.update(figures);
      backends.update({ backends: figures.backends, goal: figures.goal });
      failures.update({ failures: figures.failures, diagnoses: model.get("diagnoses") });
      places.update(model.get("places"));
      places.warn(model.get("corrupt"));
    };
    heard.on("change:past", () => before.update(model.get("past")));
    heard.on("change:figures change:diagnoses change:window change:places change:corrupt change:banner", draw);
    heard.on("change:money", () => money.update(model.get("money")));
    heard.on("change:stock", () => stock.update(model.get("stock")));
    draw();
    before.update(model.get("past"));
    money.update(model.get("money"));
    stock.update(model.get("stock"));
    model.send({ action: "zone", zone: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC" });
    const timer = setInterval(failures.tick, 10000);
    return () => {
      clearInterval(timer);
      plots.end();
      heard.end();
    };
  },
};
