const WORDS = { running: "running", stopped: "stopped", unknown: "unknown", looking: "looking…" };
const SIGNS = {
  running: ["M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z", "M8 12.2l2.8 2.8L16 9.5"],
  stopped: ["M8.3 3h7.4L21 8.3v7.4L15.7 21H8.3L3 15.7V8.3z", "M9 9l6 6M15 9l-6 6"],
  unknown: ["M12 3l9.5 17h-19z", "M12 10v4.5M12 17.2v.1"],
  looking: ["M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z", "M12 8v4l2.5 2"],
};

const MOST_IN_A_ROW = 7; // on a page 1280 wide

const size = (bytes) => (bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);

const lasted = (seconds) => {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
};

export default {
  render({ model, el }) {
    const heard = listener(model);
    const view = root(el, "services", "Services");
    const list = h("ul", { class: "lab-cards" });
    const remedies = h("div", { class: "lab-remedies" });
    const spoken = h("div", { class: "lab-hidden", "aria-live": "polite" });
    view.append(h("h2", { class: "lab-hidden" }, "Services"), banner(model, heard), list, remedies, spoken);
    const shown = new Map(); // a service's name -> its card

    const card = () => {
      const sign = h("span", { class: "lab-service-sign" });
      const name = h("h3");
      const word = h("span", { class: "lab-service-word" });
      const since = h("span", { class: "lab-muted" });
      const message = h("p", { class: "lab-service-message" });
      const facts = h("p", { class: "lab-service-facts lab-muted" });
      const node = h("li", { class: "lab-card lab-service" }, h("div", { class: "lab-service-head" }, sign, name), h("p", { class: "lab-service-state" }, word, since), message, facts);
      const [trouble, advised, tries] = [h("strong"), h("span"), h("span", { class: "lab-service-tries" })];
      const remedy = h("div", { class: "lab-failure", hidden: true }, trouble, " ", advised, tries);
      remedies.append(remedy);
      let said = {};
      node.tick = () => {
        // the kernel's moment, not the page's: their clocks may differ, and the page's own went on since it came
        say(since, said.uptime === null ? "" : ` · up ${lasted(said.uptime + (Date.now() - said.heard) / 1000)}`);
        const memory = said.memory === null ? "" : size(said.memory);
        say(facts, [said.queue, memory].filter(Boolean).join(" · "));
        if (said.next === null) return;
        const left = Math.ceil(said.next - (Date.now() - said.heard) / 1000);
        say(tries.firstChild, left > 0 ? `Next try in ${left} s.` : "It is being tried now.");
      };
      node.update = (next) => {
        if (said.status && said.status !== next.status && next.status !== "looking") say(spoken, `${next.title}: ${WORDS[next.status]}`);
        if (said.status !== next.status) sign.replaceChildren(icon(...SIGNS[next.status]));
        said = { ...next, heard: Date.now() };
        node.dataset.status = next.status;
        node.dataset.service = next.name;
        say(name, next.title);
        say(word, WORDS[next.status]);
        say(message, next.message || next.where);
        node.title = [next.where, sentence(next.message), next.remedy].filter(Boolean).join(" ");
        say(trouble, sentence(next.message || `${next.title} is not running`));
        advise(advised, next.remedy);
        const report = next.report ? [h("span", {}, "Bug report: ", h("code", {}, `logs/reports/${next.report}`))] : [];
        tries.replaceChildren(...(next.next === null ? [] : [h("span")]), ...report);
        show(remedy, next.status === "stopped");
        node.tick();
      };
      node.clear = () => {
        remedy.remove();
        node.remove();
      };
      return node;
    };
    const draw = () => {
      const cards = model.get("cards");
      const names = new Set(cards.map((each) => each.name));
      // none stands alone in a row
      const half = Math.ceil(cards.length / 2);
      list.style.setProperty("--in-a-row", cards.length > MOST_IN_A_ROW ? Math.min(half, MOST_IN_A_ROW) : cards.length);
      list.style.setProperty("--in-half-a-row", Math.min(half, 4));
      for (const [name, node] of shown) {
        if (names.has(name)) continue;
        node.clear();
        shown.delete(name);
      }
      cards.forEach((each, index) => {
        if (!shown.has(each.name)) shown.set(each.name, card());
        const node = shown.get(each.name);
        node.update(each);
        if (list.children[index] !== node) list.insertBefore(node, list.children[index] || null);
      });
    };
    heard.on("change:cards", draw);
    draw();
    const timer = setInterval(() => {
      for (const node of shown.values()) node.tick();
    }, 1000);
    return () => {
      clearInterval(timer);
      heard.end();
    };
  },
};
