// The document as values to look at. Its text stays with the kernel; here whole numbers that a browser cannot hold are
// marked texts, which the kernel turns back when they come with a change.

export type Step = string | number;
export type Path = Step[];
export interface Op {
  op: "set" | "insert" | "remove";
  path: Path;
  value?: unknown;
}
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Raw = any;

const MARK = "\u0001int:";
const LARGE = /"[^"\\]*(?:\\.[^"\\]*)*"|(?<![\d.eE+])-?\d{16,}(?![\d.eE])|NaN|-?Infinity/g;

export const parse = (text: string): Raw => {
  if (!/\d{16}|NaN|Infinity/.test(text)) return JSON.parse(text);
  return JSON.parse(
    text.replace(LARGE, (part) => (part[0] === '"' ? part : /\d/.test(part) ? `"\\u0001int:${part}"` : "null")),
  );
};

export const isLarge = (value: unknown): value is string => typeof value === "string" && value.startsWith(MARK);
export const asLarge = (digits: string): unknown =>
  Number.isSafeInteger(Number(digits)) ? Number(digits) : MARK + digits;
export const shown = (value: unknown): string =>
  isLarge(value) ? value.slice(MARK.length) : typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value);

export const get = (doc: Raw, path: Path): Raw => path.reduce((at, step) => (at == null ? undefined : at[step]), doc);

export const apply = (doc: Raw, op: Op, depth = 0): Raw => {
  if (depth === op.path.length) return op.value;
  const step = op.path[depth];
  const last = depth === op.path.length - 1;
  if (Array.isArray(doc)) {
    const copy = doc.slice();
    if (last && op.op === "insert") copy.splice(step as number, 0, op.value);
    else if (last && op.op === "remove") copy.splice(step as number, 1);
    else copy[step as number] = apply(doc[step as number], op, depth + 1);
    return copy;
  }
  const copy = { ...doc };
  if (last && op.op === "remove") delete copy[step];
  else copy[step] = apply(doc[step], op, depth + 1);
  return copy;
};

// The new value with every part of the old one that is equal: what did not change is not drawn again.
export const shared = (old: Raw, fresh: Raw): Raw => {
  if (old === fresh || typeof old !== "object" || typeof fresh !== "object" || !old || !fresh) return fresh;
  if (Array.isArray(old) !== Array.isArray(fresh)) return fresh;
  let same = true;
  if (Array.isArray(fresh)) {
    const known = new Map<unknown, Raw>();
    for (const each of old) if (each && typeof each === "object" && "id" in each) known.set(each.id, each);
    const made = fresh.map((each: Raw, at: number) => shared(each && typeof each === "object" && "id" in each ? known.get(each.id) : old[at], each));
    same = made.length === old.length && made.every((each: Raw, at: number) => each === old[at]);
    return same ? old : made;
  }
  const made: Raw = {};
  const keys = Object.keys(fresh);
  for (const key of keys) {
    made[key] = shared(old[key], fresh[key]);
    same &&= made[key] === old[key];
  }
  return same && keys.length === Object.keys(old).length ? old : made;
};

// A change that is being put together: every part of it can already be looked at.
export class Draft {
  ops: Op[] = [];
  constructor(public doc: Raw) {}
  private add(op: Op) {
    this.ops.push(op);
    this.doc = apply(this.doc, op);
  }
  // Changes that were put together elsewhere, of the document as it is here.
  adopt(other: Draft) {
    this.ops.push(...other.ops);
    this.doc = other.doc;
  }
  get(path: Path): Raw {
    return get(this.doc, path);
  }
  set(path: Path, value: unknown) {
    // a step of undo that changes nothing would look as if undo did not work
    if (value === undefined || this.get(path) !== value) this.add({ op: "set", path, value });
  }
  insert(path: Path, value: unknown) {
    this.add({ op: "insert", path, value });
  }
  push(path: Path, value: unknown) {
    const list = this.get(path);
    if (Array.isArray(list)) this.insert([...path, list.length], value);
    else this.set(path, [value]);
  }
  remove(path: Path) {
    this.add({ op: "remove", path });
  }
}
