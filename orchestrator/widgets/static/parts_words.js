// Numbers, prices and addresses of the search for components. Everything that comes from outside is only ever text.

const GROUPS = new Intl.NumberFormat("en");

const pieces = (count) => (count === null || count === undefined ? "–" : GROUPS.format(count));

// A unit price: two places, and as many more as a cheap part needs for three digits that count.
const price = (amount) => {
  const value = Number(amount);
  if (!Number.isFinite(value)) return "–";
  const places = value >= 1 || value === 0 ? 2 : Math.min(8, 2 - Math.floor(Math.log10(value)));
  return value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: places });
};

// What is paid: cents, unless it is less than some.
const money = (amount) => (Number(amount) >= 0.1 ? Number(amount).toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 }) : price(amount));

const seconds = (ms) => (ms === null || ms === undefined ? "" : ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`);

// The address if a browser may follow it, else null: a javascript: address among datasheets would run here.
const webAddress = (text) => {
  try {
    const url = new URL(text);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
};

const link = (address, text, props = {}) => {
  const href = webAddress(address);
  return href ? h("a", { class: "parts-link", href, target: "_blank", rel: "noopener noreferrer", referrerPolicy: "no-referrer", ...props }, text) : null;
};

// A sentence of ours in which a site is named (`shop.com/api`), with the site as a link.
const withSites = (text) => {
  const nodes = [];
  let rest = text || "";
  for (let found; (found = /\b(?:[a-z0-9-]+\.)+(?:com|eu|org|net|ru)(?:\/[\w./-]*\w)?/.exec(rest)); ) {
    nodes.push(rest.slice(0, found.index), link(`https://${found[0]}`, found[0]));
    rest = rest.slice(found.index + found[0].length);
  }
  return [...nodes, rest];
};

// `4.7 kΩ`, `±1%`, `4k7`, `0,1 µF` as a number and the unit it is in; null for what is no single amount.
const POWERS = { p: 1e-12, n: 1e-9, u: 1e-6, µ: 1e-6, μ: 1e-6, m: 1e-3, "": 1, k: 1e3, K: 1e3, M: 1e6, G: 1e9 };
const amount = (text) => {
  const said = String(text).trim().replace(/^[±+]\s*/, "").replace(/^(-?\d+)\s*([kKMGpnuµμmR])(\d+)$/, (_, a, unit, b) => `${a}.${b} ${unit === "R" ? "" : unit}`);
  const found = /^(-?\d+(?:[.,]\d+)?)\s*([pnuµμmkKMG]?)([^\d\s]{0,8})$/.exec(said);
  if (!found) return null;
  let [, digits, power, unit] = found;
  if (power === "m" && unit === "m") [power, unit] = ["", "mm"]; // millimetres are a unit of their own here
  return { value: Number(digits.replace(",", ".")) * POWERS[power], unit };
};

const shortAmount = (value, unit) => {
  const steps = [["G", 1e9], ["M", 1e6], ["k", 1e3], ["", 1], ["m", 1e-3], ["µ", 1e-6], ["n", 1e-9], ["p", 1e-12]];
  const plain = unit === "%" || unit === "mm" || unit === "" || value === 0;
  const [sign, power] = plain ? ["", 1] : steps.find(([, each]) => Math.abs(value) >= each * 0.9999) || steps.at(-1);
  return `${Number((value / power).toPrecision(4))} ${sign}${unit}`.trim();
};

const LIFE = {
  new: ["New", "ok"],
  active: ["Active", "ok"],
  nrnd: ["Not for new designs", "wait"],
  last_buy: ["Last buy", "bad"],
  obsolete: ["Obsolete", "bad"],
  unknown: ["", ""],
};
const life = (name) => {
  const [text, tone] = LIFE[name] || ["", ""];
  return text ? h("span", { class: `lab-badge parts-${tone}` }, text) : h("span", { class: "lab-muted" }, "–");
};

// A file that the kernel made, saved by the browser.
const saveFile = (name, mime, bytes) => {
  const url = URL.createObjectURL(new Blob([bytes], { type: mime }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
};

const nameOf = (word) => word.replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase());
