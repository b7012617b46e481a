// Looking into the document: levels, nodes, links; and the commands that change them.
import { Draft, type Path, type Raw } from "./json";
import { fits, isWidget, makeNode, type Plans, socketType, valuesOf, writeValue } from "./plan";
import { forgetWay } from "./reroutes";

export interface Level {
  base: Path; // where the graph stands in the document
  graph: Raw;
  isRoot: boolean;
  names: string[]; // of the hosts that were entered
}
export interface Link {
  id: Raw;
  from: string;
  fromSlot: number;
  to: string;
  toSlot: number;
  type: string;
}
export const INPUTS = "-10";
export const OUTPUTS = "-20";
export const VIRTUAL = ["Note", "MarkdownNote", "Reroute", "PrimitiveNode"];

export const nodesOf = (graph: Raw): Raw[] => (Array.isArray(graph?.nodes) ? graph.nodes : []);
export const definitions = (doc: Raw): Raw[] => (Array.isArray(doc?.definitions?.subgraphs) ? doc.definitions.subgraphs : []);
export const definitionOf = (doc: Raw, type: string): Raw => definitions(doc).find((each) => each?.id === type);

// The level that ids of hosts lead to; as far as they lead.
export const levelAt = (doc: Raw, path: string[]): Level => {
  let level: Level = { base: [], graph: doc, isRoot: true, names: [] };
  for (const id of path) {
    const host = nodesOf(level.graph).find((node) => String(node.id) === id);
    const at = host ? definitions(doc).findIndex((each) => each?.id === host.type) : -1;
    if (at < 0) break;
    const graph = definitions(doc)[at];
    level = { base: ["definitions", "subgraphs", at], graph, isRoot: false, names: [...level.names, host.title || graph.name || "Subgraph"] };
  }
  return level;
};

const linkCache = new WeakMap<object, Link[]>();
export const linksOf = (graph: Raw): Link[] => {
  const raw = graph?.links;
  if (!raw || typeof raw !== "object") return [];
  let made = linkCache.get(raw);
  if (!made) {
    made = (Array.isArray(raw) ? raw : Object.values(raw)).flatMap((each: Raw): Link[] => {
      if (Array.isArray(each)) return [{ id: each[0], from: String(each[1]), fromSlot: each[2] | 0, to: String(each[3]), toSlot: each[4] | 0, type: String(each[5] ?? "*") }];
      if (!each || typeof each !== "object") return [];
      return [{ id: each.id, from: String(each.origin_id), fromSlot: each.origin_slot | 0, to: String(each.target_id), toSlot: each.target_slot | 0, type: String(each.type ?? "*") }];
    });
    linkCache.set(raw, made);
  }
  return made;
};

export const positionOf = (node: Raw): [number, number] => {
  const pos = node.pos ?? [0, 0];
  return [Number(pos[0]) || 0, Number(pos[1]) || 0];
};
export const sizeOf = (node: Raw): [number, number] => {
  const size = node.size ?? [210, 60];
  return [Math.max(60, Number(size[0]) || 210), Math.max(0, Number(size[1]) || 0)];
};

// ---------------------------------------------------------------------------------------------------- commands

export class Editor extends Draft {
  constructor(
    doc: Raw,
    private path: string[],
    public plans: Plans,
  ) {
    super(doc);
  }

  get level(): Level {
    return levelAt(this.doc, this.path);
  }

  node(id: string): { node: Raw; at: Path } | null {
    const { base, graph } = this.level;
    const index = nodesOf(graph).findIndex((node) => String(node.id) === id);
    return index < 0 ? null : { node: graph.nodes[index], at: [...base, "nodes", index] };
  }

  // ---- ids

  private nextNode(): number {
    let most = Number(this.doc.last_node_id) || 0;
    for (const graph of [this.doc, ...definitions(this.doc)]) {
      most = Math.max(most, Number(graph.state?.lastNodeId) || 0);
      for (const node of nodesOf(graph)) if (Number.isSafeInteger(Number(node.id))) most = Math.max(most, Number(node.id));
    }
    return most + 1;
  }

