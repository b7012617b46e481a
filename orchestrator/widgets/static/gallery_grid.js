// Ten thousand pictures as a grid of which only the rows in sight exist. Every cell has the same size, so nothing jumps.

const GAP_PX = 10;
const THUMB_PX = 200;
const CAPTION_PX = 40;
const FEWEST_COLUMNS = 3;
const FIRST_SHOWN = 9; // three times three, before anything is known
const SPARE_ROWS = 3; // above and below what is in sight
const LEAST_ASKED = 120; // pictures in one question: a row at a time would be a question at every turn of the wheel
const MOST_ASKED = 400;
const REST_MS = 90; // scrolling has come to rest: nothing is asked for while it flies past

// `ask` brings windows of the list, `act` is told what the user does: open, star, remove, selection, shown, failed.
const pictureGrid = ({ ask, act, stickyBottom }) => {
  const body = h("div", { class: "lab-pics-body", role: "grid", "aria-label": "Pictures", "aria-multiselectable": "true", "aria-busy": "true" });
  const scroller = isPage() ? null : h("div", { class: "lab-pics-scroll" }, body);
  const rows = new Map(); // number -> its node
  const cells = new Map(); // file -> { node, item, … }
  const free = []; // cells of rows that went out of sight, for those that come
  const selected = new Set(); // files
  let query = { filters: {}, asOf: null };
  let generation = 0;
  let answered = false; // this generation's first question
  let ever = false;
  let total = FIRST_SHOWN; // of the last answer while the next is on its way: the page keeps its height
  let fresh = 0;
  let known = new Map(); // index -> item, of this generation
  let before = new Map(); // of the last one: shown until this one's first answer
  const pending = new Set(); // indices asked for
  let measured = 0; // the width that columns and rows are for
  let columns = FEWEST_COLUMNS;
  let rowPx = THUMB_PX + CAPTION_PX + GAP_PX;
  let active = 0; // where the keys are
  let door = 0; // the cell that Tab comes to: that one, or the first in sight when it is far away
  let anchor = null; // where a range begins
  let lastTop = 0;
  let rising = false; // which way it goes
  let flying = false;
  let landing;
  let frame = 0;

  const itemAt = (index) => known.get(index) || before.get(index) || null;

  // ---------------------------------------------------------------- geometry

  const measure = () => {
    const width = body.clientWidth;
    if (!width || width === measured) return Boolean(width); // 0: not on the page yet
    measured = width;
    columns = Math.max(FEWEST_COLUMNS, Math.ceil((width + GAP_PX) / (THUMB_PX + GAP_PX)));
    const side = Math.floor((width - GAP_PX * (columns - 1)) / columns);
    rowPx = side + CAPTION_PX + GAP_PX;
    body.style.setProperty("--columns", columns);
    body.style.setProperty("--side", `${side}px`);
    body.setAttribute("aria-colcount", columns);
    return true;
  };
  // what of the window the grid can be seen in
  const band = () => {
    const box = scroller ? scroller.getBoundingClientRect() : { top: stickyBottom(), bottom: innerHeight };
    return { top: Math.max(0, box.top), bottom: Math.min(innerHeight, box.bottom) };
  };
  const scrollBy = (px) => (scroller || window).scrollBy({ top: px, behavior: "instant" });
  const scrolled = () => band().top - body.getBoundingClientRect().top;
  const atTop = () => scrolled() < rowPx / 2;
  const toTop = () => scrolled() > 0 && scrollBy(-scrolled());
  const reveal = (index) => {
    const top = Math.floor(index / columns) * rowPx;
    const from = scrolled();
    const height = band().bottom - band().top;
    if (top < from) scrollBy(top - from - GAP_PX / 2);
    else if (top + rowPx > from + height) scrollBy(top + rowPx - from - height);
  };

  // ---------------------------------------------------------------- knowing

  const take = (answer) => {
    if (!answered) {
      before = new Map();
      answered = ever = true;
      body.setAttribute("aria-busy", "false");
    }
    ({ total, fresh } = answer);
    query.asOf = answer.asOf;
    answer.items.forEach((item, k) => known.set(answer.offset + k, { thumb: fileUrl(item, "/thumbnail"), ...item }));
    active = Math.max(0, Math.min(active, total - 1));
    draw();
    act.shown();
  };
  const fetchWindow = async (from, limit) => {
    const mine = generation;
    const span = Array.from({ length: limit }, (_, k) => from + k);
    for (const index of span) pending.add(index);
    try {
      const answer = await ask("window", { ...query, offset: from, limit });
      if (mine === generation) take(answer);
    } catch (error) {
      if (mine === generation) act.failed(error);
    } finally {
      if (mine === generation) for (const index of span) pending.delete(index);
    }
  };
  const want = (from, to) => {
    let first = -1;
    let last = -1;
    for (let index = from; index < to; index += 1) {
      if (known.has(index) || pending.has(index)) continue;
      if (first < 0) first = index;
      last = index;
    }
    if (first < 0) return;
    if (rising) first = Math.max(0, Math.min(first, last + 1 - LEAST_ASKED));
    else last = Math.max(last, Math.min(first + LEAST_ASKED, answered ? total : Infinity) - 1);
    fetchWindow(first, Math.min(MOST_ASKED, last - first + 1));
  };
  // Ask for everything anew; what is shown stays until the answer is there.
  const reload = ({ filters = null, latest = false } = {}) => {
    generation += 1;
    if (filters) {
      query = { filters, asOf: null };
      active = 0;
      anchor = null;
      toTop();
    } else if (latest) query = { ...query, asOf: null };
    before = new Map([...before, ...known]);
    known = new Map();
    pending.clear();
    answered = false;
    body.setAttribute("aria-busy", "true");
    draw();
  };
  // The first window as the kernel has sent it along, so that nothing has to be asked.
  const adopt = (answer, filters) => {
    generation += 1;
    query = { filters, asOf: null };
    known = new Map();
    pending.clear();
    answered = false;
    take(answer);
  };

  // ---------------------------------------------------------------- drawing

  const describe = (item) =>
    [
      item.prompt || item.file,
      item.owned ? item.backend : "no job on record",
      moment(item.created),
      item.favourite ? "favourite" : "",
      item.moves ? "moving" : "",
    ].filter(Boolean).join(", ");

  const makeCell = () => {
    const img = h("img", { alt: "", decoding: "async", draggable: false });
    const none = h("span", { class: "lab-pic-none", hidden: true }, "No preview");
    const orphan = h("span", { class: "lab-pic-orphan" }, "No job on record");
    const moves = h("span", { class: "lab-pic-moves", hidden: true }, icon("M8 5l11 7-11 7z"));
    const title = h("bdi", { class: "lab-pic-title" });
    const facts = h("span", { class: "lab-pic-facts" });
    const check = h("button", { class: "lab-pic-check", type: "button", tabIndex: -1, "aria-label": "Select" }, "✓");
    const star = h("button", { class: "lab-pic-star", type: "button", tabIndex: -1, "aria-label": "Favourite" }, "★");
    const node = h(
      "div",
      { class: "lab-pic", role: "gridcell", tabIndex: -1 },
      h("div", { class: "lab-pic-frame" }, img, none, orphan, moves, check, star),
      h("div", { class: "lab-pic-caption" }, title, facts),
    );
    const cell = { node, item: null, index: -1 };
    img.addEventListener("error", () => show(none, true));
    img.addEventListener("load", () => node.classList.add("lab-there"));
    cell.load = (soon) => {
      if (!cell.item || img.dataset.src === cell.item.thumb) return;
      img.dataset.src = cell.item.thumb;
      node.classList.remove("lab-there");
      show(none, false);
      img.fetchPriority = soon ? "high" : "auto";
      img.src = cell.item.thumb;
    };
    cell.clear = () => {
      node.remove();
      node.classList.remove("lab-there");
      img.removeAttribute("src"); // what is not there yet need not come any more
      delete img.dataset.src;
    };
    cell.dress = (item, index) => {
      if (cell.item !== item) {
        cell.item = item;
        say(title, item.prompt || item.file);
        show(orphan, !item.owned);
        show(moves, item.moves);
        star.setAttribute("aria-pressed", String(item.favourite));
        show(star, !item.trashed);
        node.title = `${item.prompt ? `${item.prompt}\n` : ""}${item.file}\n${item.width} × ${item.height} · ${bytes(item.size)} · ${moment(item.created)}`;
        node.setAttribute("aria-label", describe(item));
      }
      say(facts, [item.owned && item.backend, ago(item.created)].filter(Boolean).join(" · "));
      cell.index = index;
      node.dataset.index = index;
      node.setAttribute("aria-colindex", (index % columns) + 1);
    };
    cell.mark = () => {
      const on = selected.has(cell.item.file);
      node.setAttribute("aria-selected", String(on));
      check.setAttribute("aria-pressed", String(on));
      node.tabIndex = cell.index === door ? 0 : -1;
    };
    return cell;
  };
  const blank = (index) => {
    const node = h("div", { class: "lab-pic lab-pic-blank", role: "gridcell", "aria-label": "Loading" }, h("div", { class: "lab-pic-frame" }));
    node.dataset.index = index;
    return node;
  };

  const draw = () => {
    cancelAnimationFrame(frame);
    frame = 0;
    if (!measured && !measure()) return;
    const all = Math.ceil(total / columns);
    body.style.height = `${Math.max(0, all * rowPx - GAP_PX)}px`;
    body.setAttribute("aria-rowcount", all);
    const seen = band();
    const height = Math.max(0, seen.bottom - seen.top);
    const top = seen.top - body.getBoundingClientRect().top;
    if (Math.abs(top - lastTop) > 1.5 * height) {
      flying = true;
      clearTimeout(landing);
      landing = setTimeout(() => {
        flying = false;
        draw();
      }, REST_MS);
    }
    if (top !== lastTop) rising = top < lastTop;
    lastTop = top;
    const first = Math.max(0, Math.floor(top / rowPx) - SPARE_ROWS);
    const beyond = Math.ceil((top + height) / rowPx) + SPARE_ROWS;
    const end = Math.min(all, beyond);
    const held = body.contains(document.activeElement) ? document.activeElement : null;
    const wanted = new Set(Array.from({ length: Math.max(0, end - first) }, (_, k) => first + k));
    if (held && all) wanted.add(Math.floor(active / columns)); // the focus must not fall out of the grid
    const inSight = Math.min(all - 1, Math.max(0, Math.ceil(top / rowPx)));
    door = wanted.has(Math.floor(active / columns)) ? active : inSight * columns;
    const used = new Map();
    for (const number of [...wanted].sort((a, b) => a - b)) {
      let row = rows.get(number);
      if (!row) {
        row = h("div", { class: "lab-pics-row", role: "row", "aria-rowindex": String(number + 1) });
        rows.set(number, row);
        body.append(row);
      }
      row.style.transform = `translateY(${number * rowPx}px)`;
      const from = number * columns;
      const nodes = [];
      for (let index = from; index < Math.min(total, from + columns); index += 1) {
        const item = itemAt(index);
        if (!item) {
          const there = row.children[index - from];
          const same = there && there.classList.contains("lab-pic-blank") && Number(there.dataset.index) === index;
          const empty = same ? there : blank(index);
          empty.tabIndex = index === door ? 0 : -1;
          nodes.push(empty);
          continue;
        }
        // a list that has just moved may name a file twice for a moment
        const cell = (!used.has(item.file) && cells.get(item.file)) || free.pop() || makeCell();
        used.set(item.file, cell);
        cell.dress(item, index);
        cell.mark();
        if (!flying) cell.load(index < FIRST_SHOWN);
        nodes.push(cell.node);
      }
      if (nodes.length !== row.children.length || nodes.some((node, k) => row.children[k] !== node)) row.replaceChildren(...nodes);
    }
    for (const [number, row] of rows) {
      if (wanted.has(number)) continue;
      row.remove();
      rows.delete(number);
    }
    for (const [file, cell] of cells) {
      if (used.get(file) === cell) continue;
      cell.clear();
      free.push(cell);
    }
    cells.clear();
    for (const [file, cell] of used) cells.set(file, cell);
    if (held && !body.contains(document.activeElement)) focusActive();
    if (!flying) want(first * columns, answered ? Math.min(end * columns, total) : beyond * columns);
  };
  const soon = () => {
    if (!frame) frame = requestAnimationFrame(draw);
  };
  const nodeAt = (index) => body.querySelector(`[data-index="${index}"]`);
  const focusActive = () => {
    const node = nodeAt(active) || nodeAt(door);
    if (node) node.focus({ preventScroll: true });
  };
  const mark = () => {
    for (const cell of cells.values()) cell.mark();
    act.selection();
  };
  const goTo = (index) => {
    active = Math.max(0, Math.min(index, total - 1));
    reveal(active);
    draw();
    focusActive();
  };

  // ---------------------------------------------------------------- choosing

  const names = async (from, to) => {
    const there = Array.from({ length: to - from }, (_, k) => known.get(from + k));
    if (there.every(Boolean)) return there.map((item) => item.file);
    return (await ask("names", { ...query, offset: from, limit: to - from })).names;
  };
  const choose = async (from, to) => {
    try {
      for (const file of await names(from, to)) selected.add(file);
    } catch (error) {
      act.failed(error);
    }
    mark();
  };
  const toggle = (index, { range = false } = {}) => {
    const item = itemAt(index);
    if (!item) return;
    if (range && anchor !== null) {
      choose(Math.min(anchor, index), Math.max(anchor, index) + 1);
      return;
    }
    if (!selected.delete(item.file)) selected.add(item.file);
    anchor = index;
    mark();
  };
  const clear = () => {
    selected.clear();
    anchor = null;
    mark();
  };
  const all = () => choose(0, total);

  // ---------------------------------------------------------------- hands

  const indexOf = (target) => {
    const node = target.closest(".lab-pic");
    return node ? Number(node.dataset.index) : -1;
  };
  const enter = (index) => {
    active = door = index;
    for (const cell of cells.values()) cell.mark();
  };
  body.addEventListener("click", (event) => {
    const index = indexOf(event.target);
    const item = itemAt(index);
    if (!item) return;
    enter(index);
    if (event.target.closest(".lab-pic-star")) act.star(index);
    else if (event.target.closest(".lab-pic-check") || event.ctrlKey || event.metaKey || event.shiftKey || item.trashed) toggle(index, { range: event.shiftKey });
    else act.open(index);
  });
  body.addEventListener("mousedown", (event) => event.shiftKey && event.preventDefault()); // no text selection
  body.addEventListener("focusin", (event) => {
    const index = indexOf(event.target);
    if (index >= 0 && index !== active) enter(index);
  });
  const STEPS = {
    ArrowRight: () => active + 1,
    ArrowLeft: () => active - 1,
    ArrowDown: () => active + columns,
    ArrowUp: () => active - columns,
    PageDown: () => Math.min(total - 1, active + columns * Math.max(1, Math.floor((band().bottom - band().top) / rowPx))),
    PageUp: () => Math.max(0, active - columns * Math.max(1, Math.floor((band().bottom - band().top) / rowPx))),
    Home: (event) => (event.ctrlKey ? 0 : active - (active % columns)),
    End: (event) => (event.ctrlKey ? total - 1 : Math.min(total - 1, active - (active % columns) + columns - 1)),
  };
  body.addEventListener("keydown", (event) => {
    const onButton = event.target.closest("button");
    const ctrl = event.ctrlKey || event.metaKey;
    const step = STEPS[event.key];
    if (step) {
      const to = step(event);
      if (to >= 0 && to < total) {
        if (event.shiftKey) {
          if (anchor === null) anchor = active;
          choose(Math.min(anchor, to), Math.max(anchor, to) + 1);
        }
        goTo(to);
      }
    } else if (event.key === "Enter" && !onButton) act.open(active);
    else if (event.key === " " && !onButton) toggle(active, { range: event.shiftKey });
    else if (event.key === "a" && ctrl) all();
    else if (event.key === "Escape" && selected.size) clear();
    else if (event.key === "Delete" || (event.key === "Backspace" && ctrl)) act.remove(active);
    else if (event.key === "f" && !ctrl && !event.altKey) act.star(active);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  // a scroll is told to the one that scrolls only; whichever it is, it passes here
  document.addEventListener("scroll", soon, { capture: true, passive: true });
  let anchored = null; // what was at the top before the width changed
  const resized = new ResizeObserver(() => {
    const was = columns;
    anchored = atTop() ? null : Math.floor(Math.max(0, scrolled()) / rowPx) * columns;
    if (!measure()) return;
    if (anchored !== null && columns !== was) {
      draw();
      scrollBy(Math.floor(anchored / columns) * rowPx - scrolled());
    }
    soon();
  });
  resized.observe(body);
  addEventListener("resize", soon);

  return {
    node: scroller || body,
    selected,
    clear,
    all,
    reload,
    adopt,
    atTop,
    toTop,
    goTo,
    focus: focusActive,
    itemAt,
    redraw: soon,
    get query() { return query; },
    get total() { return ever ? total : 0; },
    get isKnown() { return ever; },
    get fresh() { return fresh; },
    // a picture of the list, wherever it is
    async load(index) {
      if (!known.has(index)) await fetchWindow(Math.max(0, index - 20), 41);
      return itemAt(index);
    },
    change(file, what) {
      for (const [index, item] of known) if (item.file === file) known.set(index, { ...item, ...what });
      draw();
    },
    end() {
      cancelAnimationFrame(frame);
      clearTimeout(landing);
      resized.disconnect();
      document.removeEventListener("scroll", soon, { capture: true });
      removeEventListener("resize", soon);
    },
  };
};
