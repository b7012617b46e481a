const SILENCE_MS = 5000;

export default {
  render({ model, el }) {
    const heard = listener(model);
    const view = root(el, "heartbeat", "Session");
    const text = h("span", {}, "Session lost: this page is not alive any more.");
    const reload = h("button", { class: "lab-button", type: "button", onclick: () => location.reload() }, "Reload");
    const node = h("div", { class: "lab-silent", role: "alert", hidden: true }, text, " ", reload);
    view.append(node);
    let last = Date.now();
    let looked = Date.now();
    heard.on("change:beat", () => {
      last = Date.now();
      show(node, false);
    });
    const timer = setInterval(() => {
      const now = Date.now();
      // the page was hidden or the machine asleep: beats could not come in either
      if (document.hidden || now - looked > 3000) last = now;
      looked = now;
      show(node, now - last > SILENCE_MS);
    }, 500);
    return () => {
      clearInterval(timer);
      heard.end();
    };
  },
};