  private noteNode(id: number) {
    this.set(["last_node_id"], id);
    const { base, graph, isRoot } = this.level;
    if (!isRoot && graph.state) this.set([...base, "state", "lastNodeId"], id);
  }

  private nextLink(): number {
    const { graph, isRoot } = this.level;
    const noted = Number(isRoot ? this.doc.last_link_id ?? this.doc.state?.lastLinkId : graph.state?.lastLinkId) || 0;
    return Math.max(noted, ...linksOf(graph).map((link) => Number(link.id) || 0)) + 1;
  }

  private noteLink(id: number) {
    const { base, graph, isRoot } = this.level;
    if (isRoot) this.set(this.doc.last_link_id === undefined && this.doc.state ? ["state", "lastLinkId"] : ["last_link_id"], id);
    else if (graph.state) this.set([...base, "state", "lastLinkId"], id);
  }

  // ---- nodes

  addNode(type: string, pos: [number, number]): string {
    const id = this.nextNode();
    const { base, graph } = this.level;
    const definition = definitionOf(this.doc, type);
    const made = makeNode(type, this.plans[type], id, [Math.round(pos[0]), Math.round(pos[1])], nodesOf(graph).length);
    if (definition) {
      made.inputs = (definition.inputs ?? []).map((port: Raw) => ({ name: port.name, type: port.type, ...(port.label ? { label: port.label } : {}), link: null }));
      made.outputs = (definition.outputs ?? []).map((port: Raw) => ({ name: port.name, type: port.type, links: [] }));
    }
    this.push([...base, "nodes"], made);
    this.noteNode(id);
    return String(id);
  }

  removeNodes(ids: Set<string>) {
    for (const link of linksOf(this.level.graph)) if (ids.has(link.from) || ids.has(link.to)) this.removeLink(link.id);
    for (let at = nodesOf(this.level.graph).length - 1; at >= 0; at--) if (ids.has(String(this.level.graph.nodes[at].id))) this.remove([...this.level.base, "nodes", at]);
  }

  move(id: string, x: number, y: number) {
    const found = this.node(id);
    if (!found) return this.movePort(id, x, y);
    const pos = [Math.round(x), Math.round(y)];
    const old = positionOf(found.node);
    if (old[0] !== pos[0] || old[1] !== pos[1]) this.set([...found.at, "pos"], pos);
  }

  private movePort(id: string, x: number, y: number) {
    const key = id === INPUTS ? "inputNode" : "outputNode";
    const box = this.level.graph[key]?.bounding;
    if ((id === INPUTS || id === OUTPUTS) && Array.isArray(box)) this.set([...this.level.base, key, "bounding"], [Math.round(x), Math.round(y), box[2], box[3]]);
  }

  // ---- links

  removeLink(id: Raw) {
    const { base, graph } = this.level;
    const entries: Raw[] = Array.isArray(graph.links) ? graph.links : [];
    const index = entries.findIndex((each) => (Array.isArray(each) ? each[0] : each?.id) === id);
    if (index < 0) return;
    const link = linksOf(graph)[linksOf(graph).findIndex((each) => each.id === id)];
    this.remove([...base, "links", index]);
    this.forget(link.from, "outputs", link.fromSlot, id);
    this.forget(link.to, "inputs", link.toSlot, id);
    forgetWay(this, base, id);
  }

