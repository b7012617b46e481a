// The form that plans a grid: prompts, up to three axes, what is the same in every picture, and what it would cost.

const PLAN_MS = 350;
const MOST_AXES = 3;
const EXAMPLES = {
  number: "4, 7, 10 or 1..8",
  slider: "0.2..1..0.2",
  seed: "1..4",
  switch: "yes, no",
  text: "one on each line",
  styles: "none, one, one + another",
  loras: "none, name:0.5, name:1",
  backend: "sd15, sdxl",
};
// what a page opens with, of the axes that the backend has
const FIRST_AXES = [["cfg", "4, 7, 10"], ["guidance", "2, 3, 4"], ["seed", "1..4"]];
const PLUS = ["M12 5v14", "M5 12h14"];

// about how long, as one says it
const roughly = (seconds) => (seconds < 1 ? "a second" : span(seconds < 60 ? Math.ceil(seconds) : Math.round(seconds)).replace(/\.0 s$/, " s"));

const gridPlanner = ({ model, heard, ask, view, ran }) => {
  const mine = `lab-grid-${Math.random().toString(36).slice(2)}`;
  const lists = nameLists(mine, model);
  const typed = model.get("typed");
  let controls = new Map();
  let axes = []; // of the rows, in their order
  let timer;
  let turn = 0;
  let plan = null; // what was answered to what is typed now
  let running = false;

  const block = (label, input, more = "") => {
    input.id = `${mine}-${input.name}`;
    return h("div", { class: `lab-field ${more}` }, h("label", { for: input.id }, label), input);
  };
  const prompts = h("textarea", { name: "prompts", rows: 3, placeholder: "a red fox in the snow\na lighthouse at dusk", value: typed.prompts || "", spellcheck: false });
  const backend = h("select", { name: "backend" });
  const note = h("p", { class: "lab-note", role: "status", hidden: true });
  const rows = h("div", { class: "lab-axes" });
  const add = h("button", { class: "lab-button lab-quiet", type: "button", onclick: () => {
    const made = addAxis({ name: freeAxis(), values: "" });
    made.values.focus();
    changed();
  } }, icon(...PLUS), "Add an axis");
  const fixedCount = h("span", { class: "lab-badge lab-more-count" });
  const styles = h("div");
  const fields = h("div", { class: "lab-fields" });
  const fixed = h("details", { class: "lab-folded" }, h("summary", {}, "The same in every picture", fixedCount), styles, fields);
  const name = h("input", { name: "batch", type: "text", maxLength: 80, placeholder: "named after what it asks for", value: typed.name || "", spellcheck: false });
  const sum = h("strong", { class: "lab-plan-sum" });
  const shape = h("span", { class: "lab-muted" });
  const facts = h("dl", { class: "lab-plan-facts" });
  const money = badge();
  const price = h("span");
  const cost = h("p", { class: "lab-cost lab-plan-cost" }, money, price);
  const warning = h("p", { class: "lab-note", hidden: true });
  const wrong = h("p", { class: "lab-plan-wrong", hidden: true });
  const box = h("div", { class: "lab-plan", role: "status", "aria-label": "Plan" }, h("div", { class: "lab-plan-head" }, sum, shape), wrong, facts, cost, warning);
  const run = h("button", { class: "lab-button lab-primary", type: "submit", title: "Ctrl+Enter" }, "Run");
  const outcome = h("div", { class: "lab-outcome", role: "status", "aria-live": "polite" });
  const form = h("form", { noValidate: true, autocomplete: "off" },
    block("Prompts, one on each line", prompts, "lab-field-wide"),
    block("Backend", backend),
    note,
    h("div", { class: "lab-axes-box", role: "group", "aria-label": "Axes" }, h("span", { class: "lab-field-label" }, "Axes: a picture for every combination of their values"), rows, add),
    fixed,
    block("Name of the batch", name),
    h("div", { class: "lab-foot lab-plan-foot" }, box, run, outcome),
    lists.node,
  );
  const node = h("section", { class: "lab-grid-plan", "aria-label": "Plan a grid" }, h("h2", {}, "New grid"), form);

  // ---- what there is to choose from

  const choices = () => model.get("backends");
  const chosen = () => choices().find((each) => each.name === backend.value) || choices()[0];
  const fieldOf = (wanted) => chosen().fields.find((spec) => spec.name === wanted);
  const offerBackends = () => {
    const before = backend.value || typed.backend;
    const groups = new Map();
    for (const each of choices()) {
      if (!groups.has(each.group)) groups.set(each.group, h("optgroup", { label: each.group }));
      const away = Boolean(model.get("unavailable")[each.name]);
      groups.get(each.group).append(h("option", { value: each.name }, [each.title, away ? "not available" : each.size, each.each].filter(Boolean).join(" · ")));
    }
    backend.replaceChildren(...groups.values());
    if (choices().some((each) => each.name === before)) backend.value = before;
  };
  const tellNote = () => {
    const why = model.get("unavailable")[backend.value];
    say(note, why ? `${chosen().title} cannot run now. ${sentence(why)}` : chosen().note);
    show(note, Boolean(why || chosen().note));
  };

  // ---- axes

  const freeAxis = () => {
    const taken = new Set(axes.map((axis) => axis.parameter.value));
    const names = ["seed", "cfg", "steps", "sampler", ...chosen().fields.map((spec) => spec.name)];
    return names.find((each) => !taken.has(each) && fieldOf(each)) || "seed";
  };
  const addAxis = ({ name: first, values: text }) => {
    const parameter = h("select", { class: "lab-axis-name", "aria-label": "Parameter of the axis" });
    const values = h("textarea", { class: "lab-axis-values", rows: 1, spellcheck: false, value: text, "aria-label": "Values of the axis" });
    const chips = h("div", { class: "lab-pills lab-axis-chips", role: "group", "aria-label": "Values to choose from" });
    const gone = iconButton("Remove this axis", CROSS, () => {
      axes = axes.filter((axis) => axis !== made);
      row.remove();
      tidy();
      changed();
      (axes.length ? axes[axes.length - 1].values : add).focus();
    });
    const row = h("div", { class: "lab-axis", role: "group" }, h("div", { class: "lab-axis-head" }, parameter, gone), values, chips);
    const words = () => values.value.split(/[,;\n]/).map((each) => each.trim()).filter(Boolean);
    const draw = () => {
      const spec = fieldOf(parameter.value);
      const kind = parameter.value === "backend" ? "backend" : spec ? spec.kind : "line";
      values.placeholder = EXAMPLES[kind] || "one, another";
      row.setAttribute("aria-label", `Axis ${spec ? spec.label : parameter.value}`);
      const offered = kind === "backend" ? choices().map((each) => each.name) : kind === "switch" ? ["yes", "no"] : kind === "styles" ? ["none", ...model.get("styles").map((each) => each.name)] : (spec && (spec.options || model.get("offers")[spec.offers])) || [];
      const on = new Set(words());
      const press = (each) => {
        const kept = on.has(each) ? words().filter((word) => word !== each) : [...words(), each];
        values.value = kept.join(", ");
        fit();
        draw();
        [...chips.children].find((chip) => chip.textContent === each)?.focus();
        changed();
      };
      chips.replaceChildren(...offered.filter((each) => each !== "automatic").slice(0, 40).map((each) => h("button", { class: "lab-pill", type: "button", "aria-pressed": String(on.has(each)), onclick: () => press(each) }, each)));
      show(chips, chips.children.length > 0);
    };
    const fit = () => {
      values.style.height = "auto";
      if (values.scrollHeight) values.style.height = `${Math.min(160, values.scrollHeight + 2)}px`;
    };
    const offer = (wanted) => {
      const options = [["backend", "Backend"], ...chosen().fields.map((spec) => [spec.name, spec.label])];
      if (wanted && !options.some(([value]) => value === wanted)) return false;
      parameter.replaceChildren(...options.map(([value, label]) => h("option", { value }, label)));
      parameter.value = wanted;
      return true;
    };
    parameter.addEventListener("change", () => {
      values.value = "";
      fit();
      draw();
      arrange();
      changed();
    });
    values.addEventListener("input", () => {
      fit();
      draw();
    });
    const made = { row, parameter, values, offer, draw, fit };
    if (!offer(first)) return made;
    rows.append(row);
    axes.push(made);
    draw();
    fit();
    tidy();
    arrange();
    return made;
  };
  const tidy = () => show(add, axes.length < MOST_AXES);

  // ---- what is the same in every picture

  // a field that says something only with another one
  const isAsked = ({ with: other }) => {
    if (!other || axes.some((axis) => axis.parameter.value === other)) return true;
    const control = controls.get(other);
    return Boolean(control && control.get() && control.get() !== control.spec.value);
  };
  const changedHere = () => {
    for (const control of controls.values()) show(control.node, isAsked(control.spec));
    const set = [...controls.values()].filter((control) => control.get() !== control.spec.value).length;
    say(fixedCount, set ? `${set} set` : "");
  };
  const arrange = () => {
    const kept = Object.fromEntries([...controls.values()].map((control) => [control.name, control.get()]));
    const before = controls.size ? kept : typed.params || {};
    const onAxes = new Set(axes.map((axis) => axis.parameter.value));
    const specs = chosen().fields.filter((spec) => !onAxes.has(spec.name));
    controls = new Map();
    styles.replaceChildren();
    fields.replaceChildren();
    for (const spec of specs) {
      const own = spec.kind === "image" ? { ...spec, kind: "line", placeholder: "name of a picture in dropIn" } : spec;
      const control = CONTROLS[own.kind]({ mine, spec: own, model, lists, maxSeed: chosen().max_seed, told: () => changed() });
      control.set(before[spec.name] ?? spec.value);
      controls.set(spec.name, control);
      (spec.name === "styles" ? styles : fields).append(control.node);
    }
    changedHere();
  };
  const grid = () => ({
    name: name.value.trim(),
    prompts: prompts.value,
    backend: backend.value,
    axes: axes.map((axis) => ({ name: axis.parameter.value, values: axis.values.value })),
    params: Object.fromEntries([...controls.values()].map((control) => [control.name, control.get()])),
  });

  // ---- the plan

  const label = () => {
    run.setAttribute("aria-disabled", String(running || Boolean(plan && plan.missing === 0)));
    if (running) return say(run, "Sending…");
    if (!plan) return say(run, "Run");
    if (plan.missing === 0) return say(run, "Everything is there");
    return say(run, `Run ${plural(plan.missing, "job")}${plan.paid ? ` · ${plan.money}` : ""}`);
  };
  const fact = (term, text) => [h("dt", {}, term), h("dd", {}, text)];
  const blank = (text, error = "") => {
    plan = null;
    say(sum, text);
    say(shape, "");
    say(wrong, error);
    show(wrong, Boolean(error));
    facts.replaceChildren();
    for (const each of [cost, warning]) show(each, false);
    label();
  };
  const tell = (said) => {
    plan = said;
    say(sum, plural(said.jobs, "job"));
    say(shape, said.shape);
    show(wrong, false);
    const had = Object.entries(said.had).map(([status, number]) => `${number} ${status}`).join(", ");
    facts.replaceChildren(
      ...fact("To make", said.missing === said.jobs ? "all of them" : said.missing ? `${said.missing}, the others are there: ${had}` : `nothing: ${had}`),
      ...(said.missing ? fact("Time", said.seconds === null ? "not known yet: this backend was never timed" : `about ${roughly(said.seconds)}`) : []),
      ...(said.same ? fact("Left out", `${plural(said.same, "row")} that another one asks for`) : []),
    );
    show(cost, said.missing > 0);
    say(money, said.paid ? "costs money" : "free");
    money.className = `lab-badge ${said.paid ? "lab-costs" : "lab-free"}`;
    say(price, said.paid ? `${said.money} · ${said.today}` : "Made on your own machine.");
    say(warning, said.warning);
    show(warning, Boolean(said.warning));
    label();
  };
  const look = async () => {
    const asked = (turn += 1);
    if (!prompts.value.trim()) return blank("Type a prompt, and the plan appears here.");
    try {
      const said = await ask("plan", { grid: grid() });
      if (asked === turn) tell(said);
    } catch (error) {
      if (asked === turn) blank("This cannot run yet", `${sentence(error.message)} ${error.remedy || ""}`.trim());
    }
    return null;
  };
  let last = "";
  const changed = () => {
    changedHere();
    const now = JSON.stringify(grid());
    if (now === last) return; // a field that is left says so too
    last = now;
    outcome.className = "lab-outcome";
    outcome.replaceChildren();
    clearTimeout(timer);
    turn += 1; // what is on its way is an answer to something else
    plan = null;
    label();
    model.set("typed", grid());
    model.save_changes();
    timer = setTimeout(look, PLAN_MS);
  };

  // ---- running it

  const complain = (text, remedy) => {
    outcome.className = "lab-outcome lab-bad";
    const what = h("span");
    advise(what, remedy || "");
    outcome.replaceChildren(h("strong", {}, sentence(text)), " ", what);
  };
  const send = async (wanted, agreed = null) => {
    running = true;
    label();
    outcome.className = "lab-outcome";
    outcome.replaceChildren();
    try {
      const said = await ask("run", { grid: wanted, agreed });
      if (said.confirm) dialog.open({ ...said.confirm, wanted });
      else {
        outcome.className = "lab-outcome lab-ok";
        outcome.replaceChildren(`${plural(said.jobs, "job")} of ${said.name} ${said.jobs === 1 ? "is" : "are"} in the queue.`);
        ran(said.name);
      }
    } catch (error) {
      complain(error.message, error.remedy);
    }
    running = false;
    label();
    look();
  };
  const dialog = moneyDialog(view, {
    paid: (question) => send(question.wanted, question.amount),
    kept: () => {
      outcome.className = "lab-outcome";
      outcome.replaceChildren("Nothing was sent.");
    },
  });
  const submit = () => {
    if (running) return;
    if (!prompts.value.trim()) {
      complain("The prompt is empty.", "Say what the pictures should show, one prompt on each line.");
      prompts.focus();
    } else if (!plan || plan.missing) send(grid()); // what is still being planned is checked there
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      event.stopPropagation();
      if (!event.repeat) submit();
    } else if (event.target.tagName === "INPUT") event.preventDefault(); // a name is chosen with it
  });
  form.addEventListener("input", changed);
  form.addEventListener("change", (event) => event.target !== backend && changed());
  backend.addEventListener("change", () => {
    for (const axis of [...axes]) {
      const wanted = axis.parameter.value;
      if (axis.offer(wanted)) axis.draw();
      else {
        axis.row.remove();
        axes = axes.filter((each) => each !== axis);
      }
    }
    tidy();
    const kept = Object.fromEntries(["negative_prompt", "seed", "styles"].filter((each) => controls.has(each)).map((each) => [each, controls.get(each).get()]));
    controls = new Map();
    typed.params = kept;
    arrange();
    tellNote();
    changed();
  });

  const offered = () => {
    const shown = JSON.stringify(chosen());
    offerBackends();
    if (JSON.stringify(chosen()) !== shown) arrange();
    for (const axis of axes) axis.draw();
    tellNote();
  };
  heard.on("change:backends change:unavailable", offered);
  heard.on("change:offers", () => {
    lists.refresh();
    for (const axis of axes) axis.draw();
  });
  heard.on("change:styles", () => {
    if (controls.has("styles")) controls.get("styles").refresh();
    for (const axis of axes) axis.draw();
  });
  offerBackends();
  tellNote();
  const first = typed.axes || FIRST_AXES.filter(([each]) => fieldOf(each)).slice(0, 2).map(([each, values]) => ({ name: each, values }));
  for (const axis of first) addAxis(axis);
  arrange();
  last = JSON.stringify(grid());
  look();
  return {
    node,
    look: () => {
      clearTimeout(timer);
      timer = setTimeout(look, PLAN_MS);
    },
    end() {
      clearTimeout(timer);
      turn += 1;
      dialog.end();
    },
  };
};
