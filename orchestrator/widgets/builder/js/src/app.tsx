// The whole editor: toolbar, palette, canvas, panels, dialogs, and what every key does.
import { type ReactFlowInstance, ReactFlowProvider } from "@xyflow/react";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { askFind, askLink, askNode, askSockets, groupSelected, layOut, nodesSelected } from "./actions";
import { Canvas } from "./canvas";
import { type Asked, Chooser, Prompt } from "./chooser";
import { Files } from "./files";
import { definitionOf, nodesOf } from "./graph";
import { Findings, Palette, Test } from "./panels";
import { sideOf } from "./ports";
import { Refusal } from "./session";
import { type Choice, KEYS, type Ui, UiContext, useSession, useState_, useUi } from "./use";

const HELP: [string, string][] = [
  ["A", "add a node"],
  ["L", "link the selected node"],
  ["Enter", "edit the node, or enter the subgraph"],
  ["Esc", "back to the node, then out of the subgraph"],
  ["Arrow keys", "move what is selected"],
  ["F2", "rename; on Inputs and Outputs: sockets of the subgraph"],
  ["Ctrl+B, Ctrl+M", "bypass, mute"],
  ["C", "collapse"],
  ["G", "group what is selected"],
  ["Del", "delete"],
  ["Ctrl+C, X, V, D", "copy, cut, paste, duplicate"],
  ["Ctrl+Z, Ctrl+Shift+Z", "undo, redo"],
  ["Ctrl+A", "select all"],
  ["Ctrl+F", "go to a node"],
  ["Ctrl+S", "save"],
  ["Ctrl+O", "open"],
  ["Ctrl+Enter", "run a test"],
  [".  +  −", "show all, zoom"],
];
// a phone has no room for the canvas and both panels: they lie over it, one at a time, and not from the start
const isNarrow = () => matchMedia("(max-width: 700px)").matches;
const MODIFIERS = ["Shift", "Control", "Alt", "Meta"];
const isField = (target: EventTarget | null) => target instanceof HTMLElement && (target.matches("input, textarea, select") || target.isContentEditable);

// What can be done with what is selected, for those who use a mouse.
const SelectionBar = () => {
  const session = useSession();
  const ui = useUi();
  const selected = useState_((state) => state.selected);
  if (!selected.size) return null;
  const nodes = nodesSelected(session);
  const only = selected.size === 1 ? [...selected][0] : "";
  const change = (word: string, act: () => void) => (
    <button {...KEYS} className="lab-button lab-quiet" type="button" onClick={act}>
      {word}
    </button>
  );
  return (
    <div className="bd-selection" role="toolbar" aria-label="Selection">
      <span className="bd-muted">{selected.size === 1 ? "1 selected" : `${selected.size} selected`}</span>
      {nodes.size ? (
        <>
          {nodes.size === 1 ? change("Link", () => askLink(session, ui)) : null}
          {change("Bypass", () => session.edit((editor) => editor.toggleMode(nodes, 4)))}
          {change("Mute", () => session.edit((editor) => editor.toggleMode(nodes, 2)))}
          {change("Collapse", () => session.edit((editor) => editor.toggleCollapsed(nodes)))}
          {change("Duplicate", () => session.pasteText(session.copyText()))}
          {change("Group", () => groupSelected(session, "Group"))}
        </>
      ) : null}
      {only && !only.startsWith("link:") ? change(sideOf(only) ? "Sockets" : "Rename", () => ui.rename(only)) : null}
      {change("Delete", () => session.removeSelected())}
    </div>
  );
};