  private forget(nodeId: string, side: "inputs" | "outputs", slot: number, id: Raw) {
    const { base, graph } = this.level;
    const port = nodeId === INPUTS ? "inputs" : nodeId === OUTPUTS ? "outputs" : null;
    if (port && !this.level.isRoot) {
      const list: Raw[] = graph[port]?.[slot]?.linkIds;
      const at = Array.isArray(list) ? list.indexOf(id) : -1;
      if (at >= 0) this.remove([...base, port, slot, "linkIds", at]);
      return;
    }
    const found = this.node(nodeId);
    if (!found) return;
    if (side === "inputs") {
      const at = (found.node.inputs ?? []).findIndex((each: Raw) => each?.link === id);
      if (at >= 0) this.set([...found.at, "inputs", at, "link"], null);
    } else {
      const list = found.node.outputs?.[slot]?.links;
      const at = Array.isArray(list) ? list.indexOf(id) : -1;
      if (at >= 0) this.remove([...found.at, "outputs", slot, "links", at]);
    }
  }

  typeOut(nodeId: string, slot: number): string {
    if (nodeId === INPUTS) return this.level.graph.inputs?.[slot]?.type ?? "*";
    return this.node(nodeId)?.node.outputs?.[slot]?.type ?? "*";
  }

  // The number of an input, which is written down first when the file leaves it out.
  private slotOf(nodeId: string, handle: string): number {
    if (!handle.startsWith("v:")) return Number(handle.slice(1));
    const name = handle.slice(2);
    const found = this.node(nodeId)!;
    const plan = this.plans[found.node.type];
    const entry = plan ? valuesOf(found.node, plan).entries.find((each) => (isWidget(each) ? each.widget : each.socket) === name) : undefined;
    const widget = entry && isWidget(entry) ? { widget: { name } } : {};
    const grown = plan?.inputs.find((each) => !isWidget(each) && each.grows?.includes(name));
    this.push([...found.at, "inputs"], { name, type: entry ? socketType(entry) : grown ? socketType(grown) : "*", ...widget, link: null });
    return this.node(nodeId)!.node.inputs.length - 1;
  }

  connect(from: string, fromSlot: number, to: string, handle: string): boolean {
    const { base, isRoot } = this.level;
    const type = this.typeOut(from, fromSlot);
    const slot = this.slotOf(to, handle);
    const target = to === OUTPUTS ? this.level.graph.outputs?.[slot] : this.node(to)?.node.inputs?.[slot];
    if (!target || !fits(type, target.type ?? "*")) return false;
    if (to === OUTPUTS) for (const id of target.linkIds ?? []) this.removeLink(id);
    else if (target.link !== null && target.link !== undefined) this.removeLink(target.link);
    const id = this.nextLink();
    const a = this.rawId(from);
    const b = this.rawId(to);
    const kind = type === "*" ? target.type ?? "*" : type;
    const objects = !isRoot || (Array.isArray(this.doc.links) && this.doc.links.length > 0 && !Array.isArray(this.doc.links[0]));
    this.push([...base, "links"], objects ? { id, origin_id: a, origin_slot: fromSlot, target_id: b, target_slot: slot, type: kind } : [id, a, fromSlot, b, slot, kind]);
    this.noteLink(id);
    if (from === INPUTS) this.push([...base, "inputs", fromSlot, "linkIds"], id);
    else this.push([...this.node(from)!.at, "outputs", fromSlot, "links"], id);
    if (to === OUTPUTS) this.push([...base, "outputs", slot, "linkIds"], id);
    else this.set([...this.node(to)!.at, "inputs", slot, "link"], id);
    this.settle(from, to, kind);
    this.grow(to, slot);
    return true;
  }

  // A reroute and a primitive take the type of what they are linked to.
  private settle(from: string, to: string, kind: string) {
    const source = this.node(from);
    if (source && (source.node.type === "Reroute" || source.node.type === "PrimitiveNode") && source.node.outputs?.[0]?.type === "*") {
      this.set([...source.at, "outputs", 0, "type"], kind);
      const link = linksOf(this.level.graph).find((each) => each.from === from);
      const input = link ? this.node(to)?.node.inputs?.[link.toSlot] : null;
      if (source.node.type === "PrimitiveNode" && input?.widget && !source.node.widgets_values?.length) {
        const target = this.node(to)!.node;
        const plan = this.plans[target.type];
        const held = plan && valuesOf(target, plan).values.find((each) => each.entry.widget === input.widget.name);
        if (held) this.set([...source.at, "widgets_values"], held.entry.kind === "INT" || held.entry.kind === "FLOAT" || held.entry.kind === "COMBO" ? [held.value, "fixed"] : [held.value]);
      }
    }
    const target = this.node(to);
    if (target?.node.type === "Reroute" && target.node.outputs?.[0]?.type === "*") this.set([...target.at, "outputs", 0, "type"], kind);
  }

