const WORDS = { run: "Run", cancel: "Cancel", retry: "Retry", view: "View" };
const SURE_MS = 6000; // a second click must come this soon

export default {
  render({ model, el }) {
    const heard = listener(model);
    const view = root(el, "queue", "Queue");
    const counts = h("span", { class: "lab-muted" });
    const list = h("ol", { class: "lab-rows" });
    const empty = h("p", { class: "lab-empty" }, "No jobs yet. Describe a picture and press Generate.");
    const spoken = h("div", { class: "lab-hidden", "aria-live": "polite" });
    const newer = h("button", { class: "lab-button", type: "button", onclick: () => model.send({ action: "newer" }) }, "‹ Newer");
    const older = h("button", { class: "lab-button", type: "button", onclick: () => model.send({ action: "older" }) }, "Older ›");
    const place = h("span", { class: "lab-muted" });
    const pager = h("nav", { class: "lab-pager", "aria-label": "Pages of the queue" }, newer, place, older);
    view.append(
      h("header", {}, h("h2", {}, "Queue"), counts),
      banner(model, heard),
      notice(model, heard),
      empty,
      list,
      pager,
      spoken,
    );
    const box = lightbox(model, heard, view);
    const shown = new Map(); // job id -> its <li>

    const look = (row) => {
      const small = model.get("icons")[row.id];
      const item = (index) => ({ ...row, key: `${row.id}/${index}`, index, small: index ? null : small });
      box.open(Array.from({ length: row.pictures }, (_, index) => item(index)));
    };

    const line = () => {
      const node = h("li", { class: "lab-row", tabIndex: -1 });
      let row = {};
      let armed = null; // the button whose second click counts
      let timer;
      const img = h("img", { alt: "", hidden: true, decoding: "async" });
      const picture = h("button", { class: "lab-row-picture", type: "button", tabIndex: -1, "aria-hidden": "true", onclick: () => row.pictures && look(row) }, img);
      const prompt = h("span", { class: "lab-row-prompt" });
      const status = badge("lab-status");
      const backend = badge();
      const age = h("span", { class: "lab-muted" });
      const length = h("span", { class: "lab-muted" });
      const id = h("code", { class: "lab-muted" });
      const bar = progressBar();
      const failure = failureBox();
      const buttons = h("div", { class: "lab-row-buttons" });
      node.append(
        picture,
        h("div", { class: "lab-row-main" }, prompt, h("div", { class: "lab-row-facts" }, status, backend, age, length, id), bar),
        buttons,
        failure,
      );

      const disarm = () => {
        clearTimeout(timer);
        if (armed) say(armed, WORDS[armed.dataset.action]);
        armed = null;
      };
      const press = (button) => {
        const action = button.dataset.action;
        if (action === "view") return look(row);
        if (action === "retry" && row.ambiguous && armed !== button) {
          armed = button;
          say(button, "Pay again?");
          timer = setTimeout(disarm, SURE_MS);
          return undefined;
        }
        const sure = armed === button;
        disarm();
        button.disabled = true; // until the row has changed, or the action was refused
        return model.send({ action, id: row.id, sure });
      };
      const arrange = () => {
        const wanted = row.actions.join();
        if (buttons.dataset.wanted === wanted) return;
        const focused = buttons.contains(document.activeElement);
        disarm();
        buttons.dataset.wanted = wanted;
        buttons.replaceChildren(
          ...row.actions.map((action) => {
            const button = h("button", { class: "lab-button", type: "button", onclick: () => press(button) }, WORDS[action]);
            button.dataset.action = action;
            button.setAttribute("aria-label", `${WORDS[action]}: ${row.prompt}`);
            if (action === "run" && row.price) button.title = `Costs ${row.price}`;
            if (action === "retry" && row.price) button.title = `May cost ${row.price}`;
            return button;
          }),
        );
        if (focused) (buttons.firstElementChild || node).focus({ preventScroll: true });
      };
      let painted = null; // what the picture shows: a preview's bytes, or "icon"

      node.tick = () => {
        say(age, ago(row.created));
        say(length, took(row));
      };
      node.free = () => {
        for (const button of buttons.children) button.disabled = false;
      };
      node.paintIcon = () => {
        const icon = model.get("icons")[row.id];
        const preview = row.status === "running" ? model.get("previews")[row.id] : null;
        if (preview) {
          if (painted !== preview) paint(img, preview);
          painted = preview;
        } else if (icon) {
          if (painted !== "icon") paint(img, icon, "image/webp");
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
        say(prompt, row.prompt);
        prompt.title = row.whole;
        say(status, row.label);
        say(backend, row.backend);
        say(id, row.short);
        id.title = row.id;
        picture.disabled = !row.pictures;
        failure.update(row);
        arrange();
        node.free();
        node.tick();
        node.advance();
        node.paintIcon();
      };
      node.clear = () => {
        clearTimeout(timer);
        unpaint(img);
      };
      return node;
    };

    const before = new Map(); // job id -> its row as JSON: untouched rows are left alone
    const draw = () => {
      const rows = model.get("rows");
      const ids = new Set(rows.map((row) => row.id));
      for (const [id, node] of shown) {
        if (ids.has(id)) continue;
        node.clear();
        node.remove();
        shown.delete(id);
        before.delete(id);
      }
      rows.forEach((row, index) => {
        if (!shown.has(row.id)) shown.set(row.id, line());
        const node = shown.get(row.id);
        const text = JSON.stringify(row);
        if (before.get(row.id) !== text) node.update(row);
        before.set(row.id, text);
        if (list.children[index] !== node) list.insertBefore(node, list.children[index] || null);
      });
      show(empty, rows.length === 0);
    };
    const turn = () => {
      const offset = model.get("offset");
      const total = model.get("total");
      const last = Math.min(total, offset + model.get("rows").length);
      newer.disabled = offset === 0;
      older.disabled = last >= total;
      say(place, total ? `${offset + 1}–${last} of ${total}` : "");
      show(pager, total > model.get("size"));
      const n = model.get("counts");
      const drafts = n.created && `${n.created} ${n.created === 1 ? "draft" : "drafts"}`;
      const words = [n.running && `${n.running} running`, n.queued && `${n.queued} waiting`, drafts, n.failed && `${n.failed} failed`, n.done && `${n.done} done`];
      say(counts, words.filter(Boolean).join(" · "));
    };
    const each = (what) => () => {
      for (const node of shown.values()) node[what]();
    };
    heard.on("change:rows", draw);
    heard.on("change:rows change:offset change:total change:counts", turn);
    heard.on("change:progress", each("advance"));
    heard.on("change:previews change:icons", each("paintIcon"));
    heard.on("change:notice", each("free"));
    draw();
    turn();
    const timer = setInterval(each("tick"), 1000);
    return () => {
      clearInterval(timer);
      heard.end();
      for (const node of shown.values()) node.clear();
    };
  },
};
