// LoRAs as rows, styles as chips. Their values are JSON lists, as text.

const listed = (text) => {
  try {
    const said = JSON.parse(text || "[]");
    return Array.isArray(said) ? said : [];
  } catch {
    return [];
  }
};

const MOST_LORAS = 16;

CONTROLS.loras = ({ mine, spec, lists, told }) => {
  const rows = h("div", { class: "lab-loras" });
  const all = () => [...rows.children].map((row) => row.read()).filter((each) => each.name);
  const tidy = () => show(add, rows.children.length < MOST_LORAS);
  const row = ({ name = "", strength = 1 } = {}) => {
    const { input: file } = suggest({ class: "lab-lora-name", placeholder: "Name of a LoRA", "aria-label": "LoRA", value: String(name) }, lists, spec.offers, false);
    const number = h("input", { class: "lab-lora-strength", type: "number", inputMode: "decimal", min: -10, max: 10, step: 0.05, value: String(strength), title: "Strength, from -10 to 10", "aria-label": "Strength of the LoRA" });
    const gone = iconButton("Remove this LoRA", CROSS, () => {
      const next = node.nextElementSibling || node.previousElementSibling;
      node.remove();
      tidy();
      (next ? next.querySelector("input") : add).focus();
      told();
    });
    const node = h("div", { class: "lab-lora" }, file, number, gone);
    node.read = () => ({ name: file.value.trim(), strength: number.value === "" ? 1 : Number(number.value) });
    return node;
  };
  const add = h("button", { class: "lab-button lab-quiet lab-lora-add", type: "button", onclick: () => {
    rows.append(row());
    tidy();
    rows.lastElementChild.querySelector("input").focus();
  } }, "Add a LoRA");
  const node = h("div", { class: "lab-field lab-field-wide lab-field-loras", role: "group", "aria-label": spec.label }, h("span", { class: "lab-field-label" }, spec.label), rows, add);
  return {
    name: spec.name,
    spec,
    node,
    get: () => JSON.stringify(all()),
    set: (text) => {
      rows.replaceChildren(...listed(text).map(row));
      tidy();
    },
  };
};

CONTROLS.styles = ({ spec, model, told }) => {
  const chips = h("div", { class: "lab-pills lab-styles", role: "group", "aria-label": spec.label });
  let worn = []; // in the order they were put on, which is the order they are applied in
  const draw = () => {
    const known = model.get("styles");
    const strange = worn.filter((name) => !known.some((each) => each.name === name)).map((name) => ({ name, prompt: "This style is not in the list any more." }));
    const focused = chips.contains(document.activeElement) && document.activeElement.textContent;
    chips.replaceChildren(...[...known, ...strange].map(({ name, prompt }) => {
      const press = () => {
        worn = worn.includes(name) ? worn.filter((each) => each !== name) : [...worn, name];
        draw();
        told();
      };
      return h("button", { class: "lab-pill", type: "button", title: prompt, "aria-pressed": String(worn.includes(name)), onclick: press }, name);
    }));
    if (focused) [...chips.children].find((each) => each.textContent === focused)?.focus();
    show(chips, chips.children.length > 0);
  };
  return {
    name: spec.name,
    spec,
    node: chips,
    get: () => JSON.stringify(worn),
    set: (text) => {
      worn = listed(text).map(String);
      draw();
    },
    refresh: draw,
  };
};
