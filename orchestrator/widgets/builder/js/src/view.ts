// A node as it is drawn: its sockets and widgets, and where each of them stands. All sizes in pixels of the canvas.
import { get, type Path, type Raw } from "./json";
import { definitionOf, INPUTS, type Level, linksOf, nodesOf, OUTPUTS, positionOf, sizeOf } from "./graph";
import { type Entry, isWidget, type Plan, type Plans, socketType, valuesOf, type WidgetPlan } from "./plan";

export const TITLE = 30;
export const ROW = 20;
export const LINE = 26;
export const TEXT = 66;
const PAD = 6;

export interface Slot {
  handle: string;
  name: string;
  label: string;
  type: string;
  linked: boolean;
  optional: boolean;
  y: number;
}
export interface WidgetView {
  node: string; // whose value it is: that of an inner node, for a subgraph's host
  which: number;
  inside: string | null; // id of the definition the node stands in, when it is not of this level
  name: string;
  label: string;
  entry: WidgetPlan;
  value: unknown;
  handle: Slot | null;
  y: number;
  h: number;
}
export interface NodeView {
  id: string;
  raw: Raw;
  title: string;
  kind: "node" | "note" | "reroute" | "host" | "port" | "unknown" | "primitive";
  inputs: Slot[]; // without those of widgets
  outputs: Slot[];
  widgets: WidgetView[];
  x: number;
  y: number;
  w: number;
  h: number;
  collapsed: boolean;
  mode: number;
  color: string;
  shows: boolean; // pictures that come out of it
}

const words = (value: unknown) => (typeof value === "string" ? value : "");
const isText = (entry: WidgetPlan) => (entry.kind === "STRING" && Boolean(entry.config?.multiline)) || entry.kind === "MARKDOWN" || entry.kind === "TEXTAREA";
const COLOR = /^#[0-9a-f]{3,8}$/i;

const inputType = (raw: Raw) => (typeof raw?.type === "string" ? raw.type : raw?.type === 0 || raw?.type == null ? "*" : "COMBO");

const primitiveEntry = (node: Raw, level: Level, plans: Plans): WidgetPlan | null => {
  const link = linksOf(level.graph).find((each) => each.from === String(node.id));
  const target = link && nodesOf(level.graph).find((each) => String(each.id) === link.to);
  const input = target?.inputs?.[link!.toSlot];
  const plan = target && plans[target.type];
  if (!plan || !input) return null;
  const name = input.widget?.name ?? input.name;
  const entry = valuesOf(target, plan).entries.find((each) => isWidget(each) && each.widget === name);
  return entry && isWidget(entry) ? entry : null;
};

const plain = (name: string, value: unknown): WidgetPlan => ({
  widget: name,
  kind: typeof value === "number" ? "FLOAT" : typeof value === "boolean" ? "BOOLEAN" : "STRING",
  config: typeof value === "string" && (value.length > 60 || value.includes("\n")) ? { multiline: true } : {},
});

interface Found {
  entry: WidgetPlan;
  value: unknown;
  node: string;
  which: number;
  inside: string | null;
  label?: string;
}

// What a subgraph's host shows: widgets of nodes inside it.
const promoted = (doc: Raw, host: Raw, definition: Raw, plans: Plans, depth = 0): Found[] => {
  const said: Raw = host.properties?.proxyWidgets;
  const wanted: [string, string][] = Array.isArray(said) ? said.filter(Array.isArray).map((each: Raw) => [String(each[0]), String(each[1])]) : (definition.inputs ?? []).map((port: Raw) => ["-1", String(port.name)]);
  return wanted.flatMap(([ref, name]): Found[] => {
    let nodeId = ref;
    let widget = name;
    let label: string | undefined;
    if (ref === "-1") {
      const port = (definition.inputs ?? []).find((each: Raw) => each.name === name);
      label = port?.label;
      const links = linksOf(definition);
      const target = (port?.linkIds ?? [])
        .map((id: Raw) => links.find((each) => each.id === id))
        .map((link: Raw) => link && { node: nodesOf(definition).find((node) => String(node.id) === link.to), slot: link.toSlot })
        .find((each: Raw) => each?.node?.inputs?.[each.slot]?.widget);
      if (!target) return [];
      nodeId = String(target.node.id);
      widget = target.node.inputs[target.slot].widget.name;
    }
    const inner = nodesOf(definition).find((node) => String(node.id) === nodeId);
    if (!inner) return [];
    const nested = definitionOf(doc, inner.type);
    if (nested && depth < 8) return promoted(doc, inner, nested, plans, depth + 1).filter((each) => each.entry.widget === widget || each.label === widget).slice(0, 1);
    const plan = plans[inner.type];
    if (!plan) return [];
    const { values } = valuesOf(inner, plan);
    const which = values.findIndex((each) => each.entry.widget === widget);
    const port = (definition.inputs ?? []).find((each: Raw) => each.name === name);
    return which < 0 ? [] : [{ entry: values[which].entry, value: values[which].value, node: nodeId, which, inside: definition.id, label: label ?? port?.label }];
  });
};

