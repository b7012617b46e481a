// The other half of the page: a model whose `send` goes to the kernel, and what a user does with keys and fields.
async () => {
  const heard = new Map();
  const say = (message) => { for (const act of heard.get("msg:custom") ?? []) act(message, []); };
  let busy = Promise.resolve();
  const model = {
    get: (name) => ({ run: {}, notice: {} })[name] ?? null,
    on: (name, act) => heard.set(name, [...(heard.get(name) ?? []), act]),
    off: () => undefined,
    send: (message) => {
      if (!["edit", "undo", "redo"].includes(message.action)) return;
      busy = busy.then(() => window.kernel(JSON.stringify(message))).then((said) => JSON.parse(said).forEach(say));
    },
  };
  const frame = () => new Promise(requestAnimationFrame);
  const all = (what) => document.querySelectorAll(what);
  const drawn = () => [all(".react-flow__node-lab").length, all(".react-flow__edge").length];
  const until = async (look, most) => {
    const began = performance.now();
    while (performance.now() - began < most) {
      const found = look();
      if (found) return found;
      await frame();
    }
    return look();
  };
  const key = (on, name, more = {}) => on.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true, ...more }));
  const nodeOf = (id) => document.querySelector(`.react-flow__node-lab[data-id="${CSS.escape(id)}"]`);
  const ids = (what) => [...all(what)].map((each) => each.getAttribute("data-id"));
  const settled = async (nodes, links) => {
    await until(() => { const [a, b] = drawn(); return a >= nodes && b >= links; }, 4000);
  };
  const level = () => ({ nodes: ids(".react-flow__node-lab"), links: ids(".react-flow__edge"), groups: all(".react-flow__node-group_").length });
  window.gate = {
    say,
    settle: () => busy,
    async open(document_, expected) {
      const began = performance.now();
      say(document_);
      await settled(expected.nodes, expected.links);
      await frame();
      return { ms: performance.now() - began, ...level() };
    },
    async enter(path, expected) {
      document.querySelector(".bd-crumbs button")?.click();
      await until(() => !document.querySelector(".bd-crumbs"), 2000);
      for (const id of path) {
        const host = await until(() => nodeOf(id), 3000);
        if (!host) return { missing: id };
        host.focus();
        key(host, "Enter");
        await frame();
      }
      await settled(expected.nodes, expected.links);
      return level();
    },
    async top() {
      document.querySelector(".bd-crumbs button")?.click();
      await until(() => !document.querySelector(".bd-crumbs"), 2000);
    },
    async move(id) {
      const node = await until(() => nodeOf(id), 3000);
      node.focus();
      key(node, " ");
      await until(() => node.classList.contains("selected"), 2000);
      key(node, "ArrowRight");
      await busy;
    },
    async back() {
      key(document.querySelector(".bd-canvas"), "z", { ctrlKey: true });
      await busy;
    },
    async type(id) {
      say({ kind: "findings", revision: 0, findings: [{ path: [id], input: "", type: "gate", message: "here", severity: "warning" }] });
      (await until(() => document.querySelector(".bd-findings button"), 2000)).click();
      await until(() => nodeOf(id), 1500);
      const field = await until(() => nodeOf(id)?.querySelector(".bd-widget :is(input, textarea, .bd-switch)"), 400);
      if (!field) return false;
      if (field.matches("button")) field.click();
      else {
        const proto = field.matches("textarea") ? HTMLTextAreaElement.prototype : HTMLInputElement.prototype;
        const number = field.getAttribute("role") === "spinbutton";
        const write = (text) => Object.getOwnPropertyDescriptor(proto, "value").set.call(field, text);
        field.focus();
        write(number ? String(Math.abs(Number(field.value) - 1)) : `${field.value} typed`);
        field.dispatchEvent(new Event("input", { bubbles: true }));
        await frame();
        field.blur();
      }
      await frame();
      await busy;
      return true;
    },
  };
  const { default: widget } = await import("/builder.js");
  widget.render({ model, el: document.getElementById("here") });
  await until(() => document.querySelector(".bd-canvas"), 20000);
  document.querySelectorAll(".bd-bar button").forEach((each) => each.textContent.match(/errors|warning/) && each.click());
}
