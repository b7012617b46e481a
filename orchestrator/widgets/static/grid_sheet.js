// The list of batches, and one of them as a sheet of pictures.

const MOST_ASKED = 24; // thumbnails in one question
const STOP = ["M6 6h12v12H6z"];
const AGAIN = ["M4 12a8 8 0 1 1 2.4 5.7", "M4 19v-5h5"];
const HOLD_ICON = ["M8 5v14", "M16 5v14"];
const GO_ICON = ["M8 5l11 7-11 7z"];
const DOWN = ["M12 4v11", "M7 11l5 5 5-5", "M5 20h14"];

// ---- the batches, newest first

const batchList = ({ model, heard, change }) => {
  const list = h("ul", { class: "lab-batches" });
  const empty = h("p", { class: "lab-empty" }, "No batches yet. Plan a grid and press Run.");
  const more = h("button", { class: "lab-button lab-quiet", type: "button", hidden: true, onclick: () => model.send({ action: "more" }) }, "Show older batches");
  const spoken = h("div", { class: "lab-hidden", "aria-live": "polite" });
  const node = h("section", { class: "lab-batch-list", "aria-label": "Batches" }, h("h2", {}, "Batches"), empty, list, more, spoken);
  const shown = new Map();

  const line = (name) => {
    let now = {};
    const title = h("button", { class: "lab-batch-name", type: "button", onclick: () => model.send({ action: "open", name: model.get("opened") === name ? "" : name }) }, name);
    const shape = h("span", { class: "lab-muted" });
    const status = badge("lab-status");
    const bar = h("div", { class: "lab-bar", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100" }, h("i"));
    const said = h("span", { class: "lab-bar-text" });
    const age = h("time", { class: "lab-muted" });
    const tools = h("div", { class: "lab-row-buttons" });
    const row = h("li", { class: "lab-batch" }, h("div", { class: "lab-batch-head" }, title, status, tools), h("div", { class: "lab-progress" }, bar, said), h("div", { class: "lab-batch-facts" }, shape, age));
    const press = (what, words, drawn, question = () => "") => {
      const button = h("button", { class: "lab-button lab-icon-button", type: "button", title: words, "aria-label": `${words}: ${name}` }, icon(...drawn));
      button.dataset.what = what;
      asking(button, question, () => {
        button.setAttribute("aria-disabled", "true");
        change(name, what).finally(() => button.removeAttribute("aria-disabled"));
      });
      return button;
    };
    const wanted = () => {
      const has = [];
      if (!now.over) has.push(now.paused ? "resume" : "pause", "cancel");
      if (now.counts.failed) has.push("retry");
      return has;
    };
    const make = {
      pause: () => press("pause", "Pause", HOLD_ICON),
      resume: () => press("resume", "Resume", GO_ICON),
      cancel: () => press("cancel", "Cancel", STOP, () => `Cancel ${now.total - now.ended}?`),
      retry: () => press("retry", "Retry failed", AGAIN),
    };
    row.tick = () => say(age, ago(now.created));
    row.update = (next) => {
      const before = now;
      now = next;
      const done = now.counts.done || 0;
      const word = now.paused && !now.over ? "paused" : !now.over ? (now.counts.running ? "running" : "waiting") : now.counts.failed ? `${now.counts.failed} failed` : done === now.total ? "done" : "ended";
      row.dataset.status = now.paused && !now.over ? "queued" : !now.over ? (now.counts.running ? "running" : "queued") : now.counts.failed ? "failed" : done ? "done" : "cancelled";
      say(status, word);
      if (before.over === false && now.over) say(spoken, `${name}: ${word}`);
      say(shape, now.shape);
      const percent = now.total ? Math.floor((now.ended / now.total) * 100) : 100;
      bar.firstElementChild.style.width = `${percent}%`;
      bar.setAttribute("aria-valuenow", String(percent));
      bar.setAttribute("aria-label", `Progress of ${name}`);
      const problems = [["failed", now.counts.failed], ["cancelled", now.counts.cancelled], ["removed", now.removed]].filter(([, n]) => n).map(([what, n]) => `${n} ${what}`);
      const left = !now.over && !now.paused && now.left ? `${roughly(now.left)} left` : "";
      say(said, [`${now.ended} of ${now.total}`, ...problems, left].filter(Boolean).join(" · "));
      const key = wanted().join();
      if (tools.dataset.key !== key) {
        const focused = tools.contains(document.activeElement) && document.activeElement.dataset.what;
        tools.dataset.key = key;
        tools.replaceChildren(...wanted().map((what) => make[what]()));
        if (focused) (tools.querySelector(`[data-what="${focused}"]`) || tools.firstElementChild || title).focus({ preventScroll: true });
      }
      row.tick();
    };
    row.mark = () => {
      const open = model.get("opened") === name;
      row.classList.toggle("lab-batch-open", open);
      title.setAttribute("aria-expanded", String(open));
    };
    return row;
  };
  const draw = () => {
    const batches = model.get("batches");
    const names = new Set(batches.map((batch) => batch.name));
    for (const [name, row] of shown) {
      if (names.has(name)) continue;
      row.remove();
      shown.delete(name);
    }
    batches.forEach((batch, index) => {
      if (!shown.has(batch.name)) shown.set(batch.name, line(batch.name));
      const row = shown.get(batch.name);
      row.update(batch);
      row.mark();
      if (list.children[index] !== row) list.insertBefore(row, list.children[index] || null);
    });
    show(empty, model.get("ready") && batches.length === 0);
    show(more, model.get("total") > batches.length);
  };
  heard.on("change:batches change:total change:ready", draw);
  heard.on("change:opened", () => shown.forEach((row) => row.mark()));
  draw();
  const timer = setInterval(() => shown.forEach((row) => row.tick()), 5000);
  return { node, end: () => clearInterval(timer) };
};

// ---- one batch as a sheet

const batchSheet = ({ model, heard, ask, shelf, view, mark, complain }) => {
  const title = h("h2", { tabIndex: -1 });
  const hint = h("p", { class: "lab-muted lab-sheet-hint", role: "status" });
  const download = (what, words) => {
    const button = h("button", { class: "lab-button", type: "button", title: `Save the sheet as ${words}`, "aria-label": `Download ${words}` }, icon(...DOWN), words);
    button.onclick = async () => {
      if (button.getAttribute("aria-disabled")) return;
      button.setAttribute("aria-disabled", "true");
      try {
        const said = await ask("download", { name: model.get("opened"), what });
        const url = URL.createObjectURL(new Blob([said.buffers[0]], { type: said.mime }));
        keep(url, said.file);
        setTimeout(() => URL.revokeObjectURL(url), 60000);
      } catch (error) {
        complain(error);
      }
      button.removeAttribute("aria-disabled");
    };
    return button;
  };
  const tools = h("div", { class: "lab-sheet-tools" }, download("png", "PNG"), download("html", "HTML"), download("csv", "CSV"));
  const head = h("tr");
  const body = h("tbody");
  const table = h("table", { class: "lab-sheet" }, h("thead", {}, head), body);
  const scroll = h("div", { class: "lab-sheet-scroll", role: "region", "aria-label": "Pictures of the batch", tabIndex: -1 }, table);
  const rest = h("p", { class: "lab-muted" });
  const node = h("section", { class: "lab-sheet-box", "aria-label": "Sheet", hidden: true }, h("header", {}, title, tools), hint, scroll, rest);

  const shut = h("button", { class: "lab-button", type: "button", onclick: () => box.close() }, "Close");
  const isMarked = (file) => model.get("favourites").includes(file);
  const compared = comparison({ shelf, mark, isMarked, wide: true });
  const box = h("dialog", { class: "lab-compare-box", "aria-label": "Compare two pictures", "data-lm-suppress-shortcuts": "true" }, h("div", { class: "lab-compare-head" }, h("h2", {}, "Compare"), shut), compared.node);
  box.addEventListener("keydown", (event) => event.key !== "Escape" && event.stopPropagation());
  box.addEventListener("click", (event) => event.target === box && box.close());
  box.addEventListener("close", () => {
    compared.end();
    const last = picked[picked.length - 1];
    picked = [];
    marks();
    if (last && cells.has(last)) cells.get(last).button.focus({ preventScroll: true });
  });
  view.append(box);

  const cells = new Map(); // job id -> its cell
  const urls = new Map(); // file -> address of its thumbnail, null while it is asked for, "" when there is none
  let picked = [];
  let laid = "";

  const items = () => {
    const { labels } = model.get("sheet");
    const now = model.get("cells");
    return [...cells.keys()].filter((id) => now[id] && now[id].file).map((id) => ({ key: `${id}/0`, id, index: 0, label: labels[id] || id, file: now[id].file }));
  };
  const marks = () => {
    for (const [id, cell] of cells) {
      const at = picked.indexOf(id);
      cell.button.setAttribute("aria-pressed", String(at >= 0));
    }
    const count = items().length;
    say(hint, picked.length === 1 ? "Now pick the picture to compare it with." : count > 1 ? "Pick two pictures to compare them; the star makes one a favourite in the gallery." : "");
  };
  const pick = (id) => {
    picked = picked.includes(id) ? picked.filter((each) => each !== id) : [...picked, id].slice(-2);
    marks();
    if (picked.length < 2) return;
    compared.set(items(), ...picked.map((each) => `${each}/0`));
    box.showModal();
    compared.focus();
  };

  // ---- thumbnails are asked for when they come near the window
  let wanted = [];
  let asking = false;
  const fetchSome = async () => {
    if (asking || !wanted.length) return;
    asking = true;
    const files = [...new Set(wanted)].slice(0, MOST_ASKED);
    wanted = wanted.filter((file) => !files.includes(file));
    try {
      const said = await ask("thumbs", { files });
      const made = new Map(said.files.map((file, index) => [file, said.buffers[index]]));
      for (const file of files) urls.set(file, made.has(file) ? URL.createObjectURL(new Blob([made.get(file)], { type: "image/webp" })) : "");
    } catch {
      for (const file of files) urls.delete(file); // asked for again when it is seen again
    }
    asking = false;
    for (const cell of cells.values()) cell.draw();
    fetchSome();
  };
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const { file } = entry.target.dataset;
      if (!entry.isIntersecting || !file || urls.has(file)) continue;
      urls.set(file, null);
      wanted.push(file);
    }
    if (wanted.length) setTimeout(fetchSome, 20);
  }, { rootMargin: "300px" });

  const makeCell = (id, label) => {
    const img = h("img", { alt: "", decoding: "async", hidden: true });
    const words = h("strong");
    const remedy = h("span");
    const why = h("span", { class: "lab-cell-words" }, words, remedy);
    const button = h("button", { class: "lab-cell-pick", type: "button", tabIndex: -1, onclick: () => (button.getAttribute("aria-disabled") === "true" ? say(hint, td.title.replaceAll("\n", " ")) : pick(id)) }, img, why);
    const star = starButton(mark, isMarked);
    const td = h("td", { class: "lab-cell" }, button, star.node);
    let seen = "";
    const draw = () => {
      const now = model.get("cells")[id] || { status: "removed", words: "", remedy: "", file: "" };
      td.dataset.status = now.status;
      const url = now.file ? urls.get(now.file) : "";
      button.dataset.file = now.file;
      button.setAttribute("aria-disabled", String(!now.file));
      if (url && seen !== url) {
        img.src = url;
        seen = url;
      }
      show(img, Boolean(url));
      const broken = now.file && url === "";
      say(words, broken ? "the picture cannot be read" : now.file ? "" : now.words);
      advise(remedy, now.file ? "" : now.remedy);
      show(why, Boolean(broken || (!now.file && now.words)));
      td.title = now.file ? label : [label, sentence(now.words), now.remedy].filter(Boolean).join("\n");
      button.setAttribute("aria-label", `${label}: ${now.file ? "picture" : [sentence(now.words), now.remedy].filter(Boolean).join(" ")}`);
      star.set(now.file ? { file: now.file, label } : null);
      if (now.file && !urls.has(now.file)) {
        near.unobserve(button); // so that it is told of anew
        near.observe(button);
      }
    };
    near.observe(button);
    return { td, button, draw, star };
  };

  const draw = () => {
    const sheet = model.get("sheet");
    show(node, Boolean(sheet.name));
    const key = JSON.stringify(sheet);
    if (key !== laid) {
      const other = !laid || JSON.parse(laid).name !== sheet.name;
      laid = key;
      near.disconnect();
      cells.clear();
      if (other) picked = [];
      head.replaceChildren();
      body.replaceChildren();
      if (!sheet.name) return;
      say(title, sheet.name);
      scroll.style.setProperty("--columns", String(sheet.columns.length));
      head.append(h("td", {}), ...sheet.columns.map((text) => h("th", { scope: "col" }, h("span", {}, text))));
      for (const row of sheet.rows) {
        const tr = h("tr", {}, h("th", { scope: "row" }, h("span", {}, row.label)));
        for (const id of row.cells) {
          if (!id) {
            tr.append(h("td", { class: "lab-cell lab-cell-none" }));
            continue;
          }
          const cell = makeCell(id, sheet.labels[id]);
          cells.set(id, cell);
          tr.append(cell.td);
        }
        body.append(tr);
      }
      const [first] = cells.values();
      if (first) first.button.tabIndex = 0;
      say(rest, sheet.left ? `${plural(sheet.left, "more job")} of this batch ${sheet.left === 1 ? "is" : "are"} not shown here; what you download has all of them.` : "");
    }
    for (const cell of cells.values()) cell.draw();
    marks();
    if (box.open) compared.set(items());
  };

  // ---- arrow keys go from cell to cell; Tab goes past the table
  table.addEventListener("focusin", (event) => {
    if (!event.target.matches(".lab-cell-pick")) return;
    for (const { button } of cells.values()) button.tabIndex = button === event.target ? 0 : -1;
  });
  table.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (!steps[event.key] || !event.target.matches(".lab-cell-pick")) return;
    event.preventDefault();
    const [down, across] = steps[event.key];
    const td = event.target.closest("td");
    let [y, x] = [td.parentElement.rowIndex, td.cellIndex];
    for (;;) {
      [y, x] = [y + down, x + across];
      const row = table.rows[y];
      if (!row || y < 1 || x < 1 || x >= row.cells.length) return;
      const next = row.cells[x].querySelector(".lab-cell-pick");
      if (next) {
        next.focus();
        next.scrollIntoView({ block: "nearest", inline: "nearest" });
        return;
      }
    }
  });

  heard.on("change:sheet change:cells", draw);
  heard.on("change:favourites", () => {
    for (const cell of cells.values()) cell.star.draw();
    compared.stars();
  });
  draw();
  return {
    node,
    focus: () => title.focus({ preventScroll: true }),
    end() {
      near.disconnect();
      compared.end();
      if (box.open) box.close();
      for (const url of urls.values()) if (url) URL.revokeObjectURL(url);
    },
  };
};