const widgetsOf = (doc: Raw, node: Raw, level: Level, plans: Plans, plan: Plan | undefined): { found: Found[]; entries: Entry[] } => {
  const id = String(node.id);
  const own = (entry: WidgetPlan, value: unknown, which: number): Found => ({ entry, value, node: id, which, inside: null });
  const definition = definitionOf(doc, node.type);
  if (definition) return { found: promoted(doc, node, definition, plans), entries: [] };
  if (plan) {
    const { values, entries } = valuesOf(node, plan);
    return { found: values.map((each, which) => own(each.entry, each.value, which)), entries };
  }
  const saved: unknown[] = Array.isArray(node.widgets_values) ? node.widgets_values : [];
  if (node.type === "Note" || node.type === "MarkdownNote") return { found: [own({ widget: "text", kind: "STRING", config: { multiline: true } }, words(saved[0]), 0)], entries: [] };
  if (node.type === "PrimitiveNode") {
    const entry = primitiveEntry(node, level, plans);
    const control = { widget: "control_after_generate", kind: "COMBO", choices: ["fixed", "increment", "decrement", "randomize"] };
    return { found: saved.map((value, at) => own(at === 0 ? { ...(entry ?? plain("value", value)), widget: "value" } : at === 1 ? control : plain(`value ${at + 1}`, value), value, at)), entries: [] };
  }
  if (node.type === "Reroute") return { found: [], entries: [] };
  const names = (node.inputs ?? []).filter((each: Raw) => each?.widget).map((each: Raw) => each.widget.name ?? each.name);
  return { found: saved.map((value, at) => own(plain(saved.length === names.length ? names[at] : `value ${at + 1}`, value), value, at)), entries: [] };
};

