// What widgets and sockets a node has, and which saved value belongs to which: by the plans that the kernel sends.
import { type Path, type Raw } from "./json";

export interface WidgetPlan {
  widget: string;
  kind: string;
  type?: string;
  default?: unknown;
  optional?: boolean;
  config?: Raw;
  choices?: unknown[];
  sent?: boolean;
  branches?: Record<string, Entry[]>;
}
export interface SocketPlan {
  socket: string;
  type: string;
  optional?: boolean;
  grows?: string[];
  least?: number;
}
export type Entry = WidgetPlan | SocketPlan;
export interface Plan {
  inputs: Entry[];
  outputs: string[];
  outputNames?: string[];
  title: string;
  category?: string;
  aliases?: string[];
  description?: string;
  isOutput?: boolean;
  deprecated?: boolean;
  module?: string;
  forced?: boolean[];
  rest?: string;
}
export type Plans = Record<string, Plan>;

export const isWidget = (entry: Entry): entry is WidgetPlan => "widget" in entry;

export interface Value {
  entry: WidgetPlan;
  value: unknown;
  at: number; // in widgets_values; -1 when it is only there by name
}

const EMPTY: unknown[] = [];
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

// The same reading as the kernel's (workflows/ui/values.py): by name where the file has names, else by place.
export const valuesOf = (node: Raw, plan: Plan): { values: Value[]; entries: Entry[] } => {
  const saved: unknown[] = Array.isArray(node.widgets_values) ? node.widgets_values : EMPTY;
  const named = { ...(isObject(node.widgets_values) ? node.widgets_values : {}), ...(isObject(node.widgets_values_named) ? node.widgets_values_named : {}) };
  const places = saved.map((_, at) => at);
  const kept = plan.forced?.some(Boolean) && plan.forced.length === saved.length ? places.filter((at) => !plan.forced![at]) : places;
  const values: Value[] = [];
  const entries: Entry[] = [];
  let next = 0;
  const read = (list: Entry[]) => {
    for (const entry of list) {
      entries.push(entry);
      if (!isWidget(entry)) continue;
      const at = next < kept.length ? kept[next] : kept.length === saved.length ? next : -1;
      next++;
      const has = at >= 0 && at < saved.length;
      let value = entry.widget in named ? named[entry.widget] : has ? saved[at] : undefined;
      if (value === undefined || value === null) value = entry.default;
      values.push({ entry, value, at });
      if (entry.branches && typeof value === "string" && value in entry.branches) read(entry.branches[value]);
    }
  };
  read(plan.inputs);
  if (plan.rest !== undefined)
    for (let number = 1; next <= saved.length; next++, number++) {
      const entry: WidgetPlan = { widget: `${plan.rest}${number}`, kind: "STRING", default: "" };
      entries.push(entry);
      values.push({ entry, value: saved[next] ?? "", at: next });
    }
  return { values, entries };
};

const fitsOne = (given: string, wanted: string) => given === wanted || given === "*" || wanted === "*" || given === "" || wanted === "" || given === "COMFY_MATCHTYPE_V3" || wanted === "COMFY_MATCHTYPE_V3";
export const fits = (given: string, wanted: string): boolean => {
  const left = String(given).toUpperCase().split(",");
  const right = String(wanted).toUpperCase().split(",");
  return left.some((a) => right.some((b) => fitsOne(a.trim(), b.trim())));
};

// The entries of a fresh node: the branches of its defaults, and of growing sockets the fewest.
const fresh = (list: Entry[]): Entry[] =>
  list.flatMap((entry): Entry[] => {
    if (!isWidget(entry)) return entry.grows ? entry.grows.slice(0, Math.max(1, (entry.least ?? 0) + 1)).map((name) => ({ socket: name, type: entry.type, optional: entry.optional })) : [entry];
    const chosen = entry.default;
    return entry.branches && typeof chosen === "string" ? [entry, ...fresh(entry.branches[chosen] ?? [])] : [entry];
  });

export const socketType = (entry: Entry): string => (isWidget(entry) ? entry.type || entry.kind : entry.type);

export const makeNode = (type: string, plan: Plan | undefined, id: number, pos: [number, number], order: number): Raw => {
  if (!plan) {
    const note = type === "Note" || type === "MarkdownNote";
    const reroute = type === "Reroute";
    return {
      id,
      type,
      pos,
      size: note ? [260, 120] : reroute ? [75, 26] : [210, 60],
      flags: {},
      order,
      mode: 0,
      inputs: reroute ? [{ name: "", type: "*", link: null }] : [],
      outputs: reroute ? [{ name: "", type: "*", links: [] }] : type === "PrimitiveNode" ? [{ name: "connect to widget input", type: "*", links: [] }] : [],
      properties: note ? {} : reroute ? { showOutputText: false, horizontal: false } : { "Run widget replace on values": false },
      widgets_values: note ? [""] : [],
      ...(note ? { color: "#432", bgcolor: "#653" } : {}),
    };
  }
  const entries = fresh(plan.inputs);
  const widgets = entries.filter(isWidget);
  const inputs = [
    ...entries.filter((entry): entry is SocketPlan => !isWidget(entry)).map((entry) => ({ name: entry.socket, type: entry.type, ...(entry.optional ? { shape: 7 } : {}), link: null })),
    ...widgets.filter((entry) => entry.sent !== false && entry.config?.socketless !== true).map((entry) => ({ name: entry.widget, type: socketType(entry), widget: { name: entry.widget }, link: null })),
  ];
  const names = plan.outputNames ?? plan.outputs;
  const outputs = plan.outputs.map((each, at) => ({ name: names[at] ?? each, type: each, links: [] }));
  const texts = widgets.filter((entry) => entry.config?.multiline).length;
  const rows = Math.max(inputs.length - widgets.filter((entry) => entry.sent !== false && entry.config?.socketless !== true).length, outputs.length);
  const height = 12 + rows * 20 + (widgets.length - texts) * 26 + texts * 110 + (plan.isOutput && /image/i.test(type) ? 200 : 0);
  return {
    id,
    type,
    pos,
    size: [texts ? 380 : plan.isOutput ? 300 : 270, height],
    flags: {},
    order,
    mode: 0,
    inputs,
    outputs,
    properties: { "Node name for S&R": type },
    widgets_values: widgets.map((entry) => entry.default ?? null),
  };
};

// Where a value is written: in the list, and by name where the file has names.
export const writeValue = (draft: { get(path: Path): Raw; set(path: Path, value: unknown): void }, nodePath: Path, values: Value[], which: number, value: unknown) => {
  const node = draft.get(nodePath);
  const { entry, at } = values[which];
  if (isObject(node.widgets_values_named) && entry.widget in node.widgets_values_named) draft.set([...nodePath, "widgets_values_named", entry.widget], value);
  if (isObject(node.widgets_values)) {
    draft.set([...nodePath, "widgets_values", entry.widget], value);
    return;
  }
  const saved: unknown[] = Array.isArray(node.widgets_values) ? node.widgets_values : [];
  if (at >= 0 && at < saved.length) {
    draft.set([...nodePath, "widgets_values", at], value);
    return;
  }
  const whole: unknown[] = values.map((each) => each.value ?? null);
  whole[which] = value;
  draft.set([...nodePath, "widgets_values"], whole);
};
