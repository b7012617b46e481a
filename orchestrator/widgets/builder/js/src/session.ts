// What the page knows: the document as the kernel has it, the plans, findings, the test run; and how to ask for changes.
import { CLIP, clipOf, Editor, INPUTS, type Level, levelAt, nodesOf, OUTPUTS } from "./graph";
import { apply, type Op, parse, type Raw, shared } from "./json";
import type { Plans } from "./plan";
import { hostPath } from "./ports";
import { type NodeView, Views } from "./view";

export interface Model {
  get(name: string): Raw;
  on(event: string, act: (...args: Raw[]) => void): void;
  off(event: string, act: (...args: Raw[]) => void): void;
  send(message: unknown, callbacks?: unknown, buffers?: ArrayBuffer[]): void;
}
export interface Finding {
  path: string[];
  input: string;
  type: string;
  message: string;
  severity: "error" | "warning";
}
export interface Run {
  job?: string;
  status?: string;
  label?: string;
  over?: boolean;
  text?: string;
  fraction?: number;
  step?: number | null;
  steps?: number | null;
  node?: string[];
  finished?: string[][];
  failure?: string;
  remedy?: string;
  fault?: string[];
  pictures?: number;
  prompt?: string;
}
export interface State {
  doc: Raw;
  ready: boolean;
  revision: number;
  name: string;
  saved: boolean;
  undo: boolean;
  redo: boolean;
  path: string[];
  selected: Set<string>;
  plans: Plans;
  planned: boolean;
  live: boolean;
  address: string;
  findings: Finding[];
  place: { path?: string[]; input?: string; text?: string; title?: string };
  run: Run;
  picture: string;
  preview: string;
  notice: { text: string; remedy: string; good: boolean; number: number } | null;
  fit: number; // raised when all of the graph is to be shown
  center: { id: string; number: number } | null; // a node to be shown and focused
}

const SEEN_MS = 20000;
const ANSWER_MS = 60000;
const EMPTY = { nodes: [], links: [], groups: [] };
const BLANK = new Set<string>();

export class Refusal extends Error {
  constructor(
    message: string,
    public remedy: string,
    public conflict: boolean,
  ) {
    super(message);
  }
}

export class Session {
  state: State = {
    doc: EMPTY,
    ready: false,
    revision: 0,
    name: "",
    saved: true,
    undo: false,
    redo: false,
    path: [],
    selected: BLANK,
    plans: {},
    planned: false,
    live: false,
    address: "",
    findings: [],
    place: {},
    run: {},
    picture: "",
    preview: "",
    notice: null,
    fit: 0,
    center: null,
  };
  private id = Math.random().toString(36).slice(2);
  private listeners = new Set<() => void>();
  private questions = new Map<string, { done(value: Raw): void; failed(error: Error): void; timer: number }>();
  private serial = 0;
  private sent = 0; // the newest of our changes
  private heard = 0; // the newest that came back
  private views = new Views();
  private bound: [string, (...args: Raw[]) => void][] = [];
  private timer: number;
  private marks = new Map<string, string>();
  focusCanvas: () => void = () => {};
  focusNode: (id: string) => void = () => {};
  focusSoon: (id: string) => void = () => {}; // unless the user is somewhere else by then

  constructor(private model: Model) {
    this.listen("msg:custom", (message: Raw, buffers: DataView[]) => this.receive(message, buffers));
    this.listen("change:run", () => this.takeRun());
    this.listen("change:preview", () => this.takePreview());
    this.listen("change:notice", () => {
      const said = model.get("notice") ?? {};
      if (said.text) this.tell(said.text, said.remedy ?? "", Boolean(said.good));
    });
    const seen = () => document.hidden || this.post({ action: "shown" });
    this.timer = window.setInterval(seen, SEEN_MS);
    document.addEventListener("visibilitychange", seen);
    this.bound.push(["", () => document.removeEventListener("visibilitychange", seen)]);
    seen();
    this.takeRun();
    this.post({ action: "hello", page: this.id });
  }

  end() {
    clearInterval(this.timer);
    for (const [event, act] of this.bound) event ? this.model.off(event, act) : act();
  }

  // ---- state

  subscribe = (act: () => void) => {
    this.listeners.add(act);
    return () => this.listeners.delete(act);
  };
  getState = () => this.state;
  set(change: Partial<State>) {
    this.state = { ...this.state, ...change };
    if (change.findings || change.run || change.path || change.picture !== undefined) this.remark();
    for (const act of this.listeners) act();
  }
  get level(): Level {
    return levelAt(this.state.doc, this.state.path);
  }
  nodeViews(): NodeView[] {
    return this.views.of(this.state.doc, this.level, this.state.plans);
  }