const viewNode = (doc: Raw, node: Raw, level: Level, plans: Plans): NodeView => {
  const id = String(node.id);
  const plan = plans[node.type] as Plan | undefined;
  const definition = definitionOf(doc, node.type);
  const kind = definition ? "host" : node.type === "Note" || node.type === "MarkdownNote" ? "note" : node.type === "Reroute" ? "reroute" : node.type === "PrimitiveNode" ? "primitive" : plan ? "node" : "unknown";
  const [x, top] = positionOf(node);
  const [w, bodyHeight] = sizeOf(node);
  const { found, entries } = widgetsOf(doc, node, level, plans, plan);
  const widgetNames = new Set(kind === "host" ? [] : found.map((each) => each.entry.widget));
  const collapsed = Boolean(node.flags?.collapsed);

  const saved: Slot[] = (Array.isArray(node.inputs) ? node.inputs : []).map((each: Raw, at: number) => ({
    handle: `i${at}`,
    name: words(each?.widget?.name) || words(each?.name),
    label: words(each?.label) || words(each?.localized_name) || words(each?.name),
    type: inputType(each),
    linked: each?.link !== null && each?.link !== undefined,
    optional: each?.shape === 7,
    y: 0,
  }));
  const byWidget = new Map<string, Slot>();
  const inputs: Slot[] = [];
  saved.forEach((slot, at) => {
    const ofWidget = node.inputs[at]?.widget || (widgetNames.has(slot.name) && !entries.some((each) => !isWidget(each) && each.socket === slot.name));
    if (ofWidget && (widgetNames.has(slot.name) || kind === "host")) byWidget.set(slot.name, slot);
    else inputs.push(slot);
  });
  const names = new Set(saved.map((slot) => slot.name));
  for (const entry of entries) {
    const name = isWidget(entry) ? entry.widget : entry.socket;
    if (names.has(name)) continue;
    if (!isWidget(entry) && entry.grows) {
      const grown = entry.grows.filter((each) => names.has(each)).length;
      const free = entry.grows.find((each) => !names.has(each));
      if (free && (grown === 0 || !saved.some((slot) => entry.grows!.includes(slot.name) && !slot.linked))) inputs.push({ handle: `v:${free}`, name: free, label: free, type: entry.type, linked: false, optional: true, y: 0 });
      continue;
    }
    if (isWidget(entry) && (entry.sent === false || entry.config?.socketless === true)) continue;
    const slot: Slot = { handle: `v:${name}`, name, label: name, type: socketType(entry), linked: false, optional: Boolean(entry.optional), y: 0 };
    if (isWidget(entry)) byWidget.set(name, slot);
    else inputs.push(slot);
  }
  const outputs: Slot[] = (Array.isArray(node.outputs) && node.outputs.length ? node.outputs : (plan?.outputs ?? []).map((type) => ({ name: type, type }))).map((each: Raw, at: number) => ({
    handle: `o${at}`,
    name: words(each?.name),
    label: words(each?.label) || words(each?.localized_name) || words(each?.name),
    type: inputType(each),
    linked: Array.isArray(each?.links) && each.links.length > 0,
    optional: false,
    y: 0,
  }));

  // hosts: what has a widget on show is not drawn as a socket as well
  const shownWidgets = found.filter((each) => each.entry.kind !== "BUTTON");
  let widgets: WidgetView[] = shownWidgets.map((each) => {
    const slot = kind === "host" ? [...byWidget.values()].find((one) => one.name === each.entry.widget || one.label === each.label) ?? null : byWidget.get(each.entry.widget) ?? null;
    if (slot && kind === "host") byWidget.delete(slot.name);
    return { ...each, name: each.entry.widget, label: each.label || slot?.label || each.entry.widget, handle: slot, y: 0, h: LINE - 4 };
  });
  if (kind === "host") inputs.push(...byWidget.values());

  if (collapsed) {
    const title = titleOf(node, plan, definition);
    const width = Math.min(w, Math.max(90, title.length * 7.2 + 50));
    for (const slot of [...inputs, ...outputs]) slot.y = TITLE / 2;
    widgets = widgets.filter((each) => each.handle?.linked).map((each) => ({ ...each, handle: { ...each.handle!, y: TITLE / 2 } }));
    return { id, raw: node, title, kind, inputs, outputs, widgets, x, y: top - TITLE, w: width, h: TITLE, collapsed, mode: node.mode ?? 0, color: "", shows: false };
  }
  if (kind === "reroute") {
    for (const slot of [...inputs, ...outputs]) slot.y = 13;
    return { id, raw: node, title: words(node.title), kind, inputs: inputs.slice(0, 1), outputs: outputs.slice(0, 1), widgets: [], x, y: top, w: Math.max(50, Math.min(w, 90)), h: 26, collapsed: false, mode: node.mode ?? 0, color: "", shows: false };
  }
  inputs.forEach((slot, at) => (slot.y = TITLE + PAD + ROW * at + ROW / 2));
  outputs.forEach((slot, at) => (slot.y = TITLE + PAD + ROW * at + ROW / 2));
  const rows = Math.max(inputs.length, outputs.length);
  let at = TITLE + PAD + rows * ROW + (rows ? 2 : 0);
  const texts = widgets.filter((each) => isText(each.entry));
  const lines = widgets.length - texts.length;
  const wants = at + lines * LINE + PAD;
  const h = Math.max(TITLE + bodyHeight, wants + texts.length * (TEXT + 4));
  const textHeight = texts.length ? Math.floor((h - wants) / texts.length) - 4 : 0;
  for (const widget of widgets) {
    widget.y = at;
    widget.h = isText(widget.entry) ? textHeight : LINE - 4;
    if (widget.handle) widget.handle = { ...widget.handle, y: at + Math.min(widget.h, LINE - 4) / 2 };
    at += widget.h + 4;
  }
  return {
    id,
    raw: node,
    title: titleOf(node, plan, definition),
    kind,
    inputs,
    outputs,
    widgets,
    x,
    y: top - TITLE,
    w: Math.max(w, 120),
    h,
    collapsed,
    mode: node.mode ?? 0,
    color: COLOR.test(words(node.bgcolor)) ? node.bgcolor : COLOR.test(words(node.color)) ? node.color : "",
    shows: Boolean(plan?.isOutput) && h - at > 60,
  };
};