export const App = ({ section }: { section: HTMLElement }) => {
  const session = useSession();
  const name = useState_((state) => state.name);
  const saved = useState_((state) => state.saved);
  const ready = useState_((state) => state.ready);
  const undo = useState_((state) => state.undo);
  const redo = useState_((state) => state.redo);
  const path = useState_((state) => state.path);
  const doc = useState_((state) => state.doc);
  const findings = useState_((state) => state.findings);
  const notice = useState_((state) => state.notice);
  const address = useState_((state) => state.address);
  const [choice, setChoice] = useState<Choice | null>(null);
  const [asked, setAsked] = useState<Asked | null>(null);
  const [files, setFiles] = useState(false);
  const [help, setHelp] = useState(false);
  const [left, setLeft] = useState(() => !isNarrow());
  const [right, setRight] = useState<"test" | "findings" | null>(() => (isNarrow() ? null : "test"));
  const [busy, setBusy] = useState(false);
  const canvas = useRef<HTMLDivElement>(null);
  const flow = useRef<ReactFlowInstance | null>(null);
  const before = useRef<HTMLElement | null>(null); // had the focus before a dialog
  const errors = findings.filter((each) => each.severity === "error").length;

  const showLeft = (on: boolean) => {
    if (on && isNarrow()) setRight(null);
    setLeft(on);
  };
  const showRight = (wanted: typeof right) => {
    if (wanted && isNarrow()) setLeft(false);
    setRight(wanted);
  };

  const middle = useCallback((): [number, number] => {
    const box = canvas.current?.getBoundingClientRect();
    if (!box || !flow.current) return [0, 0];
    const at = flow.current.screenToFlowPosition({ x: box.x + box.width / 2, y: box.y + box.height / 2 });
    return [at.x, at.y];
  }, []);

  const ui = useMemo((): Ui => {
    const ask = (wanted: Choice) => {
      before.current = document.activeElement as HTMLElement;
      setChoice(wanted);
    };
    return {
      ask,
      rename: (id: string) => {
        before.current = document.activeElement as HTMLElement;
        if (id.startsWith("group:")) {
          const at = Number(id.slice(6));
          const title = session.level.graph.groups?.[at]?.title;
          return setAsked({ title: "Title of the group", value: typeof title === "string" ? title : "", action: "Rename", done: (text) => session.edit((editor) => editor.set([...editor.level.base, "groups", at, "title"], text)) });
        }
        const view = session.nodeViews().find((each) => each.id === id);
        if (!view) return;
        if (view.kind === "port") return askSockets(session, ask, id, (title, value, done) => setAsked({ title, value, action: "Rename", done }));
        setAsked({ title: "Title of the node", value: view.title, action: "Rename", done: (title) => session.edit((editor) => editor.rename(id, title)) });
      },
    };
  }, [session]);

  const back = useCallback(() => {
    setTimeout(() => {
      if (section.querySelector(".bd-veil")) return;
      const was = before.current;
      if (document.activeElement && document.activeElement !== document.body && section.contains(document.activeElement)) return;
      if (was?.isConnected && section.contains(was)) was.focus({ preventScroll: true });
      else session.focusCanvas();
    });
  }, [section, session]);
  // The focus goes back before the dialog does: not one key may reach the notebook between the two.
  const restore = () => {
    const was = before.current;
    if (was?.isConnected && section.contains(was)) was.focus({ preventScroll: true });
    else session.focusCanvas();
  };
  const closeChoice = () => {
    restore();
    setChoice(null);
  };
  const closeAsked = () => {
    restore();
    setAsked(null);
  };

  useEffect(() => {
    session.focusCanvas = () => canvas.current?.focus({ preventScroll: true });
    session.focusNode = (id) => {
      const node = canvas.current?.querySelector<HTMLElement>(`.react-flow__node[data-id="${CSS.escape(id)}"]`);
      (node ?? canvas.current)?.focus({ preventScroll: true });
    };
    session.focusSoon = (id) => {
      if (!section.querySelector(".bd-veil") && !(isField(document.activeElement) && canvas.current?.contains(document.activeElement))) session.focusNode(id);
    };
  }, [section, session]);

  // What had the focus may be gone after a change; keys must not fall through to the notebook then.
  useEffect(() => {
    let ours = false;
    const inside = (event: Event) => {
      ours = true;
      (event.target as Element).setAttribute("data-lm-suppress-shortcuts", "true");
    };
    const anywhere = (event: Event) => {
      if (!section.contains(event.target as Node)) ours = false;
    };
    const look = () => {
      if (ours && (document.activeElement === document.body || !document.activeElement)) back();
    };
    section.addEventListener("focusin", inside, true);
    document.addEventListener("focusin", anywhere, true);
    document.addEventListener("pointerdown", anywhere, true);
    const watch = new MutationObserver(look);
    watch.observe(section, { childList: true, subtree: true });
    return () => {
      section.removeEventListener("focusin", inside, true);
      document.removeEventListener("focusin", anywhere, true);
      document.removeEventListener("pointerdown", anywhere, true);
      watch.disconnect();
    };
  }, [section, back]);

  useEffect(() => {
    if (!document.body.classList.contains("frame")) return;
    const wanted = new URLSearchParams(location.search).get("workflow");
    if (wanted) void session.ask("open", { name: wanted }).catch(session.fail);
    const leave = (event: BeforeUnloadEvent) => {
      if (!session.state.saved && nodesOf(session.state.doc).length) event.preventDefault();
    };
    addEventListener("beforeunload", leave);
    return () => removeEventListener("beforeunload", leave);
  }, [session]);

  const write = (wanted: string, sure: boolean) => {
    setBusy(true);
    session
      .ask("save", { name: wanted, sure })
      .then(
        (said) => session.tell(`Saved as ${said.name}.`, said.backend ? "It is a backend of the dashboard's form now." : "It becomes a backend when it is saved while a ComfyUI server is up.", true),
        (error) => {
          if (!(error instanceof Refusal && error.conflict)) {
            session.fail(error);
            if (error instanceof Refusal && wanted !== session.state.name) saveAs(wanted); // what was typed is there to be corrected
            return;
          }
          ui.ask({
            title: error.message,
            items: [
              { key: "over", label: "Save over it" },
              { key: "as", label: "Save under another name" },
              { key: "no", label: "Do not save" },
            ],
            pick: (key) => (key === "over" ? write(wanted, true) : key === "as" ? saveAs(wanted) : undefined),
          });
        },
      )
      .finally(() => setBusy(false));
  };
  const saveAs = (name = session.state.name || "my workflow") => {
    before.current = document.activeElement as HTMLElement;
    setAsked({ title: "Save the workflow as", value: name, action: "Save", done: (text) => write(text, false) });
  };
  const settle = (then: () => void) => {
    // what is being typed is written first
    const active = document.activeElement;
    if (isField(active) && canvas.current?.contains(active)) {
      (active as HTMLElement).blur();
      session.focusNode(active!.closest(".react-flow__node")?.getAttribute("data-id") ?? "");
    }
    setTimeout(then);
  };
  const save = () => settle(() => (session.state.name ? write(session.state.name, false) : saveAs()));
  const guard = (act: () => void) => {
    if (session.state.saved || !nodesOf(session.state.doc).length) return act();
    ui.ask({
      title: `${session.state.name || "The workflow"} has changes that are not saved`,
      items: [
        { key: "keep", label: "Go back to it" },
        { key: "drop", label: "Discard the changes" },
      ],
      pick: (key) => (key === "drop" ? act() : undefined),
    });
  };
  const start = (prompt: string, keep: boolean, sure = false) =>
    settle(() => {
      setBusy(true);
      showRight("test");
      session
        .ask("run", { prompt, keep, sure })
        .catch((error) => {
          session.fail(error);
          if (session.state.findings.length) showRight("findings");
        })
        .finally(() => setBusy(false));
    });
  const exportApi = () =>
    void session.ask("export").then((said) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([said.text], { type: "application/json" }));
      link.download = said.name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    }, session.fail);
  const comfy = () =>
    void session.ask("text").then(async (said) => {
      try {
        await navigator.clipboard.writeText(said.text);
        session.tell("The workflow is in the clipboard.", "Press Ctrl+V in ComfyUI to open it there.", true);
      } catch {
        session.tell("The clipboard cannot be written.", "Save the workflow, and drop its file on ComfyUI.");
      }
    }, session.fail);

  const onKey = (event: React.KeyboardEvent) => {
    const target = event.target as HTMLElement;
    if (target.closest(".bd-veil") || event.defaultPrevented) return;
    const control = event.ctrlKey || event.metaKey;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const done = (act: () => void) => {
      event.preventDefault();
      act();
    };
    if (control && key === "s") return done(() => (event.shiftKey ? settle(saveAs) : save()));
    if (control && key === "o") return done(() => setFiles(true));
    if (control && key === "Enter") return done(() => start("", false));
    if (isField(target)) {
      if (key === "Escape" && canvas.current?.contains(target)) done(() => session.focusNode(target.closest(".react-flow__node")?.getAttribute("data-id") ?? ""));
      return;
    }
    if (control && key === "z") return done(() => (event.shiftKey ? session.redo() : session.undo()));
    if (control && key === "y") return done(() => session.redo());
    if (!canvas.current?.contains(target)) return;
    const chosen = nodesSelected(session);
    const focused = target.closest(".react-flow__node")?.getAttribute("data-id") ?? "";
    const one = focused && !focused.startsWith("group:") ? focused : [...chosen][0];
    const need = () => {
      if (focused && !session.state.selected.has(focused)) session.select([focused]);
    };
    if (control) {
      if (key === "a") return done(() => session.select(session.nodeViews().map((view) => view.id)));
      if (key === "b") return done(() => (need(), session.edit((editor) => editor.toggleMode(nodesSelected(session), 4))));
      if (key === "m") return done(() => (need(), session.edit((editor) => editor.toggleMode(nodesSelected(session), 2))));
      if (key === "d") return done(() => (need(), session.pasteText(session.copyText())));
      if (key === "f") return done(() => askFind(session, ui));
      return;
    }
    if (event.altKey) return;
    if (target.closest("button")) {
      if (key === "Escape") done(() => session.focusNode(focused));
      return;
    }
    const acts: Record<string, () => void> = {
      a: () => askNode(session, ui, middle()),
      l: () => (need(), askLink(session, ui)),
      c: () => (need(), session.edit((editor) => editor.toggleCollapsed(nodesSelected(session)))),
      g: () => groupSelected(session, "Group"),
      F2: () => (focused || one) && ui.rename(focused || one),
      Delete: () => (need(), session.removeSelected()),
      Backspace: () => (need(), session.removeSelected()),
      ".": () => session.showAll(),
      "+": () => void flow.current?.zoomIn(),
      "=": () => void flow.current?.zoomIn(),
      "-": () => void flow.current?.zoomOut(),
      "?": () => setHelp(!help),
      Escape: () => {
        if (help) setHelp(false);
        else if (session.state.selected.size) session.select([]);
        else if (path.length) session.leave();
      },
      Enter: () => {
        if (!one) return;
        const node = nodesOf(session.level.graph).find((each) => String(each.id) === one);
        if (node && definitionOf(session.state.doc, node.type)) return session.enter(one);
        canvas.current?.querySelector<HTMLElement>(`.react-flow__node[data-id="${CSS.escape(one)}"] :is(input, textarea, .bd-combo, .bd-switch)`)?.focus();
      },
    };
    const act = acts[key];
    if (act) done(act);
  };

  const clip = (event: React.ClipboardEvent, cut: boolean) => {
    if (isField(event.target) || !canvas.current?.contains(event.target as Node) || getSelection()?.toString()) return;
    const text = session.copyText();
    if (!text) return;
    event.preventDefault();
    event.stopPropagation();
    event.clipboardData.setData("text/plain", text);
    if (cut) session.removeSelected();
  };
  const paste = (event: React.ClipboardEvent) => {
    if (isField(event.target)) return;
    const text = event.clipboardData.getData("text/plain");
    event.stopPropagation();
    if (text && session.pasteText(text, middle())) event.preventDefault();
    else if (text) session.tell("There are no nodes in the clipboard.");
  };
  const drop = (event: React.DragEvent) => {
    const file = event.dataTransfer.files[0];
    if (!file) return;
    event.preventDefault();
    guard(() => void file.arrayBuffer().then((data) => session.ask("import", { name: file.name }, [data])).then((said) => session.tell(`Opened ${file.name}.`, said.suggested ? "It is not saved yet." : "", true), session.fail));
  };

  const names = useMemo(() => session.level.names, [session, doc, path]);
  return (
    <UiContext.Provider value={ui}>
      <div className="bd" onKeyDown={onKey} onCopy={(event) => clip(event, false)} onCut={(event) => clip(event, true)} onPaste={paste} onDragOver={(event) => event.dataTransfer.types.includes("Files") && event.preventDefault()} onDrop={drop}>
        <div className="bd-bar" role="toolbar" aria-label="Workflow">
          <button {...KEYS} className="lab-button" type="button" onClick={() => setFiles(true)}>
            Workflows
          </button>
          <strong className="bd-title-of" title={name || "not saved yet"}>
            {name || "Untitled"}
            {saved || !ready || !nodesOf(doc).length ? null : <em aria-label="not saved"> •</em>}
          </strong>
          <button {...KEYS} className="lab-button" type="button" disabled={busy} onClick={save}>
            Save
          </button>
          <button {...KEYS} className="lab-button lab-quiet" type="button" onClick={() => settle(saveAs)}>
            Save as
          </button>
          <span className="bd-gap" />
          <button {...KEYS} className="lab-button lab-quiet" type="button" disabled={!undo} onClick={() => session.undo()}>
            Undo
          </button>
          <button {...KEYS} className="lab-button lab-quiet" type="button" disabled={!redo} onClick={() => session.redo()}>
            Redo
          </button>
          <button {...KEYS} className="lab-button lab-quiet" type="button" onClick={() => layOut(session)}>
            Lay out
          </button>
          <button {...KEYS} className="lab-button lab-quiet" type="button" onClick={() => session.showAll()}>
            Show all
          </button>
          <button {...KEYS} className="lab-button lab-quiet" type="button" onClick={exportApi}>
            Export API
          </button>
          {address ? (
            <a {...KEYS} className="lab-button lab-quiet" href={address} target="_blank" rel="noopener noreferrer" onClick={comfy}>
              Open in ComfyUI
            </a>
          ) : null}
          <span className="bd-grow" />
          <button {...KEYS} className="lab-button lab-quiet" type="button" aria-pressed={left} onClick={() => showLeft(!left)}>
            Nodes
          </button>
          <button {...KEYS} className="lab-button lab-quiet" type="button" aria-pressed={right === "test"} onClick={() => showRight(right === "test" ? null : "test")}>
            Test
          </button>
          <button {...KEYS} className="lab-button lab-quiet" type="button" data-bad={errors || undefined} aria-pressed={right === "findings"} onClick={() => showRight(right === "findings" ? null : "findings")}>
            {errors ? `${errors} ${errors === 1 ? "error" : "errors"}` : findings.length ? `${findings.length} ${findings.length === 1 ? "warning" : "warnings"}` : "No errors"}
          </button>
          <button {...KEYS} className="lab-button lab-quiet" type="button" title="Ask the server for its nodes and files once more" onClick={() => void session.ask("refresh").catch(session.fail)}>
            Ask the server
          </button>
          <button {...KEYS} className="lab-button lab-quiet" type="button" title="Fill the screen" onClick={() => (document.fullscreenElement ? void document.exitFullscreen() : void section.requestFullscreen?.())}>
            <svg className="lab-icon" viewBox="0 0 24 24" aria-hidden="true">
              <path d="M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5" />
            </svg>
            <span className="lab-hidden">Full screen</span>
          </button>
          <button {...KEYS} className="lab-button lab-quiet" type="button" aria-expanded={help} onClick={() => setHelp(!help)}>
            Keys
          </button>
        </div>
        {path.length ? (
          <nav className="bd-crumbs" aria-label="Levels">
            <button {...KEYS} type="button" className="bd-text-button" onClick={() => session.leave(0)}>
              {name || "Workflow"}
            </button>
            {names.map((each, at) => (
              <span key={at}>
                {" › "}
                {at === names.length - 1 ? (
                  <span aria-current="location">{each}</span>
                ) : (
                  <button {...KEYS} type="button" className="bd-text-button" onClick={() => session.leave(at + 1)}>
                    {each}
                  </button>
                )}
              </span>
            ))}
          </nav>
        ) : null}
        <div className="bd-main-row">
          {left ? <Palette middle={middle} /> : null}
          <div className="bd-canvas" ref={canvas} tabIndex={0} {...KEYS} role="application" aria-label="Canvas. Press A to add a node, question mark for all keys.">
            <ReactFlowProvider>
              <Canvas onFlow={(made) => (flow.current = made)} />
            </ReactFlowProvider>
            <SelectionBar />
            {ready && !nodesOf(doc).length ? (
              <div className="bd-hint">
                <p>
                  <strong>An empty workflow.</strong>
                </p>
                <p>Drag nodes from the left, press A to add one by name, or drop a workflow or a picture here.</p>
                <button {...KEYS} className="lab-button" type="button" onClick={() => setFiles(true)}>
                  Begin with a template
                </button>
              </div>
            ) : null}
          </div>
          {right ? (
            <aside className="bd-side" aria-label={right === "test" ? "Test" : "What is wrong"}>
              <h3>{right === "test" ? "Test" : "What is wrong"}</h3>
              {right === "test" ? <Test start={start} busy={busy} /> : <Findings />}
            </aside>
          ) : null}
        </div>
        {help ? (
          <dl className="bd-help" aria-label="Keys">
            {HELP.map(([keys, does]) => (
              <div key={keys}>
                <dt>{keys}</dt>
                <dd>{does}</dd>
              </div>
            ))}
          </dl>
        ) : null}
        {files ? <Files close={() => (session.focusCanvas(), setFiles(false))} guard={guard} ask={(title, value, action, done) => setAsked({ title, value, action, done })} /> : null}
        {choice ? <Chooser key={choice.title} choice={choice} close={closeChoice} /> : null}
        {asked ? <Prompt asked={asked} close={closeAsked} /> : null}
        {notice ? (
          <div className={notice.good ? "lab-notice lab-good bd-notice" : "lab-notice bd-notice"} role="alert">
            <strong>{/[.!?]$/.test(notice.text) ? notice.text : `${notice.text}.`}</strong> {notice.remedy}
          </div>
        ) : null}
      </div>
    </UiContext.Provider>
  );
};

export { MODIFIERS };
