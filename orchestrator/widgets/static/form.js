let forms = 0; // labels need ids of their own
const REST_MS = 700; // a double click is one click: the second must not pay again

const randomBelow = (limit) => {
  const words = crypto.getRandomValues(new Uint32Array(2));
  return ((BigInt(words[0]) << 32n) + BigInt(words[1])) % limit;
};

export default {
  render({ model, el }) {
    const heard = listener(model);
    const view = root(el, "form", "New picture");
    const form = h("form", { noValidate: true, autocomplete: "off" });
    const mine = `lab-form-${(forms += 1)}`;
    const choices = new Map(model.get("backends").map((each) => [each.name, each]));
    const inputs = new Map(); // a parameter's name -> its input
    let pending = null; // the click that has no outcome yet
    let sent = 0;
    let timer;

    const field = (label, input, extra = null, wide = false) => {
      input.id = `${mine}-${input.name}`;
      const text = h("label", { for: input.id }, label);
      return h("div", { class: `lab-field lab-field-${input.type} lab-field-${input.name}${wide ? " lab-field-wide" : ""}` }, text, extra ? h("div", { class: "lab-joined" }, input, extra) : input);
    };
    const prompt = h("textarea", { name: "prompt", rows: 3, required: true, placeholder: "What should the picture show?" });
    const backend = h(
      "select",
      { name: "backend" },
      ...[...choices.values()].map((each) => h("option", { value: each.name }, `${each.title} · ${each.size} · ${each.price.split(" (")[0]}`)),
    );
    const note = h("p", { class: "lab-note", role: "status", hidden: true });
    const fields = h("div", { class: "lab-fields" });
    const hold = h("input", { type: "checkbox", name: "hold" });
    const button = h("button", { class: "lab-button lab-primary", type: "submit", title: "Ctrl+Enter" });
    const outcome = h("div", { class: "lab-outcome", role: "status", "aria-live": "polite" });
    form.append(
      field("Prompt", prompt, null, true),
      field("Backend", backend, null, true),
      note,
      fields,
      h("label", { class: "lab-check" }, hold, " Hold as a draft"),
      button,
      outcome,
    );
    view.append(h("h2", {}, "New picture"), form);

    const build = (spec, typed) => {
      const value = typed ?? spec.value ?? "";
      if (spec.kind === "choice") {
        const options = spec.options.includes(value) ? spec.options : [value, ...spec.options];
        const input = h("select", { name: spec.name }, ...options.map((each) => h("option", { value: each }, each)));
        input.value = value;
        return field(spec.label, input);
      }
      if (spec.kind === "text") {
        return field(spec.label, h("textarea", { name: spec.name, rows: 2, value, placeholder: "What it should not show" }), null, true);
      }
      if (spec.kind === "seed") {
        const input = h("input", { name: spec.name, type: "text", inputMode: "numeric", value, placeholder: "random" });
        const roll = () => {
          input.value = String(randomBelow(BigInt(choices.get(backend.value).max_seed) + 1n));
          remember();
        };
        const dice = h("button", { class: "lab-button", type: "button", title: "Choose a seed", "aria-label": "Choose a seed", onclick: roll }, "⚄");
        return field(spec.label, input, dice);
      }
      const limits = { min: spec.min, max: spec.max, step: spec.step };
      return field(spec.label, h("input", { name: spec.name, type: "number", inputMode: "decimal", value, ...limits }));
    };
    const label = () => {
      const chosen = choices.get(backend.value);
      const cost = chosen.paid && !hold.checked ? ` · ${chosen.price}` : "";
      say(button, pending === null ? `${hold.checked ? "Save draft" : "Generate"}${cost}` : "Sending…");
      button.disabled = pending !== null;
      button.classList.toggle("lab-paid", Boolean(cost));
    };
    const arrange = (typed) => {
      const chosen = choices.get(backend.value);
      const built = chosen.fields.map((spec) => [spec.name, build(spec, typed[spec.name])]);
      inputs.clear();
      for (const [name, node] of built) inputs.set(name, node.querySelector("input, select, textarea"));
      fields.replaceChildren(...built.map(([, node]) => node));
      say(note, chosen.note);
      show(note, Boolean(chosen.note));
      label();
    };
    const values = () => ({
      prompt: prompt.value,
      backend: backend.value,
      hold: hold.checked,
      params: Object.fromEntries([...inputs].map(([name, input]) => [name, input.value])),
    });
    const remember = () => {
      model.set("values", values());
      model.save_changes();
    };
    const load = () => {
      const typed = model.get("values");
      if (JSON.stringify(typed) === JSON.stringify(values())) return; // our own words came back
      prompt.value = typed.prompt || "";
      if (choices.has(typed.backend)) backend.value = typed.backend;
      hold.checked = Boolean(typed.hold);
      arrange(typed.params || {});
    };
    const complain = (text, remedy) => {
      outcome.className = "lab-outcome lab-bad";
      outcome.replaceChildren(h("strong", {}, sentence(text)), " ", h("span", {}, remedy));
    };
    const free = () => {
      pending = null;
      label();
    };
    const submit = () => {
      if (pending !== null) return;
      if (!prompt.value.trim()) {
        complain("The prompt is empty.", "Say what the picture should show.");
        prompt.focus();
        return;
      }
      pending = Math.floor(Math.random() * 2 ** 40);
      sent = Date.now();
      outcome.className = "lab-outcome";
      outcome.replaceChildren();
      label();
      remember();
      model.send({ action: "generate", number: pending, ...values() });
      timer = setTimeout(() => {
        free();
        complain("No answer from the lab yet.", "Look at the queue before pressing the button again.");
      }, 15000);
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      submit();
    });
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.repeat) return;
      event.preventDefault();
      event.stopPropagation();
      submit();
    });
    form.addEventListener("change", remember);
    backend.addEventListener("change", () => {
      const { negative_prompt, seed } = values().params;
      arrange({ negative_prompt, seed }); // sizes and steps are the new backend's own
      remember();
    });
    hold.addEventListener("change", label);
    heard.on("change:values", load);
    heard.on("change:outcome", () => {
      const said = model.get("outcome");
      if (said.number !== pending) return;
      clearTimeout(timer);
      timer = setTimeout(free, said.ok ? REST_MS - (Date.now() - sent) : 0);
      if (said.ok) {
        outcome.className = "lab-outcome lab-ok";
        outcome.replaceChildren(h("code", {}, said.id), ` ${said.text}.`);
      } else complain(said.text, said.remedy);
    });
    arrange({});
    load();
    return () => {
      clearTimeout(timer);
      heard.end();
    };
  },
};