const titleOf = (node: Raw, plan: Plan | undefined, definition: Raw) => words(node.title) || (definition ? words(definition.name) : "") || plan?.title || (node.type === "MarkdownNote" ? "Note" : words(node.type)) || "Node";

const portView = (graph: Raw, id: string): NodeView => {
  const isIn = id === INPUTS;
  const list: Raw[] = (isIn ? graph.inputs : graph.outputs) ?? [];
  const box = (isIn ? graph.inputNode : graph.outputNode)?.bounding ?? [0, 0, 120, 60];
  const slots: Slot[] = list.map((each, at) => ({ handle: `${isIn ? "o" : "i"}${at}`, name: words(each?.name), label: words(each?.label) || words(each?.name), type: inputType(each), linked: Boolean(each?.linkIds?.length), optional: false, y: TITLE + PAD + ROW * at + ROW / 2 }));
  return {
    id,
    raw: graph,
    title: isIn ? "Inputs" : "Outputs",
    kind: "port",
    inputs: isIn ? [] : slots,
    outputs: isIn ? slots : [],
    widgets: [],
    x: Number(box[0]) || 0,
    y: Number(box[1]) || 0,
    w: Math.max(130, Number(box[2]) || 0),
    h: Math.max(TITLE + PAD * 2 + ROW * Math.max(1, slots.length), Number(box[3]) || 0),
    collapsed: false,
    mode: 0,
    color: "",
    shows: false,
  };
};

// Views are kept as long as what they show is the same: the node, its class, and for hosts and primitives all of it.
export class Views {
  private known = new Map<string, { raw: Raw; extra: Raw; plans: Plans; view: NodeView }>();

  of(doc: Raw, level: Level, plans: Plans): NodeView[] {
    const prefix = level.base.join("/");
    const one = (raw: Raw, extra: Raw, key: string, make: () => NodeView) => {
      const old = this.known.get(key);
      if (old && old.raw === raw && old.extra === extra && old.plans === plans) return old.view;
      const view = make();
      this.known.set(key, { raw, extra, plans, view });
      return view;
    };
    const seen = new Set<string>();
    const made = nodesOf(level.graph).flatMap((node) => {
      if (!node || typeof node !== "object" || seen.has(String(node.id))) return [];
      seen.add(String(node.id));
      const extra = definitionOf(doc, node.type) ? doc.definitions : node.type === "PrimitiveNode" ? level.graph : null;
      return [one(node, extra, `${prefix}:${node.id}`, () => viewNode(doc, node, level, plans))];
    });
    if (level.isRoot) return made;
    return [...made, ...[INPUTS, OUTPUTS].map((id) => one(level.graph, null, `${prefix}:${id}`, () => portView(level.graph, id)))];
  }
}

export const valueAt = (doc: Raw, path: Path) => get(doc, path);

// The colour of a type: the same everywhere, and far from those of its neighbours.
const KNOWN: Record<string, string> = {
  MODEL: "#8f7bea",
  CLIP: "#d9a900",
  VAE: "#e5534b",
  CONDITIONING: "#e08a2b",
  LATENT: "#e05fb0",
  IMAGE: "#4a90e2",
  MASK: "#57a773",
  INT: "#2aa198",
  FLOAT: "#58a55c",
  STRING: "#7c9a3d",
  BOOLEAN: "#b8785a",
  COMBO: "#8a8f98",
  CONTROL_NET: "#12a5a5",
  CLIP_VISION: "#7aa7c7",
  AUDIO: "#c06cd8",
  VIDEO: "#4f6bd8",
  NOISE: "#909090",
  GUIDER: "#50b4c8",
  SAMPLER: "#a7b43a",
  SIGMAS: "#9ac55a",
  "*": "#8a8f98",
};
const hues = new Map<string, string>();
export const typeColor = (type: string): string => {
  const known = KNOWN[type];
  if (known) return known;
  let color = hues.get(type);
  if (!color) {
    let sum = 7;
    for (const letter of type) sum = (sum * 31 + letter.charCodeAt(0)) >>> 0;
    color = `hsl(${sum % 360} 52% 55%)`;
    hues.set(type, color);
  }
  return color;
};