  // The next socket of a row that grows.
  private grow(nodeId: string, slot: number) {
    const found = this.node(nodeId);
    const plan = found && this.plans[found.node.type];
    if (!found || !plan) return;
    const name = found.node.inputs[slot].name;
    const socket = plan.inputs.find((each) => !isWidget(each) && each.grows?.includes(name));
    if (!socket || isWidget(socket) || !socket.grows) return;
    const next = socket.grows[socket.grows.indexOf(name) + 1];
    if (next && !found.node.inputs.some((each: Raw) => each.name === next)) this.push([...found.at, "inputs"], { name: next, type: socket.type, shape: 7, link: null });
  }

  private rawId(id: string): Raw {
    if (id === INPUTS || id === OUTPUTS) return Number(id);
    return this.node(id)!.node.id;
  }

  // ---- values and looks

  setValue(id: string, which: number, value: unknown) {
    const found = this.node(id);
    if (!found) return;
    const plan = this.plans[found.node.type];
    if (plan) {
      const before = valuesOf(found.node, plan).values;
      writeValue(this, found.at, before, which, value);
      if (before[which].entry.branches) this.rebranch(id, before, which, value);
    } else if (Array.isArray(found.node.widgets_values) && which < found.node.widgets_values.length) this.set([...found.at, "widgets_values", which], value);
    else this.set([...found.at, "widgets_values"], [...(found.node.widgets_values ?? []), ...Array(Math.max(0, which - (found.node.widgets_values?.length ?? 0))).fill(null), value]);
  }

  // Another branch has other values: those before and after it are kept, its own begin with their defaults.
  private rebranch(id: string, before: ReturnType<typeof valuesOf>["values"], which: number, chosen: unknown) {
    const { node, at } = this.node(id)!;
    if (!Array.isArray(node.widgets_values)) return;
    const plan = this.plans[node.type];
    const kept = new Map(before.map((each) => [each.entry.widget, each.value]));
    kept.set(before[which].entry.widget, chosen);
    const blank = { ...node, widgets_values: [], widgets_values_named: Object.fromEntries(kept) };
    const after = valuesOf(blank, plan);
    this.set([...at, "widgets_values"], after.values.map((each) => each.value ?? null));
    if (node.widgets_values_named) this.set([...at, "widgets_values_named"], Object.fromEntries(after.values.map((each) => [each.entry.widget, each.value ?? null])));
    const wanted = after.entries.filter((each) => !isWidget(each) || each.sent !== false).map((each) => (isWidget(each) ? each.widget : each.socket));
    const prefix = `${before[which].entry.widget}.`;
    const inputs: Raw[] = node.inputs ?? [];
    for (let slot = inputs.length - 1; slot >= 0; slot--) {
      const name = String(inputs[slot].name);
      if (!name.startsWith(prefix) || wanted.includes(name) || inputs[slot].link != null) continue;
      this.remove([...at, "inputs", slot]);
      this.shiftSlots(id, slot);
    }
  }

  private shiftSlots(id: string, gone: number) {
    const { base, graph } = this.level;
    linksOf(graph).forEach((link, index) => {
      if (link.to !== id || link.toSlot <= gone) return;
      const raw = graph.links[index];
      this.set([...base, "links", index, Array.isArray(raw) ? 4 : "target_slot"], link.toSlot - 1);
    });
  }

