// The form's fields, one control for each kind. A control has `node`, `name`, `get()` and `set(text)`: all values are
// text, as the kernel says them; `told` is called after a change that makes no event of its own.

const DICE = ["M5 4h14a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1z", "M8.5 8.5v.01M15.5 8.5v.01M12 12v.01M8.5 15.5v.01M15.5 15.5v.01"];
const CROSS = ["M6 6l12 12", "M18 6L6 18"];

let forms = 0; // labels need ids of their own

const randomBelow = (limit) => {
  const words = crypto.getRandomValues(new Uint32Array(2));
  return ((BigInt(words[0]) << 32n) + BigInt(words[1])) % limit;
};

const iconButton = (label, drawn, act) =>
  h("button", { class: "lab-button lab-icon-button", type: "button", title: label, "aria-label": label, onclick: act }, icon(...drawn));

const upper = (text) => text && text[0].toUpperCase() + text.slice(1);

// Names to choose from, with free typing. A browser lists only what fits what is typed already: where there must be a
// name, the old one steps aside while one chooses, and comes back if none is chosen.
const suggest = (props, lists, offered, must) => {
  const input = h("input", { type: must ? "text" : "search", autocomplete: "off", spellcheck: false, maxLength: 255, ...props });
  if (offered) input.setAttribute("list", lists.id(offered));
  let kept = "";
  if (must) {
    input.addEventListener("focus", () => {
      kept = input.value;
      input.placeholder = kept;
      input.value = "";
    });
    input.addEventListener("blur", () => {
      if (!input.value.trim()) input.value = kept;
      input.placeholder = "";
    });
  }
  return { input, value: () => input.value.trim() || (must && document.activeElement === input ? kept : "") };
};

// The names that the servers have, once for all fields.
const nameLists = (mine, model) => {
  const node = h("div", { hidden: true });
  const made = new Map();
  const fill = (name) => made.get(name).replaceChildren(...(model.get("offers")[name] || []).map((each) => h("option", { value: each })));
  return {
    node,
    id(name) {
      if (!made.has(name)) {
        made.set(name, h("datalist", { id: `${mine}-names-${name}` }));
        node.append(made.get(name));
        fill(name);
      }
      return made.get(name).id;
    },
    refresh: () => [...made.keys()].forEach(fill),
  };
};

const labelled = (mine, spec, input, { extra = null, wide = false } = {}) => {
  input.id = `${mine}-${spec.name}`;
  input.title = upper(spec.hint || "");
  const text = h("label", { for: input.id }, spec.label);
  return h("div", { class: `lab-field lab-field-${spec.kind} lab-field-${spec.name}${wide ? " lab-field-wide" : ""}` }, text, extra ? h("div", { class: "lab-joined" }, input, extra) : input);
};

const plain = (mine, spec, input, options = {}) => ({
  name: spec.name,
  spec,
  node: labelled(mine, spec, input, options),
  get: () => input.value,
  set: (text) => {
    input.value = text;
  },
});

const CONTROLS = {
  number: ({ mine, spec }) => plain(mine, spec, h("input", { name: spec.name, type: "number", inputMode: "decimal", min: spec.min, max: spec.max, step: spec.step, placeholder: spec.placeholder || "" })),
  line: ({ mine, spec }) => plain(mine, spec, h("input", { name: spec.name, type: "text", maxLength: 255, placeholder: spec.placeholder || "" })),
  text: ({ mine, spec }) => plain(mine, spec, h("textarea", { name: spec.name, rows: 1, placeholder: "What it should not show" }), { wide: true }),
  seed({ mine, spec, maxSeed, told }) {
    const input = h("input", { name: spec.name, type: "text", inputMode: "numeric", placeholder: "random" });
    const roll = () => {
      input.value = String(randomBelow(BigInt(maxSeed) + 1n));
      told();
    };
    return plain(mine, spec, input, { extra: iconButton("Choose a seed", DICE, roll) });
  },
  choice({ mine, spec }) {
    const input = h("select", { name: spec.name });
    const control = plain(mine, spec, input);
    const first = spec.placeholder ? [["", "automatic"]] : [];
    control.set = (text) => {
      const named = spec.options.includes(text) || !text ? spec.options : [text, ...spec.options];
      input.replaceChildren(...[...first, ...named.map((each) => [each, each])].map(([value, word]) => h("option", { value }, word)));
      input.value = text;
    };
    return control;
  },
  suggest({ mine, spec, lists }) {
    const must = Boolean(spec.value);
    const { input, value } = suggest({ name: spec.name, placeholder: must ? "" : "automatic" }, lists, spec.offers, must);
    return { ...plain(mine, spec, input), get: value };
  },
  switch({ mine, spec }) {
    const input = h("input", { type: "checkbox", name: spec.name, id: `${mine}-${spec.name}` });
    return {
      name: spec.name,
      spec,
      node: h("label", { class: `lab-check lab-field lab-field-wide lab-field-${spec.name}`, title: upper(spec.hint) }, input, spec.label),
      get: () => String(input.checked),
      set: (text) => {
        input.checked = text === "true";
      },
    };
  },
  slider({ mine, spec }) {
    const input = h("input", { name: spec.name, type: "range", min: spec.min, max: spec.max, step: spec.step });
    const shown = h("output", { class: "lab-slider-value", for: `${mine}-${spec.name}` });
    const tell = () => say(shown, Number(input.value).toFixed(2));
    input.addEventListener("input", tell);
    const control = plain(mine, spec, input, { extra: shown, wide: true });
    control.set = (text) => {
      input.value = text || spec.value;
      tell();
    };
    return control;
  },
};