  tell(text: string, remedy = "", good = false) {
    const notice = { text, remedy, good, number: (this.state.notice?.number ?? 0) + 1 };
    this.set({ notice });
    window.setTimeout(() => this.state.notice?.number === notice.number && this.set({ notice: null }), 9000);
  }
  fail = (error: unknown) => this.tell(error instanceof Error ? error.message : String(error), error instanceof Refusal ? error.remedy : "");

  // ---- talking to the kernel

  private listen(event: string, act: (...args: Raw[]) => void) {
    this.model.on(event, act);
    this.bound.push([event, act]);
  }
  private post(message: Raw, buffers: ArrayBuffer[] = []) {
    try {
      this.model.send(message, undefined, buffers);
    } catch {
      // the kernel is gone: the page says so elsewhere
    }
  }
  ask(action: string, message: Raw = {}, buffers: ArrayBuffer[] = []): Promise<Raw> {
    const key = `${this.id}-${++this.serial}`;
    return new Promise((done, failed) => {
      const timer = window.setTimeout(() => {
        this.questions.delete(key);
        failed(new Refusal("The kernel does not answer.", "Reload the page.", false));
      }, ANSWER_MS);
      this.questions.set(key, { done, failed, timer });
      this.post({ ...message, action, key }, buffers);
    });
  }

  private receive(message: Raw, buffers: DataView[]) {
    const take = {
      answer: () => this.takeAnswer(message),
      document: () => this.takeDocument(message),
      edited: () => this.takeEdited(message),
      // said before our newest change had come there: what comes back with that says it all
      figures: () => this.heard === this.sent && this.set(figures(message)),
      plans: () => this.set({ plans: message.plans, planned: true, live: message.live, address: message.address }),
      findings: () => message.revision <= this.state.revision && this.set({ findings: message.findings, place: message.prompt ?? {} }),
      picture: () => this.takePicture(message, buffers),
    }[message.kind as string];
    take?.();
  }

  private takeAnswer(message: Raw) {
    const asked = this.questions.get(message.key);
    if (!asked) return;
    this.questions.delete(message.key);
    clearTimeout(asked.timer);
    if (message.error !== undefined) asked.failed(new Refusal(message.error, message.remedy ?? "", Boolean(message.conflict)));
    else asked.done(message.answer);
  }

  private takeDocument(message: Raw) {
    if (message.to && message.to !== this.id) return;
    let doc: Raw;
    try {
      doc = parse(message.text);
    } catch (error) {
      this.tell("The workflow cannot be shown: it is not JSON.", String(error));
      return;
    }
    const keep = (message.keep || message.to) && this.state.ready;
    this.heard = this.sent;
    const path = keep ? this.state.path.slice(0, levelAt(doc, this.state.path).names.length) : [];
    this.set({
      doc: keep ? shared(this.state.doc, doc) : doc,
      ready: true,
      path,
      selected: keep ? this.state.selected : BLANK,
      fit: keep ? this.state.fit : this.state.fit + 1,
      ...(keep ? {} : { findings: [], place: {}, center: null }),
      ...figures(message),
    });
    if (message.why) this.tell(message.why);
  }

  private takeEdited(message: Raw) {
    if (message.by === this.id) {
      this.heard = message.serial;
      if (this.heard === this.sent) this.set(figures(message));
      return;
    }
    // another view of the same document
    if (this.heard !== this.sent || message.revision !== this.state.revision + 1) {
      this.post({ action: "hello", page: this.id });
      return;
    }
    let { doc } = this.state;
    for (const op of message.ops as Op[]) doc = apply(doc, op);
    this.set({ doc, ...figures(message) });
  }

  private takeRun() {
    const run: Run = this.model.get("run") ?? {};
    const before = this.state.run;
    this.set({ run, ...(run.job !== before.job ? { picture: "", preview: "" } : {}) });
    if (run.over && run.pictures && (run.job !== before.job || before.status !== run.status)) this.post({ action: "picture", key: `run-${run.job}`, id: run.job, index: 0 });
  }
  private takePreview() {
    const bytes: DataView | null = this.model.get("preview");
    if (this.state.preview) URL.revokeObjectURL(this.state.preview);
    this.set({ preview: bytes?.byteLength ? URL.createObjectURL(new Blob([bytes as unknown as BlobPart])) : "" });
  }
  private takePicture(message: Raw, buffers: DataView[]) {
    if (message.key !== `run-${this.state.run.job}`) return;
    if (message.error) return this.tell(message.error, message.remedy);
    if (this.state.picture) URL.revokeObjectURL(this.state.picture);
    this.set({ picture: URL.createObjectURL(new Blob([buffers[0] as unknown as BlobPart], { type: message.mime })) });
  }

  // ---- changes

