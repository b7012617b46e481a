// What is going to be sent, and what it costs: asked of the kernel some moments after the last key.

const WORDS_MS = 400;
const COST_MS = 250;
const COST_AGAIN_MS = 15000; // others spend money too
const MAY_DIFFER = /[{}]|__|[^\u0000-\u024f\u2000-\u206f]/; // braces, wildcards, another script

// Asks after a pause, and hears only the newest answer.
const later = (model, heard, kind, pause, answered) => {
  let number = 0;
  let timer;
  heard.on("msg:custom", (message) => {
    if (message.kind === kind && message.number === number) answered(message);
  });
  return {
    ask(content) {
      clearTimeout(timer);
      number += 1;
      const mine = number;
      timer = setTimeout(() => model.send({ ...content, action: kind, number: mine }), pause);
    },
    end() {
      clearTimeout(timer);
      number += 1;
    },
  };
};

const wordsPreview = (model, heard) => {
  const title = h("strong");
  const text = h("bdi", { class: "lab-words-text" });
  const notes = h("span", { class: "lab-muted" });
  const node = h("div", { class: "lab-words", role: "status", hidden: true }, title, text, notes);
  const asked = later(model, heard, "words", WORDS_MS, (said) => {
    show(node, Boolean(said.error || said.prompt));
    node.classList.toggle("lab-wrong", Boolean(said.error));
    if (said.error) {
      say(title, "This prompt cannot be sent");
      say(text, `${sentence(said.error)} ${said.remedy}`);
      return say(notes, "");
    }
    say(title, said.ways > 1 ? `Will be sent, for example (${said.ways >= 1e6 ? "very many" : said.ways.toLocaleString()} ways)` : said.translated ? "Will be sent, translated" : "Will be sent");
    say(text, said.prompt);
    return say(notes, [said.negative && `Not: ${said.negative}`, ...(said.notes || [])].filter(Boolean).map(sentence).join(" "));
  });
  return {
    node,
    look({ prompt, backend, params }) {
      const styled = listed(params.styles).length > 0;
      if (!prompt.trim() || !(styled || MAY_DIFFER.test(prompt) || MAY_DIFFER.test(params.negative_prompt || ""))) {
        asked.end();
        show(node, false);
        return;
      }
      const { styles, negative_prompt, seed } = params;
      asked.ask({ prompt, backend, params: { styles, negative_prompt, seed } });
    },
    end: asked.end,
  };
};

const costLine = (model, heard, priced) => {
  const money = badge();
  const text = h("span", { class: "lab-cost-text" });
  const today = h("span", { class: "lab-cost-today lab-muted" });
  const node = h("p", { class: "lab-cost" }, money, text, today);
  const warning = h("p", { class: "lab-note lab-cost-warning", role: "status", hidden: true });
  let last = null;
  const asked = later(model, heard, "cost", COST_MS, (said) => {
    if (said.error) return priced(null); // a field is being typed in: the backend's own price stays
    say(text, said.text);
    say(today, said.today);
    say(warning, said.warning);
    show(warning, Boolean(said.warning));
    return priced(said.total);
  });
  const timer = setInterval(() => last && !document.hidden && asked.ask(last), COST_AGAIN_MS);
  return {
    node,
    warning,
    look(chosen, { backend, params, count }) {
      const other = !last || last.backend !== backend;
      say(money, chosen.paid ? "costs money" : "free");
      money.className = `lab-badge ${chosen.paid ? "lab-costs" : "lab-free"}`;
      if (!chosen.paid) {
        last = null;
        asked.end();
        say(text, "Made on your own machine.");
        say(today, "");
        show(warning, false);
        priced(null);
        return;
      }
      if (other) {
        say(text, chosen.price);
        say(today, "");
        show(warning, false);
        priced(null);
      }
      const next = { backend, params, count };
      if (JSON.stringify(next) === JSON.stringify(last)) return;
      last = next;
      asked.ask(next);
    },
    again: () => last && asked.ask(last),
    end() {
      clearInterval(timer);
      asked.end();
    },
  };
};

// Asks before money is spent. Nothing is spent by a key that was pressed by habit: Cancel has the focus.
const moneyDialog = (parent, { paid, kept }) => {
  const title = h("h2");
  const lines = h("div", { class: "lab-ask-lines" });
  const no = h("button", { class: "lab-button", type: "button", onclick: () => box.close() }, "Cancel");
  const yes = h("button", { class: "lab-button lab-pay", type: "button" });
  const box = h("dialog", { class: "lab-ask", "data-lm-suppress-shortcuts": "true", "aria-label": "Confirm what it costs" }, title, lines, h("div", { class: "lab-ask-buttons" }, no, yes));
  let asked = null;
  yes.onclick = () => {
    const said = asked;
    asked = null;
    box.close();
    paid(said);
  };
  box.addEventListener("keydown", (event) => event.stopPropagation()); // the form's Ctrl+Enter is not an answer
  box.addEventListener("click", (event) => event.target === box && box.close());
  box.addEventListener("close", () => {
    if (asked) kept();
    asked = null;
  });
  parent.append(box);
  return {
    open(question) {
      asked = question;
      say(title, question.title);
      lines.replaceChildren(...question.lines.map((line) => h("p", {}, line)));
      say(yes, `Spend $${question.amount}`);
      box.showModal();
      no.focus();
    },
    end: () => {
      asked = null;
      if (box.open) box.close();
    },
  };
};
