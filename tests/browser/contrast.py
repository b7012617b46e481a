"""How well the words of a page can be read."""

from __future__ import annotations

AA = 4.5

# the least contrast of any text on the page with what lies behind it, as WCAG defines it
CONTRAST = """() => {
  const numbers = (text) => {
    const parts = text.slice(text.indexOf("(") + 1, -1).replace("srgb", "").split(/[ ,/]+/).filter(Boolean).map(Number);
    const scale = text.startsWith("color(") ? 255 : 1;
    return [parts[0] * scale, parts[1] * scale, parts[2] * scale, parts[3] ?? 1];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const light = ([r, g, b]) => {
    const curve = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * curve(r) + 0.7152 * curve(g) + 0.0722 * curve(b);
  };
  let worst = [99, ""];
  for (const node of document.querySelectorAll(".lab-view *, .frame-top *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.matches(":disabled, option, .lab-hidden")) continue;
    const layers = [];
    for (let at = node; at; at = at.parentElement) layers.unshift(numbers(getComputedStyle(at).backgroundColor));
    const behind = layers.reduce((under, top) => over(top, under), [255, 255, 255, 1]);
    const ink = over(numbers(getComputedStyle(node).color), behind);
    const [high, low] = [light(ink), light(behind)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < worst[0]) worst = [ratio, `${node.tagName}.${node.className}: ${node.textContent.slice(0, 40)}`];
  }
  return worst;
}"""
