const WORDS = {
  run: "Run",
  cancel: "Cancel",
  retry: "Retry",
  view: "View result",
  raise: "Move up",
  lower: "Move down",
  duplicate: "Duplicate",
  delete: "Delete",
};
const ICONS = {
  raise: ["M12 19V5", "M6 11l6-6 6 6"],
  lower: ["M12 5v14", "M6 13l6 6 6-6"],
  duplicate: ["M9 9h11v11H9z", "M15 9V4H4v11h5"],
  delete: ["M4 7h16", "M9 7V4h6v3", "M6.5 7l1 13h9l1-13"],
};
const PAUSE = ["M8 5v14", "M16 5v14"];
const PLAY = ["M8 5l11 7-11 7z"];
const STATUSES = [
  ["", "All"],
  ["running", "Running"],
  ["queued", "Queued"],
  ["created", "Drafts"],
  ["done", "Done"],
  ["failed", "Failed"],
  ["cancelled", "Cancelled"],
];
const REST_MS = 700; // a double click is one click
const STUCK_MS = 8000; // an answer that does not come frees the button
const TYPING_MS = 200;

export default {
  render({ model, el }) {
    const heard = listener(model);
    const view = root(el, "queue", "Queue");
    const button = (text, props, ...children) => h("button", { class: "lab-button", type: "button", ...props }, ...children, text);

    // ---- the head: what is in the queue, which of it is shown
    const counts = h("span", { class: "lab-muted lab-queue-counts" });
    const hold = button("", { class: "lab-button lab-quiet lab-queue-pause" });
    const clear = button("Clear finished", { class: "lab-button lab-quiet", title: "Takes what is done, failed or cancelled off this list. Pictures stay." });
    const ended = () => ["done", "failed", "cancelled"].reduce((sum, name) => sum + (model.get("counts")[name] || 0), 0);
    asking(
      clear,
      () => `Really clear ${ended()}?`,
      () => model.send({ action: "clear" }),
    );
    hold.onclick = () => {
      if (hold.getAttribute("aria-disabled")) return;
      hold.setAttribute("aria-disabled", "true"); // `disabled` would take the focus away
      model.send({ action: isPaused() ? "resume" : "pause" });
    };
    const isPaused = () => Boolean(model.get("paused").since);
    const since = h("strong");
    const resume = button("Resume", { onclick: () => model.send({ action: "resume" }) });
    const paused = h("div", { class: "lab-banner lab-queue-paused", role: "status", hidden: true }, icon(...PAUSE), h("span", {}, since, " Nothing new is started; what runs goes on."), resume);

    const pills = h("div", { class: "lab-pills", role: "group", "aria-label": "Jobs shown by status" });
    const pill = new Map();
    for (const [status, text] of STATUSES) {
      const number = h("span", { class: "lab-pill-number" });
      const node = h("button", { class: "lab-pill", type: "button", onclick: () => filter({ status }) }, text, number);
      node.dataset.status = status || "all";
      pill.set(status, { node, number });
      pills.append(node);
    }
    const search = h("input", { type: "search", class: "lab-queue-search", placeholder: "Search prompts and ids", "aria-label": "Search prompts and ids", maxLength: 200, spellcheck: false });
    const backend = h("select", { class: "lab-queue-backend", "aria-label": "Jobs shown by backend" });
    let typing;
    let asked = null; // what was chosen here last: the kernel's answer to it may not have come before the next choice
    const wanted = () => asked ?? { status: "", backend: "", text: "", ...model.get("filter") };
    const filter = (change) => {
      clearTimeout(typing);
      asked = { ...wanted(), text: search.value, ...change };
      model.send({ action: "filter", ...asked });
    };
    search.oninput = () => {
      clearTimeout(typing);
      typing = setTimeout(() => filter({}), TYPING_MS);
    };
    backend.onchange = () => filter({ backend: backend.value });

    // ---- the list
    const list = h("ol", { class: "lab-rows" });
    const empty = h("p", { class: "lab-empty" });
    const all = button("Show all jobs", {
      hidden: true,
      onclick: () => {
        search.value = "";
        filter({ status: "", backend: "", text: "" });
      },
    });
    const nothing = h("div", { class: "lab-nothing", hidden: true }, empty, all);
    const bones = h("div", { class: "lab-bones", "aria-hidden": "true" }, ...Array.from({ length: 5 }, () => h("i")));
    const spoken = h("div", { class: "lab-hidden", "aria-live": "polite" });
    const pager = h("nav", { class: "lab-pager", "aria-label": "Pages of the queue" });
    const tip = h("div", { class: "lab-tip", role: "tooltip", id: `lab-tip-${Math.random().toString(36).slice(2)}`, hidden: true });
    view.append(
      h("header", {}, h("h2", {}, "Queue"), counts, h("div", { class: "lab-queue-tools" }, hold, clear)),
      banner(model, heard),
      paused,
      notice(model, heard),
      h("div", { class: "lab-queue-filter" }, pills, h("div", { class: "lab-queue-find" }, search, backend)),
      bones,
      nothing,
      list,
      pager,
      spoken,
      tip,
    );
    const box = lightbox(model, heard, view);
    const shown = new Map(); // job id -> its <li>

    const look = (row) => {
      const small = model.get("icons")[row.id];
      const item = (index) => ({ ...row, key: `${row.id}/${index}`, index, small: index ? null : small });
      box.open(Array.from({ length: row.pictures }, (_, index) => item(index)));
    };

    // ---- a prompt is whole while the mouse or the focus is on it
    let told = null;
    const hideTip = () => {
      show(tip, false);
      if (told) told.removeAttribute("aria-describedby");
      told = null;
    };
    const showTip = (node, text) => {
      hideTip();
      if (text === node.textContent && node.scrollWidth <= node.clientWidth) return;
      told = node;
      node.setAttribute("aria-describedby", tip.id);
      say(tip, text);
      show(tip, true);
      const [at, frame] = [node.getBoundingClientRect(), view.getBoundingClientRect()];
      tip.style.top = `${at.bottom - frame.top}px`;
      tip.style.left = `${Math.max(8, at.left - frame.left)}px`;
    };
    tip.addEventListener("mouseleave", hideTip);
    view.addEventListener("keydown", (event) => event.key === "Escape" && hideTip());

    const line = () => {
      const node = h("li", { class: "lab-row", tabIndex: -1 });
      let row = {};
      let waiting; // for a pressed button's answer
      const img = h("img", { alt: "", hidden: true, decoding: "async" });
      const moves = h("span", { class: "lab-row-moves", hidden: true }, icon(...PLAY));
      const picture = h("button", { class: "lab-row-picture", type: "button", tabIndex: -1, "aria-hidden": "true", onclick: () => row.pictures && look(row) }, img, moves);
      const prompt = h("button", { class: "lab-row-prompt", type: "button" });
      const whole = () => showTip(prompt, row.whole);
      for (const event of ["mouseenter", "focus", "click"]) prompt.addEventListener(event, whole);
      prompt.addEventListener("blur", hideTip);
      prompt.addEventListener("mouseleave", (event) => {
        if (event.relatedTarget !== tip && document.activeElement !== prompt) hideTip();
      });
      const status = badge("lab-status");
      const backend = badge();
      const priority = badge("lab-row-priority");
      const age = h("time", { class: "lab-muted" });
      const length = h("span", { class: "lab-muted" });
      const cost = h("span", { class: "lab-muted lab-row-cost", title: "What the service has charged" });
      const id = h("code", { class: "lab-muted" });
      const bar = progressBar();
      const failure = failureBox(model, heard, ["retry"]); // it is among the row's own
      const buttons = h("div", { class: "lab-row-buttons" });
      node.append(
        picture,
        h("div", { class: "lab-row-main" }, prompt, h("div", { class: "lab-row-facts" }, status, backend, priority, age, length, cost, id), bar),
        buttons,
        failure,
      );

      const question = (action) => {
        if (action === "retry" && row.ambiguous) return "Pay again?";
        return action === "delete" ? "Delete?" : "";
      };
      const act = (action, pressed, sure) => {
        if (action === "view") return look(row);
        // until the row has changed, or the action was refused; `disabled` would take the focus away
        pressed.setAttribute("aria-disabled", "true");
        clearTimeout(waiting);
        waiting = setTimeout(node.free, action === "duplicate" ? REST_MS : STUCK_MS);
        return model.send({ action, id: row.id, sure });
      };
      const make = (action) => {
        const drawn = ICONS[action];
        const made = h("button", { class: `lab-button${drawn ? " lab-icon-button" : ""}`, type: "button" }, drawn ? icon(...drawn) : WORDS[action]);
        made.dataset.action = action;
        made.setAttribute("aria-label", `${WORDS[action]}: ${row.prompt}`);
        if (drawn) made.title = WORDS[action];
        if (action === "run" && row.price) made.title = `Costs ${row.price}`;
        if (action === "retry" && row.price) made.title = `May cost ${row.price}`;
        asking(made, () => question(action), (sure) => act(action, made, sure));
        return made;
      };
      const arrange = () => {
        const actions = row.actions.join();
        if (buttons.dataset.actions === actions) return;
        const focused = buttons.contains(document.activeElement) && document.activeElement.dataset.action;
        buttons.dataset.actions = actions;
        buttons.replaceChildren(...row.actions.map(make));
        if (focused) (buttons.querySelector(`[data-action="${focused}"]`) || buttons.firstElementChild || node).focus({ preventScroll: true });
      };
      let painted = null; // what the picture shows: a preview's bytes, or "icon"

      node.tick = () => {
        say(age, ago(row.created));
        say(length, took(row) || (row.price && row.actions.includes("run") ? `costs ${row.price.split(" ")[0]}` : ""));
      };
      node.free = () => {
        clearTimeout(waiting);
        for (const each of buttons.children) each.removeAttribute("aria-disabled");
      };
      node.paintIcon = () => {
        const made = model.get("icons")[row.id];
        const preview = row.status === "running" ? model.get("previews")[row.id] : null;
        if (preview) {
          if (painted !== preview) paint(img, preview);
          painted = preview;
        } else if (made) {
          if (painted !== "icon") paint(img, made, "image/webp");
          painted = "icon";
        } else if (painted && row.status !== "running" && row.status !== "done") {
          unpaint(img);
          painted = null;
        }
      };
      node.advance = () => {
        show(bar, row.status === "running");
        if (row.status === "running") bar.update(model.get("progress")[row.id], `Progress of ${row.prompt}`);
      };
      node.update = (next) => {
        if (row.status && row.status !== next.status) say(spoken, `${next.prompt}: ${next.label}`);
        row = next;
        node.dataset.status = row.status;
        node.dataset.id = row.id;
        say(prompt, row.prompt || "(no prompt)");
        say(status, row.label);
        say(backend, row.backend);
        say(priority, row.priority ? `priority ${row.priority > 0 ? "+" : ""}${row.priority}` : "");
        say(cost, row.cost ? `$${row.cost}` : "");
        show(moves, Boolean(row.moves && row.pictures));
        say(id, row.short);
        id.title = row.id;
        age.dateTime = row.created;
        age.title = new Date(row.created).toLocaleString();
        picture.disabled = !row.pictures;
        failure.update(row);
        arrange();
        node.free();
        node.tick();
        node.advance();
        node.paintIcon();
      };
      node.clear = () => {
        clearTimeout(waiting);
        if (told === prompt) hideTip();
        unpaint(img);
      };
      return node;
    };

    const before = new Map(); // job id -> its row as JSON: untouched rows are left alone
    const draw = () => {
      const rows = model.get("rows");
      const ids = new Set(rows.map((row) => row.id));
      let lost = -1; // where the focus was, if its row has gone
      [...list.children].forEach((node, index) => {
        const job = node.dataset.id;
        if (ids.has(job)) return;
        if (node.contains(document.activeElement)) lost = index;
        node.clear();
        node.remove();
        shown.delete(job);
        before.delete(job);
      });
      rows.forEach((row, index) => {
        if (!shown.has(row.id)) shown.set(row.id, line());
        const node = shown.get(row.id);
        const text = JSON.stringify(row);
        if (before.get(row.id) !== text) node.update(row);
        before.set(row.id, text);
        if (list.children[index] !== node) list.insertBefore(node, list.children[index] || null);
      });
      if (lost >= 0) (list.children[Math.min(lost, list.children.length - 1)] || search).focus({ preventScroll: true });
      const { status, backend: name, text } = wanted();
      const filtered = Boolean(status || name || text);
      say(empty, filtered ? "No job is like that." : "No jobs yet. Describe a picture and press Generate.");
      show(all, filtered);
      show(bones, !model.get("ready") && rows.length === 0);
      show(nothing, model.get("ready") && rows.length === 0);
    };

    // ---- pages: the first, the last, and those around the one that is shown
    const turn = () => {
      const size = model.get("size");
      const total = model.get("total");
      const offset = model.get("offset");
      const last = Math.max(1, Math.ceil(total / size));
      const now = Math.floor(offset / size) + 1;
      show(pager, last > 1);
      if (last <= 1) return;
      const key = `${now}/${last}/${total}`;
      if (pager.dataset.key === key) return;
      const focused = pager.contains(document.activeElement) && document.activeElement.dataset.page;
      pager.dataset.key = key;
      const to = (page, text, label) => {
        const node = button(text, { class: "lab-button lab-page", disabled: page < 1 || page > last, onclick: () => model.send({ action: "turn", page }) });
        node.dataset.page = label || String(page);
        node.setAttribute("aria-label", label || `Page ${page}`);
        if (page === now && !label) node.setAttribute("aria-current", "page");
        return node;
      };
      const near = [...new Set([1, now - 1, now, now + 1, last].filter((page) => page >= 1 && page <= last))].sort((a, b) => a - b);
      const numbers = near.flatMap((page, index) => [index && page - near[index - 1] > 1 ? h("span", { class: "lab-muted", "aria-hidden": "true" }, "…") : null, to(page, String(page))]);
      pager.replaceChildren(
        to(now - 1, "‹", "Newer jobs"),
        ...numbers.filter(Boolean),
        to(now + 1, "›", "Older jobs"),
        h("span", { class: "lab-muted lab-pager-place" }, `${offset + 1}–${Math.min(total, offset + size)} of ${total}`),
      );
      if (focused) {
        const same = [...pager.children].find((node) => node.dataset.page === focused && !node.disabled);
        (same || pager.querySelector("[aria-current]")).focus({ preventScroll: true });
      }
    };
    const count = () => {
      const n = model.get("counts");
      const sum = Object.values(n).reduce((a, b) => a + b, 0);
      for (const [status, { number }] of pill) say(number, String((status ? n[status] : sum) || ""));
      const words = [n.running && `${n.running} running`, n.queued && `${n.queued} waiting`];
      say(counts, words.filter(Boolean).join(" · "));
      clear.disabled = ended() === 0;
    };
    const choose = () => {
      const now = wanted();
      for (const [status, { node }] of pill) node.setAttribute("aria-pressed", String(status === now.status));
      const names = model.get("backends").map((each) => each.name);
      const options = [["", "All backends"], ...model.get("backends").map((each) => [each.name, each.title])];
      if (now.backend && !names.includes(now.backend)) options.push([now.backend, now.backend]);
      const key = JSON.stringify(options);
      if (backend.dataset.key !== key) {
        backend.dataset.key = key;
        backend.replaceChildren(...options.map(([value, text]) => h("option", { value }, text)));
      }
      backend.value = now.backend;
      if (document.activeElement !== search) search.value = now.text;
    };
    const rest = () => {
      const { since: moment, reason } = model.get("paused");
      hold.removeAttribute("aria-disabled");
      hold.replaceChildren(icon(...(moment ? PLAY : PAUSE)), moment ? "Resume queue" : "Pause queue");
      if (!moment && paused.contains(document.activeElement)) hold.focus(); // its button goes
      show(paused, Boolean(moment));
      if (!moment) return;
      const time = new Date(moment).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
      say(since, `The queue is paused since ${time}${reason ? ` (${reason})` : ""}.`);
    };
    const each = (what) => () => {
      for (const node of shown.values()) node[what]();
    };
    heard.on("change:rows change:ready change:filter", draw);
    heard.on("change:offset change:total change:size", turn);
    heard.on("change:counts", count);
    heard.on("change:backends change:filter", choose);
    heard.on("change:paused", rest);
    heard.on("change:progress", each("advance"));
    heard.on("change:previews change:icons", each("paintIcon"));
    heard.on("change:notice", each("free"));
    heard.on("change:notice", rest);
    draw();
    turn();
    count();
    choose();
    rest();
    const timer = setInterval(each("tick"), 1000);
    return () => {
      clearInterval(timer);
      clearTimeout(typing);
      heard.end();
      for (const node of shown.values()) node.clear();
    };
  },
};
