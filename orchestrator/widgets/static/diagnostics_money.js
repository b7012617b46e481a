// Where the money went: today's budget, the last days, and what nobody knows the outcome of.

const SHADES = 5; // backends with a colour of their own; the others share the last
const dayName = (day) => new Date(`${day}T00:00:00Z`).toLocaleDateString(undefined, { day: "numeric", month: "short", timeZone: "UTC" });

const moneyPanel = (model) => {
  const fact = (label) => {
    const value = h("strong");
    const under = h("span", { class: "lab-muted" });
    return { value, under, node: h("li", { class: "lab-diag-tile" }, h("span", { class: "lab-muted" }, label), value, under) };
  };
  const today = fact("Today");
  const left = fact("Left today");
  const credits = fact("Credits");
  const all = fact("In all");
  const spent = h("i", { class: "lab-money-spent" });
  const reserved = h("i", { class: "lab-money-reserved" });
  const meter = h("div", { class: "lab-diag-meter lab-money-meter", role: "img" }, spent, reserved);
  const bars = h("ol", { class: "lab-money-days" });
  const legend = h("ul", { class: "lab-money-legend" });
  const costs = table("Spent by day and backend", ["Day (UTC)", "Backend", "Pictures", "Spent"]);
  const whole = h("details", { class: "lab-folded" }, h("summary", {}, "As a table"), costs);
  const quiet = h("p", { class: "lab-empty" }, "Nothing was spent in the last 14 days.");
  const list = h("ul", { class: "lab-money-open" });
  const open = h("div", { hidden: true }, h("h3", { class: "lab-diag-under" }, "Not decided"), list);
  const damaged = h("div", { class: "lab-failure", hidden: true }, h("strong"), " ", h("span", {}, "They are left out. Look at them in data/ledger.jsonl; the log names each."));
  const node = panel("money", "Money", damaged, h("ul", { class: "lab-diag-tiles lab-money-tiles" }, today.node, left.node, credits.node, all.node), meter, bars, legend, quiet, whole, open, h("p", { class: "lab-muted lab-diag-note" }, "A day is a day of UTC. The budget is ORCHESTRATOR_BUDGET_PER_DAY, in .env.local."));

  const undecided = (each) => {
    const amount = `$${each.amount}`;
    const settle = (word, usd, question) => {
      const button = h("button", { class: "lab-button", type: "button" }, word);
      asking(button, () => question, () => model.send({ action: "settle", key: each.key, usd }));
      return button;
    };
    const what = each.underWay ? "Its job is under way: it is decided by itself." : "It was sent, and no answer came. Look at the usage at the service (api.bfl.ai), then say what it shows.";
    const buttons = each.underWay ? null : h("div", { class: "lab-money-buttons" }, settle(`Charged ${amount}`, each.amount, `Write down ${amount}?`), settle("Not charged", "0", "Write down $0.00?"));
    return h("li", {}, h("div", { class: "lab-diag-line" }, h("strong", {}, amount), h("span", { class: "lab-badge" }, each.backend), h("span", { class: "lab-muted" }, dayName(each.day)), h("code", { class: "lab-muted", title: each.job }, each.job.slice(0, 13))), h("p", {}, what), buttons);
  };
  const draw = (said) => {
    say(today.value, `$${said.spent}`);
    say(today.under, `of $${said.budget}${said.reserved === "0.00" ? "" : `, $${said.reserved} under way`}`);
    say(left.value, `$${said.left}`);
    say(left.under, said.left === "0.00" ? "paid jobs are held until tomorrow" : "of today's budget");
    left.node.dataset.state = said.left === "0.00" ? "bad" : "ok";
    say(credits.value, said.credits === null ? "–" : Number(said.credits).toLocaleString());
    say(credits.under, said.credits === null ? "no key, or no answer" : `about $${said.creditsUsd}`);
    say(all.value, `$${said.inAll}`);
    say(all.under, "since the ledger began");
    const [used, held] = said.shares;
    spent.style.width = `${100 * used}%`;
    reserved.style.width = `${100 * held}%`;
    meter.dataset.state = used + held >= 1 ? "bad" : used + held >= 0.8 ? "low" : "ok";
    meter.setAttribute("aria-label", `${Math.round(100 * (used + held))} % of today's budget is spent or under way`);

    const most = Math.max(...said.days.map((day) => day.usd), 0);
    const totals = new Map();
    for (const day of said.days) for (const part of day.parts) totals.set(part.backend, (totals.get(part.backend) || 0) + part.usd);
    const names = [...totals.keys()].sort((a, b) => totals.get(b) - totals.get(a));
    const shade = (name) => String(Math.min(names.indexOf(name), SHADES - 1));
    bars.replaceChildren(...said.days.map((day, index) => {
      const stack = h("div", { class: "lab-money-stack" }, ...day.parts.map((part) => {
        const piece = h("i", { title: `${part.backend}: $${part.amount}, ${many(part.pictures, "picture")}` });
        piece.dataset.shade = shade(part.backend);
        piece.style.height = `${(100 * part.usd) / day.usd}%`;
        return piece;
      }));
      stack.style.setProperty("--share", most ? day.usd / most : 0);
      const label = `${dayName(day.day)}: $${day.amount}`;
      return h("li", { title: label, "aria-label": label }, h("span", { class: "lab-money-amount" }, day.usd ? `$${day.usd.toFixed(2)}` : ""), stack, h("span", { class: "lab-money-day" }, index % 3 === 1 || index === said.days.length - 1 ? dayName(day.day) : ""));
    }));
    legend.replaceChildren(...names.map((name) => {
      const mark = h("i", { "aria-hidden": "true" });
      mark.dataset.shade = shade(name);
      return h("li", {}, mark, `${name} $${totals.get(name).toFixed(2)}`);
    }));
    const rows = [...said.days].reverse().flatMap((day) => day.parts.map((part) => line(dayName(day.day), h("td", {}, part.backend), part.pictures.toLocaleString(), `$${part.amount}`)));
    costs.fill(rows);
    for (const each of [bars, legend, whole]) show(each, most > 0);
    show(quiet, most === 0);
    list.replaceChildren(...said.undecided.map(undecided));
    show(open, said.undecided.length > 0);
    show(damaged, said.damaged > 0);
    say(damaged.firstElementChild, `${many(said.damaged, "line")} of the ledger ${said.damaged === 1 ? "makes" : "make"} no sense.`);
  };
  const fill = changed(draw);
  node.update = (said) => {
    show(node, Boolean(said.days));
    if (said.days) fill(said);
  };
  return node;
};