  toggleMode(ids: Set<string>, mode: number) {
    const nodes = [...ids].map((id) => this.node(id)).filter((each) => each !== null);
    const on = nodes.some(({ node }) => (node.mode ?? 0) !== mode);
    for (const { node, at } of nodes) if ((node.mode ?? 0) !== (on ? mode : 0)) this.set([...at, "mode"], on ? mode : 0);
  }

  toggleCollapsed(ids: Set<string>) {
    for (const id of ids) {
      const found = this.node(id);
      if (!found) continue;
      if (!found.node.flags || typeof found.node.flags !== "object") this.set([...found.at, "flags"], { collapsed: true });
      else if (found.node.flags.collapsed) this.remove([...found.at, "flags", "collapsed"]);
      else this.set([...found.at, "flags", "collapsed"], true);
    }
  }

  rename(id: string, title: string) {
    const found = this.node(id);
    if (found) this.set([...found.at, "title"], title);
  }

  addGroup(box: [number, number, number, number], title: string) {
    const { base, graph } = this.level;
    const groups: Raw[] = Array.isArray(graph.groups) ? graph.groups : [];
    const id = Math.max(0, ...groups.map((each) => Number(each?.id) || 0)) + 1;
    this.push([...base, "groups"], { id, title, bounding: box.map(Math.round), color: "#3f789e", font_size: 24, flags: {} });
  }

  // ---- copy and paste

  paste(clip: Raw, dx: number, dy: number): string[] {
    const ids = new Map<string, string>();
    for (const definition of clip.subgraphs ?? []) {
      if (!definition?.id || definitionOf(this.doc, definition.id)) continue;
      if (!this.doc.definitions) this.set(["definitions"], { subgraphs: [] });
      this.push(["definitions", "subgraphs"], definition);
    }
    for (const node of nodesOf(clip)) {
      if (typeof node?.type !== "string") continue;
      const id = this.nextNode();
      const [x, y] = positionOf(node);
      const copy = {
        ...node,
        id,
        pos: [Math.round(x + dx), Math.round(y + dy)],
        inputs: (node.inputs ?? []).map((each: Raw) => ({ ...each, link: null })),
        outputs: (node.outputs ?? []).map((each: Raw) => ({ ...each, links: [] })),
      };
      this.push([...this.level.base, "nodes"], copy);
      this.noteNode(id);
      ids.set(String(node.id), String(id));
    }
    for (const link of linksOf(clip)) {
      const from = ids.get(link.from);
      const to = ids.get(link.to);
      if (from && to && this.node(from)!.node.outputs?.[link.fromSlot] && this.node(to)!.node.inputs?.[link.toSlot]) this.connect(from, link.fromSlot, to, `i${link.toSlot}`);
    }
    for (const group of clip.groups ?? []) {
      const box = group?.bounding;
      if (Array.isArray(box)) this.push([...this.level.base, "groups"], { ...group, bounding: [box[0] + dx, box[1] + dy, box[2], box[3]] });
    }
    return [...ids.values()];
  }
}

export const CLIP = "orchestrator-nodes";

export const clipOf = (doc: Raw, level: Level, ids: Set<string>): Raw => {
  const nodes = nodesOf(level.graph).filter((node) => ids.has(String(node.id)));
  const wanted = new Set<string>();
  const collect = (list: Raw[]) => {
    for (const node of list) {
      const definition = definitionOf(doc, node.type);
      if (!definition || wanted.has(definition.id)) continue;
      wanted.add(definition.id);
      collect(nodesOf(definition));
    }
  };
  collect(nodes);
  const groups = (level.graph.groups ?? []).filter((_: Raw, at: number) => ids.has(`group:${at}`));
  return {
    [CLIP]: 1,
    nodes,
    links: linksOf(level.graph)
      .filter((link) => ids.has(link.from) && ids.has(link.to))
      .map((link) => [link.id, link.from, link.fromSlot, link.to, link.toSlot, link.type]),
    groups,
    subgraphs: definitions(doc).filter((each) => wanted.has(each.id)),
  };
};