  edit(change: (editor: Editor) => void, kind = "") {
    const editor = new Editor(this.state.doc, this.state.path, this.state.plans);
    change(editor);
    this.commit(editor.doc, editor.ops, kind);
  }
  private commit(doc: Raw, ops: Op[], kind: string) {
    if (!ops.length) return;
    const base = this.state.revision;
    this.sent = ++this.serial;
    this.set({ doc, revision: base + 1, saved: false, undo: true, redo: false });
    this.post({ action: "edit", page: this.id, base, ops, kind, serial: this.sent });
  }
  undo() {
    this.post({ action: "undo", page: this.id, base: this.state.revision });
  }
  redo() {
    this.post({ action: "redo", page: this.id, base: this.state.revision });
  }

  setWidget(node: string, which: number, inside: string | null, value: unknown) {
    if (inside === null) return this.edit((editor) => editor.setValue(node, which, value));
    // of a node inside a subgraph: its definition is edited, wherever it is used
    const editor = new Editor(this.state.doc, hostPath(this.state.doc, inside) ?? [], this.state.plans);
    editor.setValue(node, which, value);
    this.commit(editor.doc, editor.ops, "");
  }

  select(ids: Iterable<string>) {
    this.set({ selected: new Set(ids) });
  }
  enter(id: string) {
    this.set({ path: [...this.state.path, id], selected: BLANK, center: null });
  }
  leave(depth = this.state.path.length - 1) {
    if (depth < 0 || depth >= this.state.path.length) return;
    const came = this.state.path[depth];
    this.set({ path: this.state.path.slice(0, depth), selected: new Set([came]), center: null });
  }
  showAll() {
    this.set({ fit: this.state.fit + 1 });
  }
  // Shows a node wherever it is, and focuses it.
  show(path: string[]) {
    if (!path.length) return;
    const levels = path.slice(0, -1);
    const id = path[path.length - 1];
    this.set({ path: levels, selected: new Set([id]), center: { id, number: (this.state.center?.number ?? 0) + 1 } });
  }

  removeSelected() {
    const { selected } = this.state;
    if (!selected.size) return;
    this.edit((editor) => {
      for (const id of selected) if (id.startsWith("link:")) editor.removeLink(asId(editor.level.graph, id.slice(5)));
      const nodes = new Set([...selected].filter((id) => id !== INPUTS && id !== OUTPUTS && !id.includes(":")));
      editor.removeNodes(nodes);
      const groups = [...selected].filter((id) => id.startsWith("group:")).map((id) => Number(id.slice(6)));
      for (const at of groups.sort((a, b) => b - a)) editor.remove([...editor.level.base, "groups", at]);
    });
    this.set({ selected: BLANK });
    this.focusCanvas();
  }
  copyText(): string {
    const { doc, selected } = this.state;
    return selected.size ? JSON.stringify(clipOf(doc, this.level, selected)) : "";
  }
  pasteText(text: string, at?: [number, number]): boolean {
    let clip: Raw;
    try {
      clip = parse(text);
    } catch {
      return false;
    }
    if (!clip || typeof clip !== "object" || !Array.isArray(clip.nodes)) return false;
    if (!(CLIP in clip)) clip = { nodes: clip.nodes, links: clip.links, groups: clip.groups, subgraphs: clip.definitions?.subgraphs };
    const positions: [number, number][] = nodesOf(clip).map((node) => [Number(node.pos?.[0]) || 0, Number(node.pos?.[1]) || 0]);
    const left = Math.min(...positions.map((pos) => pos[0]));
    const top = Math.min(...positions.map((pos) => pos[1]));
    const [dx, dy] = at && positions.length ? [at[0] - left, at[1] - top] : [40, 40];
    let made: string[] = [];
    this.edit((editor) => {
      made = editor.paste(clip, Math.round(dx), Math.round(dy));
    });
    this.select(made);
    return true;
  }

  // ---- what is said of a node: "error", "warning", "running", "done", "fault"

  private remark() {
    const { findings, run, path } = this.state;
    const marks = new Map<string, string>();
    const add = (place: string[] | undefined, word: string, hosts: boolean) => {
      if (!place || place.length <= path.length || !path.every((id, at) => id === place[at])) return;
      if (place.length > path.length + 1 && !hosts) return;
      const id = place[path.length];
      const old = marks.get(id) ?? "";
      if (!old.split(" ").includes(word)) marks.set(id, `${old} ${word}`.trim());
    };
    for (const each of findings) add(each.path, each.severity, true);
    if (run.job && !run.over) {
      add(run.node, "running", true);
      for (const place of run.finished ?? []) add(place, "done", false);
    }
    add(run.fault, "fault", true);
    this.marks = marks;
  }
  markOf = (id: string): string => this.marks.get(id) ?? "";
}

const figures = (message: Raw) => ({ revision: message.revision, name: message.name, saved: message.saved, undo: message.undo, redo: message.redo });

const asId = (graph: Raw, text: string): Raw => {
  const list: Raw[] = Array.isArray(graph.links) ? graph.links : Object.values(graph.links ?? {});
  const found = list.find((each) => String(Array.isArray(each) ? each[0] : each?.id) === text);
  return Array.isArray(found) ? found[0] : found?.id;
};
