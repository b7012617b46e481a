// A subgraph's own sockets: they stand in its definition, and on every node of every level that stands for it.
import { definitionOf, definitions, Editor, INPUTS, nodesOf, OUTPUTS } from "./graph";
import type { Path, Raw } from "./json";

export type Side = "inputs" | "outputs";
export const sideOf = (port: string): Side | null => (port === INPUTS ? "inputs" : port === OUTPUTS ? "outputs" : null);

// Some way into a definition, from the root; none where nothing stands for it.
export const hostPath = (doc: Raw, definition: string): string[] | null => {
  const search = (graph: Raw, depth: number): string[] | null => {
    if (depth > 20) return null;
    for (const node of nodesOf(graph)) {
      const inner = definitionOf(doc, node.type);
      if (!inner) continue;
      if (inner.id === definition) return [String(node.id)];
      const deeper = search(inner, depth + 1);
      if (deeper) return [String(node.id), ...deeper];
    }
    return null;
  };
  return search(doc, 0);
};

// Does something to every node that stands for the definition, with an editor of the level it is on.
const withHosts = (editor: Editor, definition: string, act: (level: Editor, id: string) => void) => {
  const levels: string[][] = [[]];
  for (const each of definitions(editor.doc)) {
    const way = hostPath(editor.doc, each.id);
    if (way) levels.push(way);
  }
  for (const way of levels) {
    const level = new Editor(editor.doc, way, editor.plans);
    for (const node of nodesOf(level.level.graph)) if (node.type === definition) act(level, String(node.id));
    editor.adopt(level);
  }
};

const blank = (side: Side, port: Raw): Raw => ({ name: port.name, type: port.type, ...(port.label ? { label: port.label } : {}), ...(side === "inputs" ? { link: null } : { links: [] }) });

// Returns the number of the new socket.
export const addPort = (editor: Editor, side: Side, wanted: string, type: string): number => {
  const { base, graph } = editor.level;
  const list: Raw[] = graph[side] ?? [];
  const names = new Set(list.map((each) => each?.name));
  let name = wanted || type.toLowerCase();
  for (let number = 1; names.has(name); number++) name = `${wanted || type.toLowerCase()}_${number}`;
  const port = { id: crypto.randomUUID?.() ?? `${graph.id}-${side}-${list.length}-${name}`, name, type, linkIds: [] };
  editor.push([...base, side], port);
  withHosts(editor, graph.id, (level, id) => level.push([...level.node(id)!.at, side], blank(side, port)));
  return list.length;
};

// Its name stays, because values and links of other files go by it; what is shown changes.
export const renamePort = (editor: Editor, side: Side, slot: number, label: string) => {
  const { base, graph } = editor.level;
  const { name } = graph[side][slot];
  editor.set([...base, side, slot, "label"], label);
  withHosts(editor, graph.id, (level, id) => {
    const { node, at } = level.node(id)!;
    const index = side === "outputs" ? slot : placeOf(node, name);
    if (node[side]?.[index]) level.set([...at, side, index, "label"], label);
  });
};

const placeOf = (node: Raw, name: string): number => (node.inputs ?? []).findIndex((each: Raw) => each?.name === name);

export const removePort = (editor: Editor, side: Side, slot: number) => {
  const { base, graph } = editor.level;
  const port = graph[side][slot];
  for (const id of [...(port.linkIds ?? [])]) editor.removeLink(id);
  const [node, place] = side === "inputs" ? [INPUTS, "origin_slot"] : [OUTPUTS, "target_slot"];
  shift(editor, [...base, "links"], side === "inputs" ? "origin_id" : "target_id", place, node, slot);
  editor.remove([...base, side, slot]);
  withHosts(editor, graph.id, (level, id) => {
    const { node: host, at } = level.node(id)!;
    const index = side === "outputs" ? slot : placeOf(host, port.name);
    const socket = host[side]?.[index];
    if (!socket) return;
    for (const link of side === "outputs" ? [...(socket.links ?? [])] : socket.link == null ? [] : [socket.link]) level.removeLink(link);
    const links = [...level.level.base, "links"];
    if (side === "outputs") shift(level, links, "origin_id", "origin_slot", id, index);
    else shift(level, links, "target_id", "target_slot", id, index);
    level.remove([...at, side, index]);
    if (side === "inputs") hide(level, at, port.name);
  });
};

// Links beyond a socket that is gone lead to the one before.
const shift = (editor: Editor, links: Path, end: "origin_id" | "target_id", place: string, node: string, gone: number) => {
  const list: Raw = editor.get(links);
  if (!Array.isArray(list)) return;
  const [endAt, placeAt] = end === "origin_id" ? [1, 2] : [3, 4];
  list.forEach((link, index) => {
    const isList = Array.isArray(link);
    const slot = isList ? link[placeAt] : link?.[place];
    if (String(isList ? link[endAt] : link?.[end]) === node && slot > gone) editor.set([...links, index, isList ? placeAt : place], slot - 1);
  });
};

// A widget that the node showed for the socket goes, with the value that is kept for it.
const hide = (editor: Editor, at: Path, name: string) => {
  const node = editor.get(at);
  const said: Raw = node.properties?.proxyWidgets;
  const index = Array.isArray(said) ? said.findIndex((each) => Array.isArray(each) && String(each[0]) === "-1" && each[1] === name) : -1;
  if (index < 0) return;
  if (Array.isArray(node.widgets_values) && node.widgets_values.length === said.length) editor.remove([...at, "widgets_values", index]);
  editor.remove([...at, "properties", "proxyWidgets", index]);
};
