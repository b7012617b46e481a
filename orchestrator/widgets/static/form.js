let forms = 0; // labels need ids of their own
const REST_MS = 700; // a double click is one click: the second must not pay again
const DICE = ["M5 4h14a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1z", "M8.5 8.5v.01M15.5 8.5v.01M12 12v.01M8.5 15.5v.01M15.5 15.5v.01"];

const randomBelow = (limit) => {
  const words = crypto.getRandomValues(new Uint32Array(2));
  return ((BigInt(words[0]) << 32n) + BigInt(words[1])) % limit;
};

export default {
  initialize({ model }) {
    // a page may be opened with a job to make again; the kernel cannot see the address
    const asked = new URLSearchParams(location.search);
    if (asked.has("again") || asked.has("vary")) model.send({ action: "opened", query: location.search.slice(1) });
  },
  render({ model, el }) {
    const heard = listener(model);
    const view = root(el, "form", "New picture");
    const form = h("form", { noValidate: true, autocomplete: "off" });
    const mine = `lab-form-${(forms += 1)}`;
    const choices = new Map(model.get("backends").map((each) => [each.name, each]));
    const inputs = new Map(); // a parameter's name -> its input
    let others = {}; // parameters that have no input here, of the job that the form was filled from
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
    const cost = h("p", { class: "lab-cost" });
    const note = h("p", { class: "lab-note", role: "status", hidden: true });
    const texts = h("div", { class: "lab-texts" });
    const fields = h("div", { class: "lab-fields" });
    const kept = h("span");
    const forget = h("button", { class: "lab-button", type: "button" }, "Forget");
    const also = h("p", { class: "lab-also", hidden: true }, kept, " ", forget);
    const limit = model.get("most");
    const count = h("input", { type: "number", name: "count", inputMode: "numeric", min: 1, max: limit, step: 1, value: "1", title: `As many jobs, each with a seed of its own; at most ${limit}` });
    const hold = h("input", { type: "checkbox", name: "hold" });
    const button = h("button", { class: "lab-button lab-primary", type: "submit", title: "Ctrl+Enter" });
    const outcome = h("div", { class: "lab-outcome", role: "status", "aria-live": "polite" });
    form.append(
      field("Prompt", prompt, null, true),
      texts,
      h("div", {}, field("Backend", backend, null, true), cost),
      note,
      fields,
      also,
      h("div", { class: "lab-last" }, field("How many", count), h("label", { class: "lab-check" }, hold, " Hold as a draft")),
      button,
      outcome,
    );
    view.append(h("h2", {}, "New picture"), notice(model, heard), form);

    const options = (spec) => model.get("offers")[spec.name] || spec.options;
    const offer = (input, offered, value) => {
      const names = offered.includes(value) ? offered : [value, ...offered];
      input.replaceChildren(...names.map((each) => h("option", { value: each }, each)));
      input.value = value;
    };
    const build = (spec, typed) => {
      const value = typed ?? spec.value ?? "";
      if (spec.kind === "choice") {
        const input = h("select", { name: spec.name });
        offer(input, options(spec), value);
        return field(spec.label, input);
      }
      if (spec.kind === "text") {
        return field(spec.label, h("textarea", { name: spec.name, rows: 1, value, placeholder: "What it should not show" }), null, true);
      }
      if (spec.kind === "seed") {
        const input = h("input", { name: spec.name, type: "text", inputMode: "numeric", value, placeholder: "random" });
        const roll = () => {
          input.value = String(randomBelow(BigInt(choices.get(backend.value).max_seed) + 1n));
          remember();
        };
        const dice = h("button", { class: "lab-button lab-icon-button", type: "button", title: "Choose a seed", "aria-label": "Choose a seed", onclick: roll }, icon(...DICE));
        return field(spec.label, input, dice);
      }
      const limits = { min: spec.min, max: spec.max, step: spec.step };
      return field(spec.label, h("input", { name: spec.name, type: "number", inputMode: "decimal", value, ...limits }));
    };
    const many = () => {
      const number = Number(count.value);
      return Number.isInteger(number) && number >= 1 && number <= limit ? number : 1;
    };
    const label = () => {
      const chosen = choices.get(backend.value);
      const number = many();
      const times = number > 1 ? `${number} × ` : "";
      const verb = hold.checked ? (number > 1 ? `Save ${number} drafts` : "Save draft") : number > 1 ? `Generate ${number}` : "Generate";
      const price = chosen.paid && !hold.checked ? ` · ${times}${chosen.price}` : "";
      say(button, pending === null ? `${verb}${price}` : "Sending…");
      button.disabled = pending !== null;
      button.classList.toggle("lab-paid", Boolean(price));
      const money = badge(chosen.paid ? "lab-costs" : "lab-free");
      say(money, chosen.paid ? "costs money" : "free");
      cost.replaceChildren(money, h("span", { class: "lab-muted" }, chosen.paid ? chosen.price : "Made on your own machine."));
    };
    const tellOthers = () => {
      const named = Object.entries(others).map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`);
      say(kept, `As in that job: ${named.join(", ")}.`);
      show(also, named.length > 0);
    };
    const arrange = (typed) => {
      const chosen = choices.get(backend.value);
      const built = chosen.fields.map((spec) => [spec, build(spec, typed[spec.name])]);
      inputs.clear();
      for (const [spec, node] of built) inputs.set(spec.name, node.querySelector("input, select, textarea"));
      texts.replaceChildren(...built.filter(([spec]) => spec.kind === "text").map(([, node]) => node));
      fields.replaceChildren(...built.filter(([spec]) => spec.kind !== "text").map(([, node]) => node));
      others = Object.fromEntries(Object.entries(typed).filter(([name]) => !inputs.has(name)));
      tellOthers();
      say(note, chosen.note);
      show(note, Boolean(chosen.note));
      label();
    };
    const values = () => ({
      prompt: prompt.value,
      backend: backend.value,
      hold: hold.checked,
      count: count.value,
      params: { ...Object.fromEntries([...inputs].map(([name, input]) => [name, input.value])), ...others },
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
      count.value = typed.count || "1";
      arrange(typed.params || {});
    };
    const complain = (text, remedy) => {
      outcome.className = "lab-outcome lab-bad";
      const what = h("span");
      advise(what, remedy);
      outcome.replaceChildren(h("strong", {}, sentence(text)), " ", what);
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
      arrange({ ...(negative_prompt && choices.get(backend.value).fields.some((spec) => spec.name === "negative_prompt") ? { negative_prompt } : {}), seed }); // sizes and steps are the new backend's own
      remember();
    });
    forget.addEventListener("click", () => {
      others = {};
      tellOthers();
      remember();
      prompt.focus();
    });
    hold.addEventListener("change", label);
    count.addEventListener("input", label);
    heard.on("change:values", load);
    heard.on("change:offers", () => {
      for (const spec of choices.get(backend.value).fields) {
        if (spec.kind === "choice") offer(inputs.get(spec.name), options(spec), inputs.get(spec.name).value);
      }
    });
    heard.on("change:outcome", () => {
      const said = model.get("outcome");
      if (said.number !== pending) return;
      clearTimeout(timer);
      timer = setTimeout(free, said.ok ? REST_MS - (Date.now() - sent) : 0);
      if (said.ok) {
        outcome.className = "lab-outcome lab-ok";
        outcome.replaceChildren(said.id && h("code", {}, said.id), ` ${said.text}.`);
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
